"""What the benchmark of Teams counts is what its page says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.clouds_measuring import make_file
from benchmarks.platforms import Found, figures, report
from benchmarks.sharing import Outcome
from benchmarks.teams import TEAMS
from benchmarks.teams_download import measure, page
from benchmarks.teams_load import AMONG_PEOPLE, DIALOGS, TO_APP, Load, Share
from core.tasks import end
from tests.adapters.slack_desk import saying
from tests.adapters.teams_desk import Desk, desk
from tests.vendors.teams import File

TALK = File(name="recording 00007.mp3", data=bytes(range(256)) * 40)
FINE = Outcome(replied=0.2, transcribed=9.0, surplus=0, failed=False, complete=True)


@asynccontextmanager
async def reading(tmp_path: Path) -> AsyncIterator[tuple[Desk, Load]]:
    """People at their places, and somebody who looks at what the app says."""
    async with desk(tmp_path) as at, at.running():
        load = Load(server=at.server, conversations=[at.alone, at.chat, at.channel])
        task = asyncio.create_task(load.read(seed=1))
        yield at, load
        await end(task)


async def shared(at: Desk, load: Load, *, alone: bool) -> Share:
    where = at.alone if alone else at.channel
    text = "" if alone else "transcribe"
    message = await at.server.post(where, at.anna, text, files=[TALK], mention_bot=not alone, copies=2)
    [item] = message.files.values()
    load.shares[7] = Share(message=message, item=item, at=message.at)
    return load.shares[7]


@pytest.mark.parametrize("alone", [True, False], ids=["sent to the app", "asked for in a channel"])
async def test_losses_and_what_is_there_twice_are_seen(tmp_path: Path, alone: bool) -> None:
    async with reading(tmp_path) as (at, load):
        share = await shared(at, load, alone=alone)
        assert load.outcome(share).replied is None
        assert load.outcome(share).lost
        [answer] = await at.answered(share.message)
        await at.server.until(lambda: share.said)
        assert load.outcome(share).replied is not None
        assert load.outcome(share).lost
        await at.deliver(saying("Good morning"))
        await at.server.until(lambda: not load.outcome(share).lost)  # where it is offered, it is accepted
        fine = load.outcome(share)
        assert (fine.surplus, fine.failed) == (0, False)
        assert fine.transcribed is not None
        assert fine.replied is not None
        assert fine.transcribed >= fine.replied

        said = [one for one in share.said if not one.deleted]
        for message in said:
            again = replace(message, id=at.server.m365.message_id())
            at.server.m365.conversations[message.conversation].messages[again.id] = again
        file = next(
            f for f in at.server.items(at.anna if alone else at.team).values() if "transcript" in f.name
        )
        drive = at.server.m365.drives[file.drive]
        at.server.m365.add_item(drive, drive.items[file.parent or ""], "recording 00007.transcript 1.md", b"")
        await at.server.until(lambda: len(share.said) == 2 * len(said))
        assert load.outcome(share).surplus == len(said) + 1
        assert load.outcome(share).lost, "not the files that there should be"
        answer.deleted_at = at.server.m365.clock()
        assert load.outcome(share).surplus == len(said)


async def test_who_uses_the_command_is_answered_and_everything_is_counted(tmp_path: Path) -> None:
    async with reading(tmp_path) as (at, load):
        message = await at.server.post(at.chat, at.anna, "What we said", files=[TALK])
        [item] = message.files.values()
        share = load.shares[7] = Share(message=message, item=item, at=0.0)
        await load.use_command(share, at.bo, [2, 1])
        assert share.at >= message.at
        await at.answered(share.message)
        await at.adapter.report_failure(at.job(), "There is no sound in it.")
        await at.server.until(lambda: load.outcome(share).failed)
        assert load.outcome(share).lost
        other = await shared(at, load, alone=True)
        await at.server.until(lambda: other.said)
        await at.server.delivered()
        found = json.loads(json.dumps(load.found()))
        took = {what: len(seconds) for what, seconds in found["acknowledged"].items()}
        assert took == {TO_APP: 2, DIALOGS: 3, AMONG_PEOPLE: 1}
        assert found["sent"] == 6
        assert found["unacknowledged"] == 0
        assert [Outcome(**each).lost for each in found["outcomes"]] == [True]
        assert found["calls"]["send"] == [2, 0]


async def test_people_are_spread_over_conversations_and_share_in_every_way(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        load = Load(server=at.server)
        load.furnish("spread")
        kinds = [conversation.kind for conversation in load.conversations]
        assert {kind: kinds.count(kind) for kind in kinds} == {"personal": 20, "groupChat": 10, "channel": 10}
        other = Load(server=at.server)
        other.furnish("channel")
        assert [conversation.kind for conversation in other.conversations] == ["channel"]


def test_the_page_has_a_figure_for_what_is_written_down_and_for_what_is_answered() -> None:
    found = Found(
        outcomes=[FINE, replace(FINE, surplus=1), replace(FINE, complete=False, failed=True)],
        acknowledged={TO_APP: [0.01, 0.3], DIALOGS: [0.02], AMONG_PEOPLE: []},
        sent=4,
        unacknowledged=0,
        late=[0.001],
        lags=[0.002],
        calls={"send": (6, 3), "update": (3, 0)},
        waiting=1,
        busy=0.93,
    )
    column = figures(TEAMS, found)
    assert column[f"{TO_APP} acknowledged after, p99 (ms)"] == "300.0"
    assert column[f"{DIALOGS} acknowledged after, p50 (ms)"] == "20.0"
    assert column[f"{AMONG_PEOPLE} acknowledged after, p99 (ms)"] == "-"
    assert column["answers or files twice"] == "1"
    assert column["shares without their transcript"] == "1"
    assert column["- of them told that it failed"] == "1"
    assert column["first card after, p50 (s)"] == "0.20"
    assert column["requests refused for their rate"] == "3"
    assert column["calls of Microsoft 365 a share"] == "3.0"
    assert set(TEAMS.targets) <= set(column)
    page = report(TEAMS, {"spread": found}, 900, "a machine")
    assert "| send   | 2.00 (1.00) |" in page
    assert page.count("under 200") == 2
    assert "15 minutes" in page


def test_a_large_recording_arrives_whole_either_way(tmp_path: Path) -> None:
    source = tmp_path / "Large recording.mp4"
    make_file(source, 3_000_001)
    found = measure(source, tmp_path)
    assert list(found) == ["in a channel", "sent to the app"]
    for each in found.values():
        assert each.size == 3_000_001
        assert each.seconds > 0
        assert each.plainly > 0
        assert each.most >= each.before > 10_000_000
    assert "| in a channel    | 0.003 |" in page(found, "a machine")
