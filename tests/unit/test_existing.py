"""How much lies in a folder, what that costs, and taking it although it was left alone at first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from core.existing import Tally, cost, count, guess_seconds
from core.fake_cloud import FakeCloud
from core.fake_remote import FakePlace
from core.following import Selection
from core.places import WatchedFolders
from core.remote import Page, RemoteFile
from tests.adapters.dropbox_desk import TALK, Desk, desk

HOUR = 3600.0


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("a.wav", 32_000),
        ("a.FLAC", 24_000),
        ("a.mp4", 60_000),
        ("a.mp3", 6_000),
        ("a.b.m4a", 6_000),
        ("a", 6_000),
    ],
)
def test_lengths_are_guessed_by_the_kind_of_file(name: str, rate: int) -> None:
    assert guess_seconds(name, rate * 60) == 60.0


@pytest.mark.parametrize(
    ("name", "kind", "rate"),
    [
        ("Weekly sync", "video/mp4", 60_000),
        ("v1.2 sync", "video/mp4", 60_000),
        ("Weekly sync", "audio/mp4", 6_000),
        ("a.wav", "video/mp4", 32_000),
    ],
)
def test_without_an_ending_the_type_tells(name: str, kind: str, rate: int) -> None:
    assert guess_seconds(name, rate * 60, kind) == 60.0


class Told(FakePlace):
    """A platform that knows how long some files play."""

    async def listing(self) -> AsyncIterator[Page]:
        async for page in super().listing():
            yield replace(page, items=tuple(map(_told, page.items)))


def _told(item: object) -> RemoteFile:
    assert isinstance(item, RemoteFile)
    if item.name == "Weekly sync":
        return replace(item, media_type="video/mp4")
    return replace(item, seconds=90.0) if item.name.startswith("known") else item


def cloud_with(paths: Sequence[str]) -> FakeCloud:
    cloud = FakeCloud(page=2)
    for path in paths:
        cloud.upload(path, bytes(6_000))
    return cloud


async def test_only_what_would_be_taken_is_counted() -> None:
    cloud = cloud_with(["a.mp3", "x/b.mp3", "notes.txt", ".hidden.mp3", "a.transcript.md", "x/.y/c.mp3"])
    told: list[Tally] = []
    tally = await count(FakePlace(cloud), Selection(since=0.0), told.append)
    assert tally == Tally(files=2, size=12_000, seconds=2.0, guessed=True)
    assert [each.files for each in told] == sorted(each.files for each in told)
    assert len(told) > 1
    assert told[-1] == tally
    here = await count(FakePlace(cloud), Selection(since=0.0, recursive=False), told.append)
    assert here.files == 1


async def test_what_is_a_video_by_its_type_is_counted_as_one() -> None:
    found = await count(Told(cloud_with(["Weekly sync", "other"])), Selection(since=0.0), lambda _: None)
    assert found == Tally(files=1, size=6_000, seconds=0.1, guessed=True)


async def test_lengths_that_are_known_are_not_guessed() -> None:
    known = await count(Told(cloud_with(["known.mp3"])), Selection(since=0.0), lambda _: None)
    assert known == Tally(files=1, size=6_000, seconds=90.0, guessed=False)
    mixed = await count(Told(cloud_with(["known.mp3", "other.mp3"])), Selection(since=0.0), lambda _: None)
    assert (mixed.seconds, mixed.guessed) == (91.0, True)


def test_costs_are_those_of_all_engines_that_hear_a_recording() -> None:
    hours = Tally(files=2, size=1, seconds=10 * HOUR)
    assert cost(hours, ["elevenlabs/scribe_v2"]) == pytest.approx(2.2)
    both = cost(hours, ["openai/gpt-transcribe", "pyannoteai/diarize/precision-2"])
    assert both == pytest.approx(10 * 0.0045 * 60 + 10 * 0.112 * 1.2)
    assert cost(hours, ["", ""]) == 0.0
    assert cost(hours, ["elevenlabs/scribe_v2", "replicate/whisper-diarization"]) is None
    assert cost(hours, ["compatible/whisper"]) is None


def test_short_recordings_cost_what_the_vendor_bills_at_least() -> None:
    short = Tally(files=180, size=1, seconds=180.0)
    assert cost(short, ["pyannoteai/diarize/precision-2"]) == pytest.approx(0.112 * 1.2)  # 20 s each


def names(at: Desk) -> list[str]:
    return sorted(recording.name for recording in at.recordings())


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
async def test_what_was_left_alone_is_taken_up(tmp_path: Path) -> None:
    async with desk(tmp_path, watched=False) as at:
        at.server.ahead = -3600.0
        at.ann.upload("/Inbox/old.mp3", TALK)
        at.server.ahead = 0.0
        folder = await at.watch()
        async with at.running():
            at.ann.upload("/Inbox/new.mp3", TALK + b"new")
            await at.submitted(1)
        assert names(at) == ["new.mp3"]
        folders = WatchedFolders(at.store, at.settings, "dropbox")
        await folders.renew(folder, replace(folder, backfill=True))
        for space in ("files", "folder"):
            assert await at.store.memories(f"{folder.place}:{space}") == {}
        async with at.running(at.open()):
            await at.submitted(3)
        assert names(at) == ["new.mp3", "new.mp3", "old.mp3"]
