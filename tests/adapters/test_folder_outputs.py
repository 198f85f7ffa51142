"""One set of outputs for each recording, whatever breaks off when, and nothing of a person's lost."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.folder.adapter import FolderAdapter
from connectors.folder.client import Folder
from connectors.folder.mounts import filesystem_of, is_network
from connectors.folder.settings import FolderSettings
from core.errors import Transient
from core.model import Job, Recording, Transcript, Utterance, Word
from core.ports import AdapterContext
from core.settings import Settings, load_settings
from core.testing import MemoryJobs, MemoryLinks, MemoryStore

SET = ["a.transcript.json", "a.transcript.md", "a.transcript.srt"]


class Crash(BaseException):
    """The process is killed."""


class Fuse:
    """Blows before step number `at`; from then on nothing works any more, as after a SIGKILL."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.steps = 0

    def step(self) -> None:
        if self.at is not None and self.steps >= self.at:
            raise Crash
        self.steps += 1


class FusedStore(MemoryStore):
    fuse = Fuse()

    async def remember(self, space: str, key: str, value: str) -> None:
        self.fuse.step()
        await super().remember(space, key, value)

    async def forget(self, space: str, key: str) -> None:
        self.fuse.step()
        await super().forget(space, key)


def fused(fuse: Fuse, base: type[Folder]) -> type[Folder]:
    """A client that breaks off before any of its system calls that change something."""

    class Fused(base):  # type: ignore[misc, valid-type]  # a class made for one run
        def _create(self, directory: int, name: str) -> int:
            fuse.step()
            created: int = super()._create(directory, name)
            return created

        def _fill(self, file: int, data: bytes) -> None:
            fuse.step()
            super()._fill(file, data[: len(data) // 2])
            fuse.step()
            super()._fill(file, data[len(data) // 2 :])

        def _link(self, directory: int, old: str, new: str) -> None:
            fuse.step()
            super()._link(directory, old, new)

        def _rename(self, directory: int, old: str, new: str) -> None:
            fuse.step()
            super()._rename(directory, old, new)

        def _unlink(self, directory: int, name: str) -> None:
            fuse.step()
            super()._unlink(directory, name)

        def _sync(self, directory: int) -> None:
            fuse.step()
            super()._sync(directory)

    return Fused


class Linkless(Folder):
    """As on FAT and many network mounts."""

    def _link(self, directory: int, old: str, new: str) -> None:
        raise OSError(errno.EPERM, "no links here")


class Desk:
    """A watched folder in which recordings lie, and the means to answer them."""

    def __init__(self, base: Path, client: type[Folder] = Folder, **options: Any) -> None:
        self.base = base
        self.inbox = base / "inbox"
        self.inbox.mkdir()
        self.client = client
        self.options = options
        self.store = FusedStore()
        self.recordings: dict[str, Recording] = {}
        self.adapter = self.open()

    def open(
        self, fuse: Fuse | None = None, *, store: MemoryStore | None = None, node: str = "n"
    ) -> FolderAdapter:
        self.store.fuse = fuse or Fuse()
        context = AdapterContext(
            settings=load_settings(Settings, ERNI_DATA_DIR=self.base / "data"),
            store=store or self.store,
            jobs=MemoryJobs(),
            links=MemoryLinks(),
            node_id=node,
        )
        options = {"FOLDER_PATHS": str(self.inbox), "FOLDER_SETTLE_SECONDS": 0.001} | self.options
        client = fused(fuse, self.client) if fuse else self.client
        self.adapter = FolderAdapter(context, load_settings(FolderSettings, **options), folder=client)
        return self.adapter

    async def take(self, name: str, data: bytes | None) -> Job:
        """A person puts a file there, or it is there already, and it is submitted."""
        path = self.inbox / name
        if data is not None:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        await self.look()
        return job(self.recordings[name])

    async def look(self) -> None:
        async def submit(recording: Recording) -> str:
            self.recordings[json.loads(recording.address)["path"]] = recording
            return "id"

        inbox = next(iter(self.adapter._inboxes.values()))
        inbox._next_round = 0.0
        delay = await inbox.step(submit)
        while (await inbox.watched())._pending:
            await asyncio.sleep(delay)
            delay = await inbox.step(submit)

    def outputs(self) -> list[str]:
        return sorted(path.name for path in self.inbox.iterdir() if path.suffix not in {".mp3", ".wav"})

    def read(self, name: str) -> str:
        return (self.inbox / name).read_text()


def job(recording: Recording) -> Job:
    return Job(id="job-" + recording.key[-12:].replace(":", "-"), recording=recording)


def saying(text: str, asked: Job) -> Transcript:
    words = (Word(start=0.0, end=1.0, text=text),)
    utterances = (Utterance(speaker="Speaker 1", start=0.0, end=1.0, words=words),)
    return Transcript(
        content_key=asked.recording.content_key,
        languages=("en",),
        seconds=1.0,
        utterances=utterances,
        engine="fake",
    )


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


# crashes


async def nothing_before(desk: Desk) -> tuple[Job, list[str]]:
    return await desk.take("a.mp3", b"1"), SET


async def an_older_transcript(desk: Desk) -> tuple[Job, list[str]]:
    old = await desk.take("a.mp3", b"1")
    await desk.adapter.deliver(saying("old", old), old)
    return await desk.take("a.mp3", b"two"), SET


async def an_edited_transcript(desk: Desk) -> tuple[Job, list[str]]:
    job, _ = await an_older_transcript(desk)
    (desk.inbox / "a.transcript.md").write_text("edited by a person")
    return job, sorted([*SET, *(name.replace("transcript", "transcript (2)") for name in SET)])


async def a_note(desk: Desk) -> tuple[Job, list[str]]:
    failed = await desk.take("a.mp3", b"1")
    await desk.adapter.report_failure(failed, "It could not be read.")
    return await desk.take("a.mp3", b"two"), SET


@pytest.mark.parametrize("client", [Folder, Linkless])
@pytest.mark.parametrize("before", [nothing_before, an_older_transcript, an_edited_transcript, a_note])
async def test_a_crash_at_any_step_leaves_one_set_after_the_rerun(
    tmp_path: Path, before: Callable[[Desk], Any], client: type[Folder]
) -> None:
    crashes = 0
    while True:
        (tmp_path / str(crashes)).mkdir()
        desk = Desk(tmp_path / str(crashes), client)
        asked, expected = await before(desk)
        adapter = desk.open(Fuse(at=crashes))
        try:
            await adapter.deliver(saying("new", asked), asked)
            finished = True
        except Crash:
            finished = False
        adapter = desk.open()
        await adapter.deliver(saying("new", asked), asked)
        await desk.look()  # sweeps what the crash left
        assert desk.outputs() == expected, f"crashed before step {crashes}"
        newest = [name for name in expected if "(2)" in name] or expected
        assert all("new" in desk.read(name) for name in newest)
        if "edited" in before.__name__:
            assert desk.read("a.transcript.md") == "edited by a person"
        if finished:
            break
        crashes += 1
    assert crashes > 15


async def test_a_crash_at_any_step_leaves_one_note(tmp_path: Path) -> None:
    crashes, finished = 0, False
    while not finished:
        (tmp_path / str(crashes)).mkdir()
        desk = Desk(tmp_path / str(crashes))
        asked = await desk.take("a.mp3", b"1")
        try:
            await desk.open(Fuse(at=crashes)).report_failure(asked, "It could not be read.")
            finished = True
        except Crash:
            crashes += 1
        await desk.open().report_failure(asked, "It could not be read.")
        await desk.look()
        assert desk.outputs() == ["a.transcript-error.txt"]
    assert crashes > 5


async def test_what_a_person_did_between_crash_and_rerun_is_respected(desk: Desk) -> None:
    asked = await desk.take("a.mp3", b"1")
    steps = Fuse()
    await Desk.open(desk, steps).deliver(saying("new", asked), asked)
    for name in SET:
        (desk.inbox / name).unlink()
    desk.store.spaces = {space: rows for space, rows in desk.store.spaces.items() if space.endswith(":files")}
    with pytest.raises(Crash):  # before it is on record that all is done
        await desk.open(Fuse(at=steps.steps - 1)).deliver(saying("new", asked), asked)
    (desk.inbox / "a.transcript.md").write_text("edited meanwhile")
    await desk.open().deliver(saying("new", asked), asked)
    assert desk.outputs() == SET
    assert desk.read("a.transcript.md") == "edited meanwhile"


async def test_what_is_done_stays_as_the_person_wants_it(desk: Desk) -> None:
    asked = await desk.take("a.mp3", b"1")
    await desk.adapter.deliver(saying("x", asked), asked)
    (desk.inbox / "a.transcript.srt").unlink()
    (desk.inbox / "a.transcript.md").write_text("mine")
    await desk.open().deliver(saying("x", asked), asked)
    assert desk.outputs() == ["a.transcript.json", "a.transcript.md"]
    assert desk.read("a.transcript.md") == "mine"


async def test_temporary_files_in_use_are_not_swept(desk: Desk) -> None:
    (desk.inbox / ".erni-audio-dead.tmp").write_bytes(b"half")
    live = desk.inbox / ".erni-audio-live.tmp"
    with live.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        await desk.look()
        assert desk.outputs() == [live.name]
    await desk.look()
    assert desk.outputs() == []


# several at once


async def test_two_services_on_one_folder_leave_one_set(desk: Desk) -> None:
    one = await desk.take("a.mp3", b"1")
    first = desk.adapter
    second = desk.open(store=MemoryStore(), node="other")
    await desk.look()
    other = job(desk.recordings["a.mp3"])
    assert other.recording.key != one.recording.key
    await asyncio.gather(
        first.deliver(saying("x", one), one),
        second.deliver(saying("x", other), other),
        second.deliver(saying("x", other), other),
    )
    assert desk.outputs() == SET


async def test_recordings_of_one_name_keep_their_transcripts_apart(desk: Desk) -> None:
    desk.options["FOLDER_FORMATS"] = "txt"
    desk.open()
    alone = await desk.take("a.mp3", b"1")
    later = await desk.take("a.wav", b"2")
    for asked in (alone, later):
        await desk.adapter.deliver(saying(asked.recording.name, asked), asked)
    assert desk.outputs() == ["a.transcript.txt", "a.wav.transcript.txt"]
    again = await desk.take("a.mp3", b"11")
    await desk.adapter.deliver(saying("again", again), again)
    assert desk.outputs() == ["a.transcript.txt", "a.wav.transcript.txt"]
    assert "again" in desk.read("a.transcript.txt")


async def test_a_new_recording_of_an_old_name_does_not_take_the_old_one_s_transcript(desk: Desk) -> None:
    desk.options["FOLDER_FORMATS"] = "txt"
    desk.open()
    old = await desk.take("a.mp3", b"1")
    await desk.adapter.deliver(saying("first", old), old)
    (desk.inbox / "archive").mkdir()
    (desk.inbox / "a.mp3").rename(desk.inbox / "archive" / "a.mp3")
    await desk.look()
    new = await desk.take("a.mp3", b"2")
    await desk.adapter.deliver(saying("second", new), new)
    assert "first" in desk.read("a.transcript.txt")
    assert "second" in desk.read("a.transcript (2).txt")


async def test_an_older_version_that_comes_late_does_not_undo_the_newer(desk: Desk) -> None:
    old = await desk.take("a.mp3", b"1")
    new = await desk.take("a.mp3", b"two")
    await desk.adapter.deliver(saying("new", new), new)
    receipt = json.loads(await desk.adapter.deliver(saying("old", old), old))
    assert receipt == {"superseded": True}
    assert json.loads(await desk.adapter.report_failure(old, "replaced")) == {"superseded": True}
    assert desk.outputs() == SET
    assert all("new" in desk.read(name) for name in SET)


async def test_formats_that_are_not_wanted_any_more_go_with_the_content(desk: Desk) -> None:
    old = await desk.take("a.mp3", b"1")
    await desk.adapter.deliver(saying("old", old), old)
    desk.options["FOLDER_FORMATS"] = "md"
    desk.open()
    new = await desk.take("a.mp3", b"two")
    await desk.adapter.deliver(saying("new", new), new)
    assert desk.outputs() == ["a.transcript.md"]


# what belongs to people


@pytest.mark.parametrize("kind", ["file", "folder", "link", "empty"])
async def test_what_somebody_else_put_there_is_left_alone(desk: Desk, kind: str) -> None:
    taken = desk.inbox / "a.transcript.md"
    if kind == "folder":
        taken.mkdir()
    elif kind == "link":
        taken.symlink_to("nowhere")
    else:
        taken.write_text("" if kind == "empty" else "mine")
    asked = await desk.take("a.mp3", b"1")
    await desk.adapter.deliver(saying("x", asked), asked)
    assert desk.outputs() == sorted(
        ["a.transcript.md", *(name.replace("transcript", "transcript (2)") for name in SET)]
    )
    assert kind != "file" or taken.read_text() == "mine"


async def test_a_note_says_what_to_do_and_goes_when_there_is_a_transcript(desk: Desk) -> None:
    failed = await desk.take("a.mp3", b"1")
    await desk.adapter.report_failure(failed, "There is no sound in it.")
    note = desk.read("a.transcript-error.txt")
    assert "There is no sound in it." in note
    assert failed.id in note
    os.utime(desk.inbox / "a.mp3", (5, 5))
    again = await desk.take("a.mp3", None)
    assert again.recording.key != failed.recording.key
    await desk.adapter.deliver(saying("x", again), again)
    assert desk.outputs() == SET


async def test_an_edited_note_stays(desk: Desk) -> None:
    failed = await desk.take("a.mp3", b"1")
    await desk.adapter.report_failure(failed, "There is no sound in it.")
    (desk.inbox / "a.transcript-error.txt").write_text("I know.")
    new = await desk.take("a.mp3", b"two")
    await desk.adapter.deliver(saying("x", new), new)
    assert desk.read("a.transcript-error.txt") == "I know."


async def test_outputs_can_go_to_a_subfolder(desk: Desk) -> None:
    desk.options["FOLDER_OUTPUT"] = "Transcripts"
    desk.open()
    asked = await desk.take("sub/a.mp3", b"1")
    await desk.adapter.deliver(saying("x", asked), asked)
    assert sorted(path.name for path in (desk.inbox / "sub" / "Transcripts").iterdir()) == SET
    desk.store.spaces.clear()
    desk.recordings.clear()
    desk.open()
    await desk.look()
    assert desk.recordings == {}


async def test_a_link_for_a_subfolder_leads_nowhere(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (desk.inbox / "Transcripts").symlink_to(tmp_path / "elsewhere")
    desk.options["FOLDER_OUTPUT"] = "Transcripts"
    desk.open()
    asked = await desk.take("a.mp3", b"1")
    receipt = json.loads(await desk.adapter.deliver(saying("x", asked), asked))
    assert receipt["kept"]
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_outputs_have_the_rights_that_the_umask_leaves(desk: Desk) -> None:
    asked = await desk.take("a.mp3", b"1")
    before = os.umask(0o027)
    try:
        await desk.adapter.deliver(saying("x", asked), asked)
    finally:
        os.umask(before)
    assert all((desk.inbox / name).stat().st_mode & 0o777 == 0o640 for name in SET)


async def test_a_folder_that_is_not_watched_any_more_loses_no_transcript(desk: Desk) -> None:
    asked = await desk.take("a.mp3", b"1")
    (desk.base / "other").mkdir()
    desk.options["FOLDER_PATHS"] = str(desk.base / "other")
    for _ in range(2):
        await desk.open().deliver(saying("x", asked), asked)
    kept = sorted(path.name for path in (desk.base / "data" / "undelivered").rglob("*.transcript.*"))
    assert kept == SET


# the file system


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.ESTALE, errno.EDQUOT])
async def test_what_may_pass_is_transient_and_leaves_no_litter(tmp_path: Path, number: int) -> None:
    class Troubled(Folder):
        well = False

        def _fill(self, file: int, data: bytes) -> None:
            if not self.well:
                os.write(file, data[:3])
                raise OSError(number, os.strerror(number))
            super()._fill(file, data)

    desk = Desk(tmp_path, Troubled)
    asked = await desk.take("a.mp3", b"1")
    with pytest.raises(Transient):
        await desk.adapter.deliver(saying("x", asked), asked)
    assert desk.outputs() == []
    Troubled.well = True
    await desk.adapter.deliver(saying("x", asked), asked)
    assert desk.outputs() == SET


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
31 22 0:27 / /mnt/my\\040nas rw,relatime shared:2 - nfs4 nas:/x rw
32 31 0:28 / /mnt/my\\040nas/local rw - xfs /dev/sdb rw
33 22 0:29 / /over rw - ext4 /dev/sdc rw
34 22 0:30 / /over rw master:1 - fuse.sshfs me@host: rw
garbage
"""


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/home/x", "ext4", False),
        ("/mnt/my nas/meetings", "nfs4", True),
        ("/mnt/my nas/local/x", "xfs", False),
        ("/mnt/my nas2", "ext4", False),
        ("/over/x", "fuse.sshfs", True),
    ],
)
def test_network_mounts_are_recognised(path: str, kind: str, network: bool) -> None:
    assert filesystem_of(Path(path), MOUNTS) == kind
    assert is_network(kind) is network
