"""What people do in a watched folder of Google Drive, and what comes of it, through Google's library."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from connectors.gdrive import comments
from connectors.gdrive.adapter import GDriveFolders, create
from core.errors import AuthFailed, Misconfigured, Rejected, Transient
from core.model import Recording, Stage
from core.places import Keyring, WatchedFolders
from core.policies import ChannelPolicy
from core.ports import Adapter, Linked, Routed, Welcoming
from core.registry import ADAPTERS, load
from core.tasks import end
from core.testing import MemoryStore
from tests.adapters.gdrive_desk import TALK, Desk, Way, desk, job_of, key_path, refresh_token, saying
from tests.vendors.gdrive import SCOPE, backend_error, rate_limited
from tests.vendors.gdrive_model import DOCUMENT

PATIENCE = 20.0
WRITABLE: tuple[Way, ...] = ("person", "shared drive")


@pytest.fixture(params=["person"])
async def at(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path, request.param) as made:
        yield made


both = pytest.mark.parametrize("at", WRITABLE, indirect=True)


class Intake:
    """Takes what is submitted; a known key is a no-op."""

    def __init__(self) -> None:
        self.recordings: dict[str, Recording] = {}
        self.calls = 0
        self._news = asyncio.Condition()

    async def __call__(self, recording: Recording) -> str:
        async with self._news:
            self.calls += 1
            self.recordings.setdefault(recording.key, recording)
            self._news.notify_all()
        return "job"

    async def count(self, wanted: int) -> list[Recording]:
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: len(self.recordings) >= wanted)
        return list(self.recordings.values())


@asynccontextmanager
async def running(adapter: Adapter, intake: Intake) -> AsyncIterator[None]:
    task = asyncio.create_task(adapter.run(intake))
    try:
        yield
    finally:
        await end(task)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def quiet(at: Desk, intake: Intake) -> None:
    """The watcher has asked for changes twice since, and nothing came of it."""
    before, calls = len(at.server.called("changes.list")), intake.calls
    await at.server.until(lambda: len(at.server.called("changes.list")) >= before + 3)
    assert intake.calls == calls


async def answered(
    at: Desk, adapter: GDriveFolders, recording: Recording, text: str = "good morning"
) -> None:
    await adapter.fetch(recording, at.tmp_path / "fetched")
    await adapter.deliver(saying(text, recording), job_of(recording))


def test_it_is_in_the_registry_and_is_what_the_core_wants(tmp_path: Path) -> None:
    assert load(ADAPTERS["gdrive"]) is create


@both
async def test_from_a_drop_to_a_transcript_beside_it(at: Desk) -> None:
    await at.watch()
    adapter, intake = at.open(), Intake()
    assert all(isinstance(adapter, kind) for kind in (Linked, Routed, Welcoming))
    async with running(adapter, intake):
        inner = at.server.folder(at.inbox, "2026")
        file = at.server.upload(inner, "Board meeting.mp3", TALK, by=at.anna)
        [recording] = await intake.count(1)
        assert recording.name == "Board meeting.mp3"
        assert recording.size == len(TALK)
        assert recording.shared_by == at.anna.id
        assert recording.shared_at.timestamp() == pytest.approx(file.created, abs=0.01)
        assert recording.content_key.startswith("sha256:")
        await answered(at, adapter, recording)
        assert (at.tmp_path / "fetched").read_bytes() == TALK
        [[text]] = at.texts(inner).values()
        assert "good morning" in text
        await quiet(at, intake)
        assert (await adapter.check()).usable


@both
async def test_a_replaced_recording_gets_a_new_one_a_renamed_moved_or_commented_one_does_not(
    at: Desk,
) -> None:
    await at.watch()
    adapter, intake, server = at.open(), Intake(), at.server
    file = server.upload(at.inbox, "a.mp3", TALK, by=at.anna)
    async with running(adapter, intake):
        [first] = await intake.count(1)
        await answered(at, adapter, first, "first")
        server.comment(file, "Nice", by=at.anna)
        server.rename(file, "b.mp3", by=at.anna)
        server.move(file, server.folder(at.inbox, "inner", by=at.anna), by=at.anna)
        await quiet(at, intake)
        server.replace(file, TALK * 2, by=at.anna)
        second = (await intake.count(2))[1]
        await adapter.fetch(second, at.tmp_path / "fetched")
        with pytest.raises(Rejected, match="replaced"):
            await adapter.fetch(first, at.tmp_path / "fetched")


@both
@pytest.mark.parametrize(
    ("name", "base"),
    [
        (
            "Weekly sync - 2026/11/20 10:00 CET - Recording",
            "Weekly sync - 2026_11_20 10:00 CET - Recording",
        ),
        ("v1.2 sync", "v1.2 sync"),
    ],
)
async def test_a_recording_whose_name_has_no_ending_is_known_by_its_type(
    at: Desk, name: str, base: str
) -> None:
    """As Google Meet saves them."""
    await at.watch()
    adapter, intake, server = at.open(), Intake(), at.server
    async with running(adapter, intake):
        file = server.upload(at.inbox, name, TALK, by=at.anna, mime_type="video/mp4")
        server.upload(at.inbox, "minutes", b"text", by=at.anna, mime_type="text/plain")
        server.upload(at.inbox, "b.mp4.crdownload", TALK, by=at.anna, mime_type="video/mp4")
        server.upload(at.inbox, "v1.3 sync", TALK * 2, by=at.anna, mime_type="video/mp4")
        by_name = {recording.name: recording for recording in await intake.count(2)}
        assert set(by_name) == {name, "v1.3 sync"}
        recording = by_name[name]
        await adapter.report_failure(job_of(recording), "There is no sound in it.")
        assert set(at.texts(notes=True)) == {f"{base}.transcript-error.txt"}
        await answered(at, adapter, recording)
        await quiet(at, intake)
        assert (at.tmp_path / "fetched").read_bytes() == TALK
        assert set(at.texts()) == {f"{base}.transcript.txt"}
        assert at.texts(notes=True) == {}
        server.make_shortcut(file, at.inbox, name="Sync", by=at.anna)
        *_, through = await intake.count(3)
        assert (through.name, through.content_key) == ("Sync", recording.content_key)
        server.replace(file, TALK * 3, by=at.anna)
        again = await intake.count(5)
    assert sorted(one.name for one in again) == sorted([name, name, "Sync", "Sync", "v1.3 sync"])


async def test_a_copy_is_a_share_of_its_own_with_the_same_content(at: Desk) -> None:
    await at.watch()
    adapter, intake = at.open(), Intake()
    file = at.server.upload(at.inbox, "a.mp3", TALK)
    async with running(adapter, intake):
        await intake.count(1)
        at.server.copy(file)
        one, two = await intake.count(2)
        assert one.content_key == two.content_key
        for number, recording in enumerate((one, two)):
            await adapter.deliver(saying("hello", recording), job_of(recording, number))
    assert set(at.texts()) == {"a.transcript.txt", "Copy of a.transcript.txt"}


async def test_what_a_person_writes_into_a_transcript_stays(at: Desk) -> None:
    await at.watch()
    adapter, intake, server = at.open(), Intake(), at.server
    file = server.upload(at.inbox, "a.mp3", TALK)
    async with running(adapter, intake):
        [first] = await intake.count(1)
        await answered(at, adapter, first, "first")
        server.replace(server.named(at.inbox, "a.transcript.txt"), b"corrected by hand")
        server.replace(file, TALK * 2)
        second = (await intake.count(2))[1]
        await adapter.deliver(saying("second", second), job_of(second, 2))
    texts = at.texts()
    assert texts["a.transcript.txt"] == ["corrected by hand"]
    assert "second" in texts["a.transcript (2).txt"][0]


async def test_a_copy_of_a_transcript_is_neither_a_recording_nor_ours(at: Desk) -> None:
    await at.watch()
    adapter, intake, server = at.open(), Intake(), at.server
    file = server.upload(at.inbox, "a.mp3", TALK)
    async with running(adapter, intake):
        [first] = await intake.count(1)
        await answered(at, adapter, first, "first")
        server.advance(5)
        server.copy(server.named(at.inbox, "a.transcript.txt"), name="a.transcript.txt")
        server.trash(file)
        await until(lambda: len(at.texts().get("a.transcript.txt", [])) == 1)
        await quiet(at, intake)
    assert len(at.texts()["a.transcript.txt"]) == 1


async def test_a_page_token_that_ran_out_loses_nothing(at: Desk) -> None:
    await at.watch()
    adapter, intake = at.open(), Intake()
    async with running(adapter, intake):
        at.server.upload(at.inbox, "a.mp3", TALK)
        await intake.count(1)
        at.server.upload(at.inbox, "b.mp3", TALK * 2)
        at.server.expire_page_token(at.anna)
        await intake.count(2)
        await quiet(at, intake)


async def test_what_changed_while_it_was_off_is_found_from_where_it_was(at: Desk) -> None:
    await at.watch()
    intake = Intake()
    async with running(at.open(), intake):
        at.server.upload(at.inbox, "a.mp3", TALK)
        await intake.count(1)
        await quiet(at, intake)
    lists = len(at.server.called("files.list"))
    at.server.upload(at.inbox, "b.mp3", TALK * 2)
    async with running(at.open(), intake):
        await intake.count(2)
        await quiet(at, intake)
    [one] = at.server.called("files.list")[lists:]  # what shortcuts there are
    assert "shortcut" in one.params["q"]


async def test_a_recording_behind_a_shortcut_that_was_replaced_while_it_was_off_is_found(at: Desk) -> None:
    await at.watch()
    intake = Intake()
    target = at.server.upload(at.home, "talk.mp3", TALK)
    shortcut = at.server.make_shortcut(target, at.inbox)
    async with running(at.open(), intake):
        await intake.count(1)
        await quiet(at, intake)
    at.server.replace(target, TALK * 2)
    adapter = at.open()
    async with running(adapter, intake):
        _, again = await intake.count(2)
        await adapter.fetch(again, at.tmp_path / "fetched")
    assert json.loads(again.address)["file"] == shortcut.id
    assert (at.tmp_path / "fetched").read_bytes() == TALK * 2


async def test_two_services_that_watch_one_folder_submit_the_same_shares(at: Desk) -> None:
    await at.watch()
    intake = Intake()
    async with running(at.open(), intake), running(at.open(), intake):
        at.server.upload(at.inbox, "a.mp3", TALK)
        [recording] = await intake.count(1)
        transcripts = (at.open().deliver(saying("hello", recording), job_of(recording)) for _ in range(3))
        await asyncio.gather(*transcripts)
        await quiet(at, intake)
    assert [len(found) for found in at.texts().values()] == [1]
    assert len(intake.recordings) == 1


async def test_access_that_is_taken_back_is_told_and_comes_back(at: Desk) -> None:
    bo = at.server.person("bo@example.com")
    theirs = at.server.folder(bo, "Theirs")
    at.server.share(theirs, at.anna, "writer")
    await at.watch(theirs)
    adapter, intake = at.open(), Intake()
    async with running(adapter, intake):
        at.server.upload(theirs, "a.mp3", TALK)
        [recording] = await intake.count(1)
        at.server.unshare(theirs, at.anna)
        async with asyncio.timeout(PATIENCE):
            while (readiness := await adapter.check()).usable:
                await asyncio.sleep(0.02)
        assert "not shared with the service" in readiness.reason
        with pytest.raises(Rejected, match="taken away"):
            await adapter.fetch(recording, at.tmp_path / "fetched")
        with pytest.raises(AuthFailed):
            await adapter.deliver(saying("hello", recording), job_of(recording))
        at.server.share(theirs, at.anna, "writer")
        at.server.upload(theirs, "b.mp3", TALK * 2)
        await intake.count(2)
        async with asyncio.timeout(PATIENCE):
            while not (await adapter.check()).usable:
                await asyncio.sleep(0.02)


async def test_a_folder_that_may_only_be_read_is_told(at: Desk) -> None:
    theirs = at.server.folder(at.server.person("bo@example.com"), "Theirs")
    at.server.share(theirs, at.anna, "reader")
    await at.watch(theirs)
    adapter, intake = at.open(), Intake()
    assert "not write into it" in (await adapter.check()).reason
    async with running(adapter, intake):
        at.server.upload(theirs, "a.mp3", TALK)
        [recording] = await intake.count(1)
    with pytest.raises(AuthFailed, match="not write into it"):
        await adapter.deliver(saying("hello", recording), job_of(recording))


@pytest.mark.parametrize("at", ["service account"], indirect=True)
async def test_a_service_account_in_my_drive_is_told_what_to_do(at: Desk) -> None:
    await at.watch()
    adapter, intake = at.open(), Intake()
    assert "Service accounts own no storage" in (await adapter.check()).reason
    async with running(adapter, intake):
        at.server.upload(at.inbox, "a.mp3", TALK)
        [recording] = await intake.count(1)
    with pytest.raises(AuthFailed, match="Service accounts own no storage"):
        await adapter.deliver(saying("hello", recording), job_of(recording))


@pytest.mark.parametrize(
    "trouble", [rate_limited(), rate_limited(status=429), backend_error(503), "cut"], ids=str
)
async def test_trouble_that_passes_loses_and_doubles_nothing(at: Desk, trouble: Any) -> None:
    await at.watch()
    adapter, intake = at.open(), Intake()
    for method in (
        "files.get",
        "files.list",
        "changes.list",
        "changes.getStartPageToken",
        "files.generateIds",
    ):
        at.server.fail(method, trouble, trouble)
    at.server.fail("files.create", trouble, "lost", trouble)
    async with running(adapter, intake):
        at.server.upload(at.inbox, "a.mp3", TALK)
        [recording] = await intake.count(1)
        await answered(at, adapter, recording)
        await quiet(at, intake)
    assert [len(found) for found in at.texts().values()] == [1]


@pytest.mark.parametrize(
    "name",
    [
        "🎙️ intervista 👩‍👩‍👧.mp3",
        "פגישה שבועית.mp3",
        "meeting . .mp3",
        "  leading.mp3",
        "a/b\\c 'd'.mp3",
        "é" * 125 + ".mp3",
        "x" * 400 + ".mp3",
        "😀" * 10_000 + ".mp3",
        'it\'s "quoted" \u202e3pm.mp3',
        "half an emoji \ud83d.mp3",
    ],
)
async def test_whatever_it_is_called_it_is_answered(at: Desk, name: str) -> None:
    await at.watch()
    adapter, intake = at.open(), Intake()
    async with running(adapter, intake):
        at.server.upload(at.inbox, name, TALK)
        [recording] = await intake.count(1)
        await adapter.report_failure(job_of(recording), "There is no sound in it.")
        assert [len(texts) for texts in at.texts(notes=True).values()] == [1]
        await answered(at, adapter, recording)
        await adapter.deliver(saying("good morning", recording), job_of(recording))
    assert at.texts(notes=True) == {}
    assert [len(texts) for texts in at.texts().values()] == [1]


async def test_access_that_is_lost_after_the_recording_was_read(at: Desk) -> None:
    bo = at.server.person("bo@example.com")
    theirs = at.server.folder(bo, "Theirs")
    at.server.share(theirs, at.anna, "writer")
    await at.watch(theirs)
    adapter, intake = at.open(), Intake()
    async with running(adapter, intake):
        at.server.upload(theirs, "a.mp3", TALK, by=bo)
        [recording] = await intake.count(1)
        await adapter.fetch(recording, at.tmp_path / "fetched")
        at.server.share(theirs, at.anna, "reader")
        with pytest.raises(AuthFailed):
            await adapter.deliver(saying("good morning", recording), job_of(recording))
        assert at.texts(theirs) == {}
        at.server.share(theirs, at.anna, "writer")
        await adapter.deliver(saying("good morning", recording), job_of(recording))
    assert [len(texts) for texts in at.texts(theirs).values()] == [1]


async def test_a_recording_that_comes_back_from_the_bin_is_answered_again(at: Desk) -> None:
    await at.watch(policy=ChannelPolicy(formats=("txt",), delete_with_recording=True))
    adapter, intake = at.open(), Intake()
    async with running(adapter, intake):
        file = at.server.upload(at.inbox, "a.mp3", TALK)
        [first] = await intake.count(1)
        await answered(at, adapter, first)
        at.server.trash(file)
        await until(lambda: at.texts() == {})
        at.server.untrash(file)
        _, again = await intake.count(2)
        await adapter.deliver(saying("good morning", again), job_of(again, 2))
    assert [len(texts) for texts in at.texts().values()] == [1]


@both
async def test_nothing_is_shared_more_widely_than_the_folder(at: Desk) -> None:
    await at.watch(output="Texts", options={"document": "yes", "comments": "yes"})
    adapter, intake = at.open(), Intake()
    async with running(adapter, intake):
        at.server.upload(at.inbox, "a.mp3", TALK)
        [recording] = await intake.count(1)
        await adapter.progress(job_of(recording), Stage.FETCHING, None)
        await answered(at, adapter, recording)
    [texts] = [file for file in at.server.files_in(at.inbox) if file.name == "Texts"]
    assert len(at.server.files_in(texts)) == 2
    assert [call.method for call in at.server.calls if call.method.startswith("permissions.")] == []
    told = {
        name
        for call in at.server.calls
        if call.method in {"files.create", "files.update"}
        for name in (*call.params, *(call.body or {}))
    }
    assert told & {"addParents", "permissions", "writersCanShare", "copyRequiresWriterPermission"} == set()


async def test_shortcuts_that_lead_in_circles_are_left_alone(at: Desk) -> None:
    await at.watch()
    adapter, intake = at.open(), Intake()
    outer = at.server.folder(at.inbox, "outer")
    at.server.make_shortcut(at.inbox, outer, name="back.mp3")
    at.server.make_shortcut(outer, at.inbox, name="forth.mp3")
    async with running(adapter, intake):
        at.server.upload(outer, "a.mp3", TALK)
        await intake.count(1)
        await quiet(at, intake)
    assert len(intake.recordings) == 1


async def test_a_delivery_that_broke_off_ends_in_one_set(at: Desk) -> None:
    policy = ChannelPolicy(formats=("txt", "md", "json"))
    await at.watch(policy=policy)
    adapter, intake = at.open(), Intake()
    async with running(adapter, intake):
        at.server.upload(at.inbox, "a.mp3", TALK)
        [recording] = await intake.count(1)
    transcript = saying("hello", recording)
    for lost in range(1, 4):
        at.server.forgive()
        for _ in range(lost - 1):
            at.server.fail("files.create", "lost")
        for _ in range(10):
            at.server.fail("files.create", "cut")
        with contextlib.suppress(Transient):
            await at.open().deliver(transcript, job_of(recording))
    at.server.forgive()
    await at.open().deliver(transcript, job_of(recording))
    names = [file.name for file in at.server.files_in(at.inbox)]
    assert names == ["a.mp3", "a.transcript.json", "a.transcript.md", "a.transcript.txt"]


async def test_a_google_doc_where_that_is_wanted(at: Desk) -> None:
    await at.watch(options={"document": "yes"})
    adapter, intake = at.open(), Intake()
    file = at.server.upload(at.inbox, "a.mp3", TALK)
    async with running(adapter, intake):
        [first] = await intake.count(1)
        for _ in range(2):
            await adapter.deliver(saying("first words", first), job_of(first))
        at.server.fail("files.update", "lost")
        at.server.replace(file, TALK * 2)
        second = (await intake.count(2))[1]
        await adapter.deliver(saying("second words", second), job_of(second, 2))
        await quiet(at, intake)
    document = at.server.named(at.inbox, "a.transcript")
    assert document.mime_type == DOCUMENT
    assert "second words" in document.text
    assert len(at.server.files_in(at.inbox)) == 3


async def test_comments_where_they_are_wanted(at: Desk) -> None:
    await at.watch(options={"comments": "yes"})
    adapter, intake = at.open(), Intake()
    file, bad = at.server.upload(at.inbox, "a.mp3", TALK), at.server.upload(at.inbox, "b.mp3", b"bad")
    async with running(adapter, intake):
        by_name = {recording.name: recording for recording in await intake.count(2)}
        good, failed = job_of(by_name["a.mp3"]), job_of(by_name["b.mp3"], 2)
        for stage in Stage:
            await adapter.progress(good, stage, 0.5)
        await at.open().progress(good, Stage.FETCHING, None)
        for _ in range(2):
            await adapter.deliver(saying("hello", good.recording), good)
            await adapter.report_failure(failed, "There is no sound in it.")
        await quiet(at, intake)
    assert [comment.content.splitlines()[0] for comment in file.comments] == [comments.BEGUN, comments.DONE]
    assert [comment.content.splitlines()[0] for comment in bad.comments] == [comments.FAILED]
    at.server.fail("comments.list", *[backend_error()] * 20)
    await adapter.deliver(saying("hello", good.recording), good)  # comments are not worth a failure


async def test_comments_cost_no_call_for_every_report(at: Desk) -> None:
    await at.watch(options={"comments": "yes"})
    adapter, intake = at.open(), Intake()
    at.server.upload(at.inbox, "a.mp3", TALK)
    async with running(adapter, intake):
        [recording] = await intake.count(1)
    for report in range(50):
        await adapter.progress(job_of(recording), Stage.RECOGNISING, report / 50)
    await adapter.deliver(saying("hello", recording), job_of(recording))
    for method in ("comments.list", "comments.create"):
        assert len(at.server.called(method)) == 2
    at.server.fail("comments.list", *[backend_error()] * 20)
    for report in range(50):
        await adapter.progress(job_of(recording, 2), Stage.RECOGNISING, report / 50)
    assert len(at.server.called("comments.list")) <= 2 + 4


# Links


@both
async def test_links_that_are_open_to_anybody_are_fetched(at: Desk) -> None:
    await at.watch()
    adapter, server = at.open(), at.server
    watched = server.upload(at.inbox, "a.mp3", TALK, by=at.anna)
    outside = server.upload(at.anna, "b.mp3", TALK[::-1], by=at.anna)
    into = at.tmp_path / "fetched"
    url = "https://drive.google.com/file/d/{}/view?usp=sharing"
    assert adapter.covers(url.format(watched.id))
    assert not adapter.covers("https://example.com/file/d/0123456789/view")
    for file, data in ((watched, TALK), (outside, TALK[::-1])):
        with pytest.raises(Rejected, match="Not everybody who has this link"):
            await adapter.fetch_link(url.format(file.id), into)
        server.share(file, None, "reader")
        await adapter.fetch_link(url.format(file.id), into)
        assert into.read_bytes() == data
    document = server.document(at.inbox, "Minutes", "text", by=at.anna)
    server.share(document, None, "reader")
    with pytest.raises(Rejected, match="no file with sound"):
        await adapter.fetch_link(f"https://docs.google.com/document/d/{document.id}/edit", into)
    with pytest.raises(Rejected, match="Not everybody"):
        await adapter.fetch_link(url.format("nothing-of-this-id"), into)


@both
async def test_links_into_watched_folders_are_fetched_where_the_operator_says_so(at: Desk) -> None:
    await at.watch()
    at.settings["GDRIVE_LINKS"] = "watched"
    server, adapter = at.server, at.open()
    watched = server.upload(at.inbox, "a.mp3", TALK, by=at.anna)
    outside = server.upload(at.anna, "b.mp3", TALK, by=at.anna)
    into = at.tmp_path / "fetched"
    await adapter.fetch_link(f"https://drive.google.com/file/d/{watched.id}/view", into)
    assert into.read_bytes() == TALK
    with pytest.raises(Rejected, match="Not everybody"):
        await adapter.fetch_link(f"https://drive.google.com/file/d/{outside.id}/view", into)


async def test_the_name_of_what_a_shortcut_leads_to_is_not_told_either(at: Desk) -> None:
    server = at.server
    await at.watch()
    bo = server.person("bo@example.com")
    server.share(at.inbox, bo, "writer")
    secret = server.upload(at.home, "Layoffs in March.mp3", TALK, by=at.anna)
    server.make_shortcut(secret, at.inbox, name="Look", by=bo)
    adapter, intake = at.open(), Intake()
    async with running(adapter, intake):
        [recording] = await intake.count(1)
        assert recording.name == "Look"
        await adapter.report_failure(job_of(recording), "This shortcut ...")
        server.rename(secret, "Layoffs in April.mp3")
        server.replace(secret, TALK * 2)
        await quiet(at, intake)
        [(name, [text])] = at.texts(notes=True).items()
        assert "Layoffs" not in name + text + json.dumps(asdict(recording), default=str)
        server.share(secret, bo, "reader")
        _, again = await intake.count(2)
        assert again.name == "Layoffs in April.mp3"
        await answered(at, adapter, again)
    assert at.texts(notes=True) == {}
    assert set(at.texts()) == {"Layoffs in April.transcript.txt"}


async def test_a_shortcut_hands_out_nothing_that_who_put_it_there_may_not_read(at: Desk) -> None:
    """The service sees a file that Bo does not; he knows its id."""
    server = at.server
    await at.watch()
    bo = server.person("bo@example.com")
    server.share(at.inbox, bo, "writer")
    secret = server.upload(at.home, "board.mp3", TALK, by=at.anna)
    shortcut = server.make_shortcut(secret, at.inbox, by=bo)
    adapter, intake = at.open(), Intake()
    async with running(adapter, intake):
        [recording] = await intake.count(1)
        with pytest.raises(Rejected, match="leads to a file that may not"):
            await adapter.fetch(recording, at.tmp_path / "fetched")
        assert not (at.tmp_path / "fetched").exists()
        await adapter.report_failure(job_of(recording), "This shortcut ...")
        server.share(secret, bo, "reader")
        *_, again = await intake.count(2)
        assert json.loads(again.address)["file"] == shortcut.id
        await adapter.fetch(again, at.tmp_path / "fetched")
    assert (at.tmp_path / "fetched").read_bytes() == TALK


async def test_links_are_fetched_with_any_account_that_is_connected(at: Desk) -> None:
    """Also if nothing of it is watched, or the first one does not work any more."""
    file = at.server.upload(at.inbox, "a.mp3", TALK)
    at.server.share(file, None, "reader")
    url, into = f"https://drive.google.com/file/d/{file.id}/view", at.tmp_path / "fetched"
    nobody = r"No Google account is connected to fetch links with. Run `erni-audio connect gdrive`\."
    with pytest.raises(AuthFailed, match=nobody):
        await at.open().fetch_link(url, into)
    assert at.server.calls == []
    keyring = Keyring(at.store, at.context.settings, "gdrive")
    revoked = replace(at.credentials, account="a", label="a", secret=refresh_token(at.server, at.anna))
    await keyring.save(replace(revoked, secret=revoked.secret.replace("1//", "2//")))
    with pytest.raises(AuthFailed, match="access was taken back"):
        await at.open().fetch_link(url, into)
    await keyring.save(at.credentials)
    await at.open().fetch_link(url, into)
    assert into.read_bytes() == TALK
    at.server.unshare(file, None)
    with pytest.raises(Rejected, match="Not everybody who has this link"):
        await at.open().fetch_link(url, into)


@pytest.mark.parametrize("at", ["shared drive"], indirect=True)
async def test_links_are_fetched_with_the_account_in_settings(at: Desk) -> None:
    file = at.server.upload(at.inbox, "a.mp3", TALK)
    at.server.share(file, None, "reader")
    at.settings |= {"GDRIVE_CREDENTIALS": key_path(at)}
    url, into = f"https://drive.google.com/file/d/{file.id}/view", at.tmp_path / "fetched"
    await at.open().fetch_link(url, into)
    assert into.read_bytes() == TALK


@pytest.mark.parametrize("links", ["open", "watched"])
async def test_a_link_to_a_folder_says_so(at: Desk, links: str) -> None:
    await at.watch()
    at.settings["GDRIVE_LINKS"] = links
    adapter, into = at.open(), at.tmp_path / "fetched"
    text = "This link leads to a folder. Share a link to the recording in it."
    with pytest.raises(Rejected, match=text):
        await adapter.fetch_link(f"https://drive.google.com/drive/folders/{at.inbox.id}?usp=sharing", into)
    assert at.server.calls == []
    inner = at.server.folder(at.inbox, "inner")
    url = f"https://drive.google.com/open?id={inner.id}"
    with pytest.raises(Rejected, match="Not everybody who has this link"):
        await adapter.fetch_link(url, into)
    at.server.share(inner, None, "reader")
    with pytest.raises(Rejected, match=text):
        await adapter.fetch_link(url, into)


async def test_a_link_to_a_shortcut_that_is_not_followed_says_so(at: Desk) -> None:
    server = at.server
    await at.watch()
    at.settings["GDRIVE_LINKS"] = "watched"
    bo = server.person("bo@example.com")
    server.share(at.inbox, bo, "writer")
    shortcut = server.make_shortcut(server.upload(at.home, "board.mp3", TALK), at.inbox, by=bo)
    url, into = "https://drive.google.com/file/d/{}/view", at.tmp_path / "fetched"
    with pytest.raises(Rejected, match="This shortcut leads to a file that may not be downloaded, or that"):
        await at.open().fetch_link(url.format(shortcut.id), into)
    carl = server.person("carl@example.com")
    kept = server.upload(carl, "kept.mp3", TALK)
    server.share(kept, None, "reader")
    server.forbid_download(kept)
    with pytest.raises(Rejected, match="The owner of this file does not let others download it"):
        await at.open().fetch_link(url.format(kept.id), into)
    assert not into.exists()


@pytest.mark.parametrize("links", ["open", "watched"])
async def test_links_to_what_is_too_large_are_refused_before_a_byte_comes(at: Desk, links: str) -> None:
    await at.watch()
    at.settings["GDRIVE_LINKS"] = links
    at.max_bytes = 2000
    small, large = (at.server.upload(at.inbox, "a.mp3", bytes(size)) for size in (2000, 2001))
    into = at.tmp_path / "fetched"
    for file in (small, large):
        at.server.share(file, None, "reader")
    url = "https://drive.google.com/file/d/{}/view"
    await at.open().fetch_link(url.format(small.id), into)
    assert len(into.read_bytes()) == 2000
    downloads = len(at.server.called("download"))
    text = "This recording is larger than the limit here. Share it in parts, or as audio."
    with pytest.raises(Rejected, match=text):
        await at.open().fetch_link(url.format(large.id), into)
    assert len(at.server.called("download")) == downloads


# Settings


@pytest.mark.parametrize("at", ["shared drive"], indirect=True)
async def test_folders_that_settings_name_are_watched(at: Desk) -> None:
    other = at.server.folder(at.home, "Other")
    at.settings |= {
        "GDRIVE_CREDENTIALS": key_path(at),
        "GDRIVE_FOLDERS": f"https://drive.google.com/drive/folders/{at.inbox.id}?usp=sharing, {other.id}",
        "GDRIVE_FORMATS": "md",
        "GDRIVE_SPEAKERS": "2-3",
        "GDRIVE_DOCUMENT": "true",
    }
    folders = WatchedFolders(at.store, at.context.settings, "gdrive")
    intake = Intake()
    async with running(at.open(), intake):
        async with asyncio.timeout(PATIENCE):
            while len(await folders.all()) < 2:
                await asyncio.sleep(0.01)
    first, second = await folders.all()
    assert {first.id, second.id} == {at.inbox.id, other.id}
    assert first.policy.formats == ("md",)
    assert (first.policy.min_speakers, first.policy.max_speakers) == (2, 3)
    assert first.options == {"document": "yes", "comments": "no"}
    at.server.upload(at.inbox, "a.mp3", TALK, by=at.anna)
    async with running(at.open(), intake):
        [recording] = await intake.count(1)
    assert recording.policy.formats == ("md",)
    at.settings |= {"GDRIVE_FOLDERS": at.inbox.id, "GDRIVE_FORMATS": "txt"}
    async with running(at.open(), intake):
        async with asyncio.timeout(PATIENCE):
            while len(await folders.all()) > 1:
                await asyncio.sleep(0.01)
    [kept] = await folders.all()
    assert kept.policy.formats == ("txt",)
    assert kept.since == next(one for one in (first, second) if one.id == at.inbox.id).since
    assert await Keyring(at.store, at.context.settings, "gdrive").find(kept.account) is not None


@pytest.mark.parametrize("at", ["shared drive"], indirect=True)
async def test_what_lay_there_is_taken_once_that_is_switched_on(at: Desk) -> None:
    at.settings |= {"GDRIVE_CREDENTIALS": key_path(at), "GDRIVE_FOLDERS": at.inbox.id}
    at.server.advance(-1000)
    at.server.upload(at.inbox, "old.mp3", TALK, by=at.anna)
    at.server.advance(1000)
    intake = Intake()
    adapter = at.open()
    await adapter.enrolment.settle()
    async with running(adapter, intake):
        await at.server.until(lambda: len(at.server.called("changes.list")) >= 3)
    before = {recording.name for recording in intake.recordings.values()}
    at.settings["GDRIVE_BACKFILL"] = "true"
    adapter = at.open()
    await adapter.enrolment.settle()
    async with running(adapter, intake):
        await intake.count(1)
    assert (before, {recording.name for recording in intake.recordings.values()}) == (set(), {"old.mp3"})


async def test_one_account_that_can_t_be_used_does_not_stop_the_others(
    at: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    class Locked(MemoryStore):
        async def recall(self, space: str, key: str) -> str | None:
            if (space, key) == ("gdrive:credentials", "locked"):
                raise Misconfigured("Stored data is encrypted with another key.")
            return await super().recall(space, key)

    at.store = Locked()
    await at.watch(at.server.folder(at.home, "Other"), account="locked")
    await at.watch()
    adapter, intake = at.open(), Intake()
    async with running(adapter, intake):
        at.server.upload(at.inbox, "a.mp3", TALK)
        await intake.count(1)
        found = await adapter.check()
    assert (found.usable, "encrypted with another key" in found.reason) == (False, True)
    assert caplog.text.count("encrypted with another key") == 1


async def test_what_somebody_added_keeps_its_policy(at: Desk) -> None:
    watched = await at.watch()
    robot = at.server.service_account()
    at.server.share(at.inbox, robot, "writer")
    at.account = robot
    at.settings |= {"GDRIVE_CREDENTIALS": key_path(at), "GDRIVE_FOLDERS": at.inbox.id, "GDRIVE_FORMATS": "md"}
    await at.open().enrolment.settle()
    assert len(await Keyring(at.store, at.context.settings, "gdrive").all()) == 2
    assert list(await WatchedFolders(at.store, at.context.settings, "gdrive").all()) == [watched]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"GDRIVE_CREDENTIALS": "/nothing/here.json"}, "GDRIVE_CREDENTIALS: The file can't be read"),
        ({"GDRIVE_FOLDERS": "0123456789abcdef"}, "GDRIVE_FOLDERS: There is no"),
        ({"GDRIVE_SUBJECT": "anna@example.com"}, "Domain-wide delegation"),
    ],
)
async def test_settings_that_do_not_work_are_told_and_tried_again(
    tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    async with desk(tmp_path, "shared drive") as at:
        at.settings |= {"GDRIVE_CREDENTIALS": key_path(at), "GDRIVE_FOLDERS": at.inbox.id, **changes}
        adapter = at.open()
        async with running(adapter, Intake()), asyncio.timeout(PATIENCE):
            while message not in (await adapter.check()).reason:
                await asyncio.sleep(0.01)


async def test_a_person_by_delegation(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.account = at.server.service_account(delegated=[SCOPE + "drive"])
        at.settings |= {
            "GDRIVE_CREDENTIALS": key_path(at),
            "GDRIVE_SUBJECT": "anna@example.com",
            "GDRIVE_FOLDERS": at.inbox.id,
            "GDRIVE_BACKFILL": "true",
        }
        at.server.upload(at.inbox, "a.mp3", TALK)
        adapter, intake = at.open(), Intake()
        async with running(adapter, intake):
            [recording] = await intake.count(1)
            await answered(at, adapter, recording)
            assert (await adapter.check()).usable
        assert set(at.texts()) == {"a.transcript.txt"}


async def test_without_any_folder_it_says_how_to_begin(at: Desk) -> None:
    readiness = await at.open().check()
    assert not readiness.usable
    assert "erni-audio connect gdrive" in readiness.remedy


async def test_a_receipt_names_what_was_written(at: Desk) -> None:
    await at.watch()
    adapter, intake = at.open(), Intake()
    at.server.upload(at.inbox, "a.mp3", TALK)
    async with running(adapter, intake):
        [recording] = await intake.count(1)
        receipt = json.loads(await adapter.deliver(saying("hello", recording), job_of(recording)))
    [file] = receipt["files"]
    assert at.server.drive.files[file["id"]].name == "a.transcript.txt"
