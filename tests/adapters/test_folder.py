"""The folder front door on a real file system."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors.folder.adapter import FolderAdapter
from connectors.folder.settings import FolderSettings
from core.errors import Misconfigured, Rejected, Transient
from core.model import Job, Recording, Transcript, Utterance, Word
from core.ports import AdapterContext
from core.settings import Settings, load_settings
from core.testing import MemoryJobs, MemoryLinks, MemoryStore

PATIENCE = 20.0
SETTLE = 0.05


class Counting(MemoryStore):
    """Counts the writes."""

    writes = 0

    async def remember(self, space: str, key: str, value: str) -> None:
        self.writes += 1
        await super().remember(space, key, value)


class House:
    """A watched folder, the service around it, and what arrives there."""

    def __init__(self, base: Path, **options: Any) -> None:
        self.base = base
        self.inbox = base / "inbox"
        self.store = Counting()
        self.options = options
        self.recordings: list[Recording] = []
        self.adapter = self.open()
        self._news = asyncio.Condition()

    def open(self, node: str = "node", store: MemoryStore | None = None) -> FolderAdapter:
        context = AdapterContext(
            settings=load_settings(Settings, ERNI_DATA_DIR=self.base / "data"),
            store=store or self.store,
            jobs=MemoryJobs(),
            links=MemoryLinks(),
            node_id=node,
        )
        options = {"FOLDER_PATHS": str(self.inbox), "FOLDER_SETTLE_SECONDS": SETTLE} | self.options
        return FolderAdapter(context, load_settings(FolderSettings, **options))

    async def submit(self, recording: Recording) -> str:
        async with self._news:
            self.recordings.append(recording)
            self._news.notify_all()
        return job(recording).id

    @asynccontextmanager
    async def running(self, adapter: FolderAdapter | None = None) -> AsyncIterator[None]:
        task = asyncio.create_task((adapter or self.adapter).run(self.submit))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def arrived(self, count: int) -> list[Recording]:
        """Exactly so many shares, also after the folder had time to show more."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: len(self.recordings) >= count)
        assert len(self.recordings) == count, [recording.name for recording in self.recordings]
        return self.recordings

    async def seen(self, check: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not check():
                await asyncio.sleep(0.01)

    def drop(self, name: str, data: bytes = b"bytes") -> Path:
        self.inbox.mkdir(exist_ok=True)
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.inbox)) for path in self.inbox.rglob("*") if path.is_file())

    def remembered(self) -> list[str]:
        [space] = [space for space in self.store.spaces if space.endswith(":files")] or [""]
        return sorted(self.store.spaces.get(space, {}))


def job(recording: Recording) -> Job:
    return Job(id="job-" + recording.key.rpartition(":")[2][:8], recording=recording)


def saying(text: str, recording: Recording) -> Transcript:
    words = (Word(start=0.0, end=1.0, text=text),)
    utterances = (Utterance(speaker="Speaker 1", start=0.0, end=1.0, words=words),)
    return Transcript(
        content_key=recording.content_key,
        languages=("en",),
        seconds=1.0,
        utterances=utterances,
        engine="fake",
    )


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def once(house: House) -> None:
    """One run of the service until it has looked at everything."""
    inbox = next(iter(house.adapter._inboxes.values()))
    house.inbox.mkdir(exist_ok=True)
    async with asyncio.timeout(PATIENCE):
        inbox._next_round = 0.0
        delay = await inbox.step(house.submit)
        while (await inbox.watched())._pending:
            await asyncio.sleep(delay)
            delay = await inbox.step(house.submit)


# watching


async def test_the_inbox_is_made_and_what_is_dropped_comes_in(house: House) -> None:
    async with house.running():
        await house.seen(house.inbox.is_dir)
        house.drop("Team meeting.MP3")
        house.drop("notes.txt")
        house.drop("sub/folder/call.opus", b"other")
        await house.arrived(2)
    assert {recording.name for recording in house.recordings} == {"Team meeting.MP3", "call.opus"}


async def test_a_growing_file_is_taken_when_it_is_complete(house: House) -> None:
    house.options["FOLDER_SETTLE_SECONDS"] = 0.5
    house.adapter = house.open()
    path = house.drop("a.mp3", b"0")
    async with house.running():
        for _ in range(10):
            await asyncio.sleep(0.1)
            with path.open("ab") as file:
                file.write(b"more")
        [recording] = await house.arrived(1)
    assert recording.size == 41


