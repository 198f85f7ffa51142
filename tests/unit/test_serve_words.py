"""What `erni-audio serve` tells people: its three lines, its notices, what became of a recording."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from core.app import Announcement
from core.commands.jobs_shown import outcome, whereabouts
from core.commands.serve import notices, welcome
from core.methods import Choice
from core.model import Job, JobState, JobView, Recording
from core.ports import Adapter, Readiness, Welcome
from core.settings import Settings, load_settings


class Inviting:
    door = "folder@one"

    def welcome(self) -> Welcome:
        return Welcome(
            share="Drop a recording into /home/ada/inbox", answer="its transcript is put beside it"
        )


class Silent:
    door = "slack@one"


def announced(*adapters: object, methods: tuple[str, ...] = ("local",)) -> Announcement:
    doors = {cast("Any", adapter).door: cast("Adapter", adapter) for adapter in adapters}
    return Announcement(node="n", port=8765, choice=Choice(methods=methods, notes=()), adapters=doors)


def test_three_lines_say_where_what_and_how_to_stop() -> None:
    where, what, how = welcome(load_settings(Settings), announced(Inviting(), methods=("local", "draft")))
    assert where == "Drop a recording into /home/ada/inbox."
    assert (
        what
        == "It is transcribed by `local` or `draft`, speaker by speaker; its transcript is put beside it."
    )
    assert how.startswith("Running at http://127.0.0.1:8765 (/healthz, /readyz, /metrics).")


def test_a_long_chain_is_not_read_out() -> None:
    _, what, _ = welcome(load_settings(Settings), announced(methods=("standard", "deepgram", "local")))
    assert what == "It is transcribed by `standard` (if that fails, by one of 2 others), speaker by speaker."


def test_a_door_that_says_nothing_is_introduced_by_its_platform() -> None:
    where, _, how = welcome(load_settings(Settings, http_host="::1"), announced(Inviting(), Silent()))
    assert where == "Drop a recording into /home/ada/inbox, or share a recording in slack."
    assert "http://[::1]:8765" in how


def test_without_a_method_or_a_door_the_lines_say_so() -> None:
    where, what, _ = welcome(load_settings(Settings), announced(methods=()))
    assert "ERNI_ADAPTERS" in where
    assert "erni-audio doctor" in what


def test_a_draft_is_noticed_only_where_nobody_asked_for_it() -> None:
    forced = Choice(methods=("draft",), notes=("local can't run: no weights. Fetch them.",), draft=True)
    (notice,) = notices(forced)
    assert notice.startswith("Draft quality: ")
    assert notice.endswith("Fetch them.")
    assert notices(Choice(methods=("draft",), notes=())) == ()
    (nothing,) = notices(Choice(methods=(), notes=("Mend it.",)))
    assert nothing == "No recognition method can run here. Mend it."


def view(state: JobState, *, message: str = "", receipt: str | None = None, over: bool = True) -> JobView:
    began = datetime(2026, 11, 22, tzinfo=UTC)
    recording = Recording(
        key="k",
        content_key="c",
        platform="folder",
        door="folder@one",
        address="{}",
        name="a.m4a",
        shared_at=began,
    )
    return JobView(
        job=Job(id="1", recording=recording),
        state=state,
        stage="",
        fraction=None,
        message=message,
        receipt=receipt,
        submitted_at=began,
        finished_at=began + timedelta(seconds=12) if over else None,
    )


def test_what_became_of_a_recording_is_one_line() -> None:
    receipt = json.dumps({"files": ["a.transcript.md", "a.transcript.srt"], "kept": False})
    assert outcome(view(JobState.DONE, receipt=receipt)) == "✓ a.m4a → a.transcript.md and 1 more (12 s)"
    note = json.dumps({"files": ["a.transcript-error.txt"]})
    failed = outcome(view(JobState.FAILED, message="It is\n empty.", receipt=note))
    assert failed == "✗ a.m4a: It is empty. → a.transcript-error.txt"
    assert outcome(view(JobState.CANCELLED)) == "✗ a.m4a: cancelled"
    assert outcome(view(JobState.RUNNING, over=False)) == ""


@pytest.mark.parametrize("receipt", [None, "", "[]", "{}", "nonsense", '{"files": 3}', '{"files": []}'])
def test_a_receipt_without_files_is_fine(receipt: str | None) -> None:
    assert whereabouts(receipt) == "answered"


def test_a_door_that_can_not_be_used_is_no_invitation() -> None:
    found = Readiness(usable=False, reason="Slack does not know the token.", remedy="See docs/slack.md.")
    doors = replace(announced(Inviting(), Silent()), troubles={"slack@one": found})
    where, trouble, *_ = welcome(load_settings(Settings), doors)
    assert where == "Drop a recording into /home/ada/inbox."
    assert trouble == (
        "Front door slack can't be used now: Slack does not know the token. See docs/slack.md."
    )
    alone = replace(announced(Silent()), troubles={"slack@one": found})
    assert welcome(load_settings(Settings), alone)[0] == "Nowhere yet: no front door can be used."


def test_what_people_named_stays_out_of_a_log() -> None:
    found = Readiness(usable=False, reason="Folder Ann's talks is away.", for_log="A folder is away.")
    doors = replace(announced(Silent()), troubles={"slack@one": found})
    assert "Ann's talks" in welcome(load_settings(Settings), doors)[1]
    assert "Ann's talks" not in "".join(welcome(load_settings(Settings), doors, for_log=True))