@pytest.mark.parametrize("polling", [True, False])
async def test_moved_renamed_and_touched_files_are_not_done_again(house: House, polling: bool) -> None:
    house.options |= {"FOLDER_POLLING": polling, "FOLDER_POLL_SECONDS": 0.1}
    house.adapter = house.open()
    house.drop("a.mp3")
    async with house.running():
        await house.arrived(1)
        (house.inbox / "sub").mkdir()
        (house.inbox / "a.mp3").rename(house.inbox / "sub" / "b.mp3")
        await house.seen(lambda: house.remembered() == ["sub/b.mp3"])
        os.utime(house.inbox / "sub" / "b.mp3", (1, 1))
        (house.inbox / "sub").rename(house.inbox / "other")
        await house.seen(lambda: house.remembered() == ["other/b.mp3"])
        house.drop("last.mp3", b"last")
        await house.arrived(2)


async def test_moves_and_arrivals_while_it_was_off(house: House) -> None:
    house.drop("a.mp3")
    await once(house)
    (house.inbox / "a.mp3").rename(house.inbox / "b.mp3")
    house.drop("c.mp3", b"new")
    house.adapter = house.open()
    await once(house)
    assert [recording.name for recording in house.recordings] == ["a.mp3", "c.mp3"]


async def test_a_moved_file_is_known_on_file_systems_without_lasting_inodes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = next(iter(house.adapter._inboxes.values()))
    identity = inbox.folder.identity

    def on_a_network(check: Callable[[], None]) -> tuple[str, str, bool]:
        found = identity(check)
        inbox.folder._lasting = False
        return found[0], "cifs", found[2]

    monkeypatch.setattr(inbox.folder, "identity", on_a_network)
    house.drop("a.mp3")
    await once(house)
    (house.inbox / "a.mp3").rename(house.inbox / "b.mp3")
    await once(house)
    assert len(house.recordings) == 1
    assert house.remembered() == ["b.mp3"]


async def test_a_copy_is_answered_too_and_a_replaced_file_again(house: House) -> None:
    house.drop("a.mp3")
    await once(house)
    shutil.copy2(house.inbox / "a.mp3", house.inbox / "b.mp3")
    await once(house)
    house.drop("a.mp3", b"something else")
    await once(house)
    names = [recording.name for recording in house.recordings]
    assert names == ["a.mp3", "b.mp3", "a.mp3"]
    assert len({recording.key for recording in house.recordings}) == 3
    assert len({recording.content_key for recording in house.recordings}) == 2


async def test_links_partial_files_and_our_own_output_are_left_alone(house: House, tmp_path: Path) -> None:
    secret = tmp_path / "secret.mp3"
    secret.write_bytes(b"secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.mp3").write_bytes(b"secret too")
    house.drop("real.mp3")
    (house.inbox / "link.mp3").symlink_to(secret)
    (house.inbox / "linked").symlink_to(tmp_path / "outside")
    os.mkfifo(house.inbox / "pipe.mp3")
    (house.inbox / "folder.mp3").mkdir()
    for name in ("a.mp3.part", "b.mp3.crdownload", "._c.mp3", ".hidden/d.mp3", "e.transcript.json", "f.mp4"):
        house.drop(name)
    house.drop("f.mp4.aria2")
    inbox = next(iter(house.adapter._inboxes.values()))
    await inbox.step(house.submit)
    for _ in range(3):
        await asyncio.sleep(2 * SETTLE)
        inbox._next_round = 0.0
        await inbox.step(house.submit)
    assert [recording.name for recording in house.recordings] == ["real.mp3"]


async def test_a_link_put_in_the_place_of_a_recording_leads_nowhere(house: House, tmp_path: Path) -> None:
    (tmp_path / "secret.mp3").write_bytes(b"bytes")
    house.drop("sub/a.mp3")
    await once(house)
    (house.inbox / "sub" / "a.mp3").unlink()
    (house.inbox / "sub" / "a.mp3").symlink_to(tmp_path / "secret.mp3")
    with pytest.raises(Rejected):
        await house.adapter.fetch(house.recordings[0], tmp_path / "into")
    shutil.rmtree(house.inbox / "sub")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.mp3").write_bytes(b"bytes")
    (house.inbox / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Rejected):
        await house.adapter.fetch(house.recordings[0], tmp_path / "into")
    await house.adapter.deliver(saying("x", house.recordings[0]), job(house.recordings[0]))
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["a.mp3"]


@pytest.mark.parametrize("path", ["../secret.mp3", "/etc/passwd", "sub/../../secret.mp3", "a\0.mp3", ""])
async def test_an_address_cannot_lead_out(house: House, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.mp3").write_bytes(b"bytes")
    house.drop("a.mp3")
    await once(house)
    (house.inbox / "a.mp3").unlink()
    recording = house.recordings[0]
    address = json.loads(recording.address) | {"path": path}
    forged = Recording(
        **{name: getattr(recording, name) for name in Recording.__slots__} | {"address": json.dumps(address)}
    )
    with pytest.raises((Rejected, Transient)):
        await house.adapter.fetch(forged, tmp_path / "into")
    with contextlib.suppress(Rejected, Transient):
        await house.adapter.deliver(saying("x", forged), job(forged))
    assert sorted(entry.name for entry in tmp_path.iterdir() if "transcript" in entry.name) == []


async def test_an_empty_file_and_one_from_the_future(house: House) -> None:
    inbox = next(iter(house.adapter._inboxes.values()))
    (await inbox.watched())._empty_settle = SETTLE
    house.drop("empty.mp3", b"")
    os.utime(house.drop("future.mp3"), (2**33, 2**33))
    await once(house)
    assert {recording.name: recording.size for recording in house.recordings} == {
        "empty.mp3": 0,
        "future.mp3": 5,
    }


async def test_names_that_are_not_text(house: House) -> None:
    house.inbox.mkdir()
    raw = os.fsencode(house.inbox) + b"/caf\xe9\n.mp3"
    Path(os.fsdecode(raw)).write_bytes(b"bytes")
    await once(house)
    [recording] = house.recordings
    recording.address.encode()
    assert recording.name.isprintable()
    await house.adapter.deliver(saying("x", recording), job(recording))
    assert sum(".transcript" in path.name for path in house.inbox.iterdir()) == 3


async def test_what_lay_there_can_be_left_alone(house: House) -> None:
    house.options["FOLDER_BACKFILL"] = False
    house.adapter = house.open()
    house.drop("old.mp3")
    await once(house)
    house.drop("new.mp3", b"new")
    house.adapter = house.open()
    await once(house)
    assert [recording.name for recording in house.recordings] == ["new.mp3"]


async def test_a_lost_memory_is_made_good_by_the_transcripts_that_lie_there(house: House) -> None:
    house.drop("a.mp3")
    await once(house)
    await house.adapter.deliver(saying("x", house.recordings[0]), job(house.recordings[0]))
    house.store.spaces.clear()
    house.adapter = house.open()
    await once(house)
    assert len(house.recordings) == 1
    assert house.remembered() == ["a.mp3"]


async def test_lost_writes_lead_to_the_same_key(house: House) -> None:
    house.drop("a.mp3")
    await once(house)
    house.store.spaces.clear()
    house.adapter = house.open()
    await once(house)
    assert len({recording.key for recording in house.recordings}) == 1


async def test_a_store_that_is_away_loses_nothing(house: House) -> None:
    for index in range(3):
        house.drop(f"{index}.mp3", bytes([index]))
    inbox = next(iter(house.adapter._inboxes.values()))
    calls = 0

    async def submit(recording: Recording) -> str:
        nonlocal calls
        calls += 1
        if calls in {1, 3}:
            raise Transient("away")
        return await house.submit(recording)

    await inbox.step(submit)
    await asyncio.sleep(2 * SETTLE)
    for _ in range(2):
        with pytest.raises(Transient):
            await inbox.step(submit)
    await inbox.step(submit)
    assert sorted(recording.name for recording in house.recordings) == ["0.mp3", "1.mp3", "2.mp3"]


def fill(house: House, count: int) -> None:
    for index in range(count):
        folder = house.inbox / str(index % 50)
        folder.mkdir(exist_ok=True, parents=True)
        (folder / f"{index}.mp3").write_bytes(b"%d" % index)


async def test_a_file_costs_two_writes_and_one_reading_in_its_life(house: House) -> None:
    fill(house, 300)
    await once(house)
    assert len({recording.key for recording in house.recordings}) == 300
    assert house.store.writes == 2 * 300 + 1


async def test_five_thousand_known_files_cost_a_listing_and_nothing_else(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(house, 5000)
    house.options["FOLDER_BACKFILL"] = False
    house.adapter = house.open()
    await once(house)
    house.adapter, house.store.writes, read = house.open(), 0, 0
    inbox = next(iter(house.adapter._inboxes.values()))
    examine = inbox.folder.examine

    def counting(*arguments: Any) -> tuple[str, bool]:
        nonlocal read
        read += 1
        return examine(*arguments)

    monkeypatch.setattr(inbox.folder, "examine", counting)
    await once(house)
    assert (len(house.recordings), house.store.writes, read) == (0, 0, 0)
    house.drop("7/new.mp3", b"new")
    await once(house)
    assert (len(house.recordings), house.store.writes, read) == (1, 2, 1)


async def test_a_folder_that_goes_and_comes_back(house: House) -> None:
    house.options |= {"FOLDER_POLL_SECONDS": 0.1, "FOLDER_POLLING": True}
    house.adapter = house.open()
    house.drop("a.mp3")
    async with house.running():
        await house.arrived(1)
        house.inbox.rename(house.base / "away")
        inbox = next(iter(house.adapter._inboxes.values()))
        await house.seen(lambda: inbox.trouble)
        assert not (await house.adapter.check()).usable
        (house.base / "away").rename(house.inbox)
        house.drop("b.mp3", b"new")
        await house.arrived(2)
        await house.seen(lambda: not inbox.trouble)
        assert (await house.adapter.check()).usable


async def test_an_empty_mount_point_is_not_an_empty_folder(house: House, tmp_path: Path) -> None:
    house.drop("a.mp3")
    await once(house)
    space = next(space for space in house.store.spaces if space.endswith(":folder"))
    house.store.spaces[space]["filesystem"] = "nfs4"
    (house.inbox / "a.mp3").unlink()
    house.adapter = house.open()
    with pytest.raises(Transient, match="not mounted"):
        await house.adapter.fetch(house.recordings[0], tmp_path / "into")
    with pytest.raises(Transient, match="not mounted"):
        await house.adapter.deliver(saying("x", house.recordings[0]), job(house.recordings[0]))
    assert house.names() == []


# fetching


async def test_a_file_moved_meanwhile_is_fetched_and_answered_where_it_is(
    house: House, tmp_path: Path
) -> None:
    house.drop("a.mp3")
    await once(house)
    (house.inbox / "deep" / "er").mkdir(parents=True)
    (house.inbox / "a.mp3").rename(house.inbox / "deep" / "er" / "b.mp3")
    [recording] = house.recordings
    await house.adapter.fetch(recording, tmp_path / "into")
    assert (tmp_path / "into").read_bytes() == b"bytes"
    await house.adapter.deliver(saying("x", recording), job(recording))
    assert "deep/er/b.transcript.md" in house.names()


async def test_a_file_replaced_meanwhile_is_refused(house: House, tmp_path: Path) -> None:
    house.drop("a.mp3")
    await once(house)
    house.drop("a.mp3", b"other")
    with pytest.raises(Rejected, match="replaced"):
        await house.adapter.fetch(house.recordings[0], tmp_path / "into")


async def test_a_file_taken_away_and_put_back_is_tried_again(house: House, tmp_path: Path) -> None:
    path = house.drop("a.mp3")
    await once(house)
    path.rename(tmp_path / "a.mp3")
    with pytest.raises(Rejected, match="taken away"):
        await house.adapter.fetch(house.recordings[0], tmp_path / "into")
    await house.adapter.report_failure(job(house.recordings[0]), "It was taken away.")
    (tmp_path / "a.mp3").rename(path)
    await once(house)
    assert len({recording.key for recording in house.recordings}) == 2


# rights


@pytest.fixture
def stranger() -> Iterator[Path]:
    """A place of nobody's own, with the rights of nobody: root may do everything."""
    base = Path(tempfile.mkdtemp(prefix="erni-folder-"))
    base.chmod(0o755)
    root = os.geteuid() == 0
    if root:
        os.chown(base, 65534, 65534)
        os.seteuid(65534)
    try:
        yield base
    finally:
        if root:
            os.seteuid(0)
        for folder in [base, *(path for path in base.rglob("*") if path.is_dir())]:
            folder.chmod(0o700)
        shutil.rmtree(base)


async def test_a_read_only_folder_keeps_the_transcript_elsewhere_and_says_so(
    stranger: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(stranger)
    house.drop("sub/a.mp3")
    await once(house)
    (house.inbox / "sub").chmod(0o555)
    house.inbox.chmod(0o555)
    [recording] = house.recordings
    for _ in range(2):
        receipt = json.loads(await house.adapter.deliver(saying("x", recording), job(recording)))
    assert receipt["kept"]
    kept = sorted((stranger / "data" / "undelivered").rglob("*.transcript.*"))
    assert [path.name for path in kept] == ["a.transcript.json", "a.transcript.md", "a.transcript.srt"]
    assert (stranger / "data" / "undelivered").stat().st_mode & 0o077 == 0
    assert "can't be written to" in caplog.text
    readiness = await house.adapter.check()
    assert not readiness.usable
    assert "undelivered" in readiness.remedy


async def test_a_file_that_may_not_be_read_gets_a_note_and_no_loop(stranger: Path) -> None:
    house = House(stranger)
    path = house.drop("a.mp3")
    path.chmod(0)
    await once_more(house)
    await once_more(house)
    [recording] = house.recordings
    with pytest.raises(Rejected, match="may not read"):
        await house.adapter.fetch(recording, stranger / "into")
    await house.adapter.report_failure(job(recording), "No right to read it.")
    assert house.names() == ["a.mp3", "a.transcript-error.txt"]
    path.chmod(0o644)
    inbox = next(iter(house.adapter._inboxes.values()))
    (await inbox.watched()).postpone("a.mp3", 0.0)
    await inbox.step(house.submit)
    assert len(house.recordings) == 2
    await house.adapter.deliver(saying("x", house.recordings[1]), job(house.recordings[1]))
    assert "a.transcript-error.txt" not in house.names()


async def once_more(house: House) -> None:
    inbox = next(iter(house.adapter._inboxes.values()))
    for _ in range(3):
        inbox._next_round = 0.0
        await inbox.step(house.submit)
        await asyncio.sleep(2 * SETTLE)


async def test_a_subfolder_that_may_not_be_read_stops_nothing(stranger: Path) -> None:
    house = House(stranger)
    house.drop("closed/a.mp3")
    house.drop("b.mp3", b"b")
    await once_more(house)
    (house.inbox / "closed").chmod(0)
    house.drop("c.mp3", b"c")
    await once_more(house)
    (house.inbox / "closed").chmod(0o755)
    await once_more(house)
    assert sorted(recording.name for recording in house.recordings) == ["a.mp3", "b.mp3", "c.mp3"]


# settings


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FOLDER_FORMATS", "md,pdf"),
        ("FOLDER_OUTPUT", "../out"),
        ("FOLDER_OUTPUT", ".hidden"),
        ("FOLDER_SPEAKERS", "5-2"),
        ("FOLDER_SPEAKERS", "many"),
        ("FOLDER_SETTLE_SECONDS", "0"),
        ("FOLDER_PATHS", ""),
        ("FOLDER_POLLING", "perhaps"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(Misconfigured, match=variable):
        load_settings(FolderSettings)


def test_settings_come_from_the_environment(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {
        "FOLDER_PATHS": f"{house.base}/one, {house.base}/two",
        "FOLDER_SPEAKERS": "2-5",
        "FOLDER_LANGUAGES": "de,fr",
        "FOLDER_VOCABULARY": "Erni, Zürich",
        "FOLDER_FORMATS": "txt",
    }.items():
        monkeypatch.setenv(variable, value)
    settings = load_settings(FolderSettings)
    adapter = FolderAdapter(house.adapter._context, settings)
    policy = adapter._policy
    assert (policy.min_speakers, policy.max_speakers, policy.formats) == (2, 5, ("txt",))
    assert (policy.languages, policy.vocabulary) == (("de", "fr"), ("Erni", "Zürich"))
    assert [inbox.folder.root.name for inbox in adapter._inboxes.values()] == ["one", "two"]


def test_folders_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "outer").mkdir()
    for paths in ("missing/deep", "file", "outer,outer/inner", "."):
        absolute = ",".join(str(tmp_path / path) for path in paths.split(","))
        with pytest.raises(Misconfigured, match="FOLDER_PATHS"):
            House(tmp_path, FOLDER_PATHS=absolute)
