"""Folders watched in Dropbox, through its own library and a Dropbox on this machine."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from connectors.dropbox import client
from connectors.dropbox.adapter import DropboxFolders
from core.errors import AuthFailed, Rejected, Transient
from core.places import Keyring, WatchedFolders
from core.policies import ChannelPolicy
from core.testing import MemoryStore
from tests.adapters.dropbox_desk import INBOX, SELDOM, TALK, Desk, desk
from tests.vendors.dropbox_server import Damage, File, rate_limited, refusal
from tests.vendors.faults import HTML, Fault


@pytest.fixture(autouse=True)
def swift(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.001)


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as at:
        yield at


async def test_a_recording_is_answered_beside_it(at: Desk, tmp_path: Path) -> None:
    at.ann.upload("/Inbox/Board/Meeting 7.mp3", TALK)
    async with at.running():
        [job] = await at.submitted(1)
        recording = job.recording
        assert (recording.name, recording.size, recording.door) == ("Meeting 7.mp3", len(TALK), "dropbox")
        assert recording.content_key == f"dropbox:{at.ann.file('/Inbox/Board/Meeting 7.mp3').content_hash}"
        await at.adapter.fetch(recording, tmp_path / "fetched")
        assert (tmp_path / "fetched").read_bytes() == TALK
        receipt = await at.deliver(job, "good morning")
        assert [file["name"] for file in receipt["files"]] == ["Meeting 7.transcript.txt"]
        assert "good morning" in at.outputs("/Inbox/Board")["Meeting 7.transcript.txt"]
        assert await at.deliver(job, "good morning") == receipt
    assert (await at.adapter.check()).usable


async def test_longpoll_says_that_something_came(tmp_path: Path) -> None:
    async with desk(tmp_path, rhythm=SELDOM) as at, at.running():
        await at.server.until(lambda: at.server.longpoll.waiting)
        for number in range(3):
            at.ann.upload(f"/Inbox/{number}.mp3", bytes([number]))
            await at.submitted(number + 1)
    async with asyncio.timeout(10):
        while at.server.longpoll.waiting:
            at.server.longpoll.end()
            await asyncio.sleep(0)


async def test_longpoll_is_asked_as_seldom_as_dropbox_wants(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.server.longpoll.longest = 0.01
        at.server.longpoll.backoffs = [500]
        async with at.running():
            await at.server.until(lambda: not at.server.longpoll.backoffs)
            at.ann.upload("/Inbox/a.mp3", TALK)
            await at.submitted(1)  # by asking now and then
            assert len(at.server.called("files/list_folder/longpoll")) == 1
        assert at.server.violations == []


async def test_without_longpoll_it_is_found_by_asking(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        at.server.fail_always("files/list_folder/longpoll", Fault(status=503))
        async with at.running():
            await at.server.until(lambda: at.server.faults.calls["POST /2/files/list_folder/longpoll"])
            at.ann.upload("/Inbox/a.mp3", TALK)
            await at.submitted(1)


@pytest.mark.parametrize(
    "trouble", [rate_limited(0), Fault(status=502), HTML, "cut"], ids=["429", "502", "page", "cut"]
)
async def test_troubles_pass(tmp_path: Path, trouble: Fault) -> None:
    async with desk(tmp_path) as at:
        for route in ("files/list_folder", "files/list_folder/continue", "files/get_metadata"):
            at.server.fail(route, *[trouble] * 3)
        at.server.fail("files/list_folder/longpoll", trouble)
        async with at.running():
            at.ann.upload("/Inbox/a.mp3", TALK)
            [job] = await at.submitted(1)
            at.server.fail("files/upload", trouble)
            at.server.fail("files/download", trouble, Damage(keep=5000))
            await at.adapter.fetch(job.recording, tmp_path / "fetched")
            await at.deliver(job, "hello")
        assert list(at.outputs()) == ["a.transcript.txt"]


async def test_expired_cursors_lose_nothing(at: Desk) -> None:
    at.ann.upload("/Inbox/a.mp3", b"one")
    async with at.running():
        await at.submitted(1)
        for number in range(3):
            at.server.expire_cursors()
            at.ann.upload(f"/Inbox/{number}.mp3", bytes([number]))
            await at.submitted(number + 2)
    assert len(at.jobs.views) == 4


async def test_a_watched_folder_may_be_moved(at: Desk) -> None:
    async with at.running():
        at.ann.upload("/Inbox/a.mp3", b"one")
        [job] = await at.submitted(1)
        at.ann.move("/Inbox", "/Archive/Talks")
        await at.deliver(job, "hello")
        assert list(at.outputs("/Archive/Talks")) == ["a.transcript.txt"]
        at.ann.upload("/Archive/Talks/b.mp3", b"two")
        await at.submitted(2)
    assert at.ann.names() == ["Archive"]


async def test_what_lay_there_is_left_alone_unless_it_is_wanted(at: Desk) -> None:
    at.server.advance(-86_400)
    at.ann.upload("/Inbox/old.mp3", b"one")
    at.ann.make_folder("/Other")
    at.ann.upload("/Other/old too.mp3", b"two")
    at.server.advance(86_400)
    await at.watch("/Inbox")
    await at.watch("/Other", backfill=True)
    at.ann.upload("/Inbox/new.mp3", b"three")
    async with at.running():
        await at.submitted(2)
    assert {recording.name for recording in at.recordings()} == {"new.mp3", "old too.mp3"}


# What people do


async def test_what_a_person_wrote_stays(at: Desk) -> None:
    async with at.running():
        at.ann.upload("/Inbox/a.mp3", b"one")
        [job] = await at.submitted(1)
        await at.deliver(job, "first")
        at.ann.replace("/Inbox/a.transcript.txt", b"corrected by Ann")
        at.ann.replace("/Inbox/a.mp3", b"two")
        [_, job] = await at.submitted(2)
        await at.deliver(job, "second")
    found = at.outputs()
    assert found.pop("a.transcript.txt") == "corrected by Ann"
    assert "second" in found.pop("a.transcript (2).txt")
    assert found == {}


async def test_an_edit_while_it_is_written_stays(at: Desk) -> None:
    async with at.running():
        at.ann.upload("/Inbox/a.mp3", b"one")
        [job] = await at.submitted(1)
        await at.deliver(job, "first")
        at.ann.replace("/Inbox/a.mp3", b"two")
        [_, job] = await at.submitted(2)
        hold = at.server.hold("files/upload")
        writing = asyncio.create_task(at.deliver(job, "second"))
        await hold.arrived.wait()
        at.ann.replace("/Inbox/a.transcript.txt", b"corrected by Ann")
        hold.release()
        await writing
    found = at.outputs()
    assert found.pop("a.transcript.txt") == "corrected by Ann"
    assert "second" in found.pop("a.transcript (2).txt")


async def test_a_transcript_goes_with_its_recording(at: Desk) -> None:
    async with at.running():
        at.ann.upload("/Inbox/a.mp3", b"one")
        at.ann.upload("/Inbox/b.mp3", b"two")
        for job in await at.submitted(2):
            await at.deliver(job, "hello")
        at.ann.delete("/Inbox/a.mp3")
        at.ann.move("/Inbox/b.mp3", "/b.mp3")
        await at.server.until(lambda: not at.ann.exists("/Inbox/a.transcript.txt"))
    assert at.ann.names() == ["Inbox", "b.mp3"]
    assert at.ann.names(INBOX) == ["b.transcript.txt"]


async def test_a_failure_leaves_a_note_until_there_is_a_transcript(at: Desk) -> None:
    async with at.running():
        at.ann.upload("/Inbox/a.mp3", b"one")
        [job] = await at.submitted(1)
        await at.adapter.report_failure(job, "There is no sound in it. Record it anew.")
        [(name, note)] = at.outputs().items()
        assert name == "a.transcript-error.txt"
        assert "There is no sound in it." in note
        at.ann.replace("/Inbox/a.mp3", b"two")
        [_, job] = await at.submitted(2)
        await at.deliver(job, "hello")
    assert list(at.outputs()) == ["a.transcript.txt"]


async def test_what_cannot_be_fetched_any_more(at: Desk, tmp_path: Path) -> None:
    async with at.running():
        at.ann.upload("/Inbox/a.mp3", b"one")
        at.ann.upload("/Inbox/b.mp3", b"two")
        one, two = sorted(await at.submitted(2), key=lambda job: job.recording.name)
    at.ann.replace("/Inbox/a.mp3", b"another")
    at.ann.delete("/Inbox/b.mp3")
    with pytest.raises(Rejected, match="replaced"):
        await at.adapter.fetch(one.recording, tmp_path / "fetched")
    with pytest.raises(Rejected, match="taken away"):
        await at.adapter.fetch(two.recording, tmp_path / "fetched")
    at.ann.delete("/Inbox")
    with pytest.raises(Rejected, match="taken away"):
        await at.adapter.fetch(one.recording, tmp_path / "fetched")


async def test_nothing_is_shared_more_widely_than_the_folder(at: Desk) -> None:
    await at.watch(output="Texts", options={"tags": "yes"})
    async with at.running():
        at.ann.upload("/Inbox/a.mp3", TALK)
        [job] = await at.submitted(1)
        await at.deliver(job, "hello")
    assert list(at.outputs("/Inbox/Texts")) == ["a.transcript.txt"]
    routes = {call.route for call in at.server.calls}
    assert {"files/upload", "files/create_folder_v2"} <= routes
    assert [route for route in routes if route.startswith(("sharing/", "file_requests/"))] == []


async def test_a_note_says_one_way_to_go_on(at: Desk, tmp_path: Path) -> None:
    async with at.running():
        at.ann.upload("/Inbox/a.mp3", b"one")
        [job] = await at.submitted(1)
    at.ann.replace("/Inbox/a.mp3", b"another")
    with pytest.raises(Rejected) as caught:
        await at.adapter.fetch(job.recording, tmp_path / "fetched")
    await at.adapter.report_failure(job, caught.value.user_message)
    [note] = at.outputs().values()
    assert "there is nothing to do" in note
    assert "upload it anew" not in note


@pytest.mark.parametrize(
    "name",
    [
        "🎙️ intervista 👩‍👩‍👧.mp3",
        "פגישה שבועית.mp3",
        "meeting . .mp3",
        "  leading.mp3",
        "Ärger.MP3",
        "é" * 125 + ".mp3",
        "x" * 251 + ".mp3",
        "😀" * 251 + ".mp3",  # the longest that there are
        'it\'s "quoted" \u202e3pm.mp3',
    ],
)
async def test_whatever_it_is_called_it_is_answered(at: Desk, tmp_path: Path, name: str) -> None:
    async with at.running():
        at.ann.upload(f"/Inbox/{name}", TALK)
        [job] = await at.submitted(1)
        await at.adapter.fetch(job.recording, tmp_path / "fetched")
        await at.adapter.report_failure(job, "There is no sound in it.")
        assert [len(f.encode()) <= 255 for f in at.outputs()] == [True]
        await at.deliver(job, "hello")
    assert [("transcript" in f, "error" in f, len(f.encode()) <= 255) for f in at.outputs()] == [
        (True, False, True)
    ]


async def test_transcripts_go_to_a_subfolder_where_that_is_wanted(at: Desk) -> None:
    await at.watch(output="Transcripts")
    async with at.running():
        at.ann.upload("/Inbox/x/a.mp3", b"one")
        [job] = await at.submitted(1)
        await at.deliver(job, "hello")
    assert list(at.outputs("/Inbox/x/Transcripts")) == ["a.transcript.txt"]


async def test_only_the_case_of_a_name_changes(at: Desk) -> None:
    async with at.running():
        at.ann.upload("/Inbox/talk.mp3", b"one")
        [job] = await at.submitted(1)
        await at.deliver(job, "first")
        at.ann.rename("/Inbox/talk.mp3", "Talk.mp3")  # Dropbox tells nobody
        at.ann.replace("/Inbox/Talk.mp3", b"two")
        [_, job] = await at.submitted(2)
        assert job.recording.name == "Talk.mp3"
        await at.deliver(job, "second")
    assert ["second" in text for text in at.outputs().values()] == [True]


# What the operator has to mend


async def test_a_revoked_account_is_told_and_comes_back(tmp_path: Path) -> None:
    async with desk(tmp_path) as at, at.running():
        at.ann.upload("/Inbox/a.mp3", b"one")
        [job] = await at.submitted(1)
        at.server.revoke(at.ann)
        async with asyncio.timeout(10):
            while (found := await at.adapter.check()).usable:
                await asyncio.sleep(0.01)
        assert "erni-audio connect dropbox" in found.reason
        with pytest.raises(AuthFailed):
            await at.deliver(job, "hello")
        asked = sum(at.server.faults.calls.values())
        await asyncio.sleep(0.1)
        assert sum(at.server.faults.calls.values()) - asked < 20
        at.ann.upload("/Inbox/b.mp3", b"two")
        grant = at.server.connect(at.ann, pkce=True)
        await Keyring(at.store, at.settings, "dropbox").save(at.credentials(grant))
        await at.adapter.tended._adjust(at.jobs.submit)  # which it does every ten seconds
        await at.submitted(2)
        await at.deliver(job, "hello")
        async with asyncio.timeout(10):
            while not (await at.adapter.check()).usable:
                await asyncio.sleep(0.01)
    assert list(at.outputs()) == ["a.transcript.txt"]


async def test_a_transcript_goes_later_if_access_ends_as_its_recording_goes(tmp_path: Path) -> None:
    async with desk(tmp_path) as at, at.running():
        at.ann.upload("/Inbox/a.mp3", b"one")
        [job] = await at.submitted(1)
        await at.deliver(job, "hello")
        hold = at.server.hold("files/delete_v2")
        at.ann.delete("/Inbox/a.mp3")
        await hold.arrived.wait()
        at.server.revoke(at.ann)
        hold.release()
        async with asyncio.timeout(10):
            while (await at.adapter.check()).usable:
                await asyncio.sleep(0.01)
        assert list(at.outputs()) == ["a.transcript.txt"]
        grant = at.server.connect(at.ann, pkce=True)
        await Keyring(at.store, at.settings, "dropbox").save(at.credentials(grant))
        await at.adapter.tended._adjust(at.jobs.submit)  # which it does every ten seconds
        await at.server.until(lambda: not at.ann.names(INBOX))


async def test_a_transcript_that_may_not_be_deleted_holds_nothing_up(at: Desk) -> None:
    async with at.running():
        for name in ("a", "b"):
            at.ann.upload(f"/Inbox/{name}.mp3", name.encode())
        for job in await at.submitted(2):
            await at.deliver(job, "hello")
        kept = {".tag": "path_write", "reason": {".tag": "no_write_permission"}}
        at.server.fail("files/delete_v2", refusal(kept))
        for name in ("a", "b"):
            at.ann.delete(f"/Inbox/{name}.mp3")
        at.ann.upload("/Inbox/c.mp3", b"three")
        await at.submitted(3)
        await at.server.until(lambda: len(at.outputs()) == 1)
        async with asyncio.timeout(10):
            while not (await at.adapter.check()).usable:
                await asyncio.sleep(0.01)


async def test_a_folder_that_may_only_be_read(at: Desk) -> None:
    bob = at.server.add_person("Bob")
    at.ann.share_folder("/Inbox", {bob: "viewer"})
    at.ann.upload("/Inbox/a.mp3", b"one")
    at.grant = at.server.connect(bob, pkce=True)
    credentials = at.credentials()
    await Keyring(at.store, at.settings, "dropbox").save(credentials)
    found = await at.connecting().find(credentials, "/Inbox")
    folders = WatchedFolders(at.store, at.settings, "dropbox")
    [old] = await folders.all()
    await folders.remove(old)
    await at.watch("/Inbox", backfill=True)
    assert found.name == "/Inbox"
    readiness = await at.adapter.check()
    assert not readiness.usable
    assert "only read" in readiness.reason
    async with at.running():
        [job] = await at.submitted(1)
        with pytest.raises(AuthFailed, match="right to edit"):
            await at.deliver(job, "hello")
    assert at.ann.names(INBOX) == ["a.mp3"]


async def test_a_deleted_folder_is_told_and_comes_back(tmp_path: Path) -> None:
    async with desk(tmp_path) as at, at.running():
        at.ann.upload("/Inbox/a.mp3", b"one")
        await at.submitted(1)
        at.ann.delete("/Inbox")
        async with asyncio.timeout(10):
            while (found := await at.adapter.check()).usable:
                await asyncio.sleep(0.01)
        assert "not in the connected Dropbox" in found.reason
        at.ann.restore("/Inbox")
        at.ann.upload("/Inbox/b.mp3", b"two")
        await at.submitted(2)


async def test_a_full_dropbox_is_for_the_operator(at: Desk) -> None:
    at.ann.upload("/Inbox/a.mp3", b"one")
    async with at.running():
        [job] = await at.submitted(1)
    at.server.fail_always(
        "files/upload",
        refusal({".tag": "path", "reason": {".tag": "insufficient_space"}, "upload_session_id": "x"}),
    )
    with pytest.raises(AuthFailed, match="no room"):
        await at.deliver(job, "hello")


# Several services, crashes


async def test_two_services_share_the_work(at: Desk) -> None:
    other = at.open()
    async with at.running(), at.running(other):
        for number in range(4):
            at.ann.upload(f"/Inbox/{number}.mp3", bytes([number]))
        jobs = await at.submitted(4)
        both: Iterator[DropboxFolders] = iter([at.adapter, other] * 4)
        await asyncio.gather(
            *(at.deliver(job, f"text {index}", next(both)) for index, job in enumerate(jobs * 2))
        )
    await other.tended.close()
    assert len(at.jobs.views) == 4
    assert sorted(at.outputs()) == [f"{number}.transcript.txt" for number in range(4)]


async def test_services_without_a_common_store_do_not_overwrite_one_another(at: Desk) -> None:
    store, at.store = at.store, MemoryStore()
    stranger = at.open()
    await at.watch(backfill=True)
    theirs, at.store = at.store, store
    at.ann.upload("/Inbox/a.mp3", b"one")
    async with at.running():
        [job] = await at.submitted(1)
    await at.deliver(job, "by us")
    await at.deliver(job, "by them", stranger)
    await stranger.tended.close()
    assert theirs is not store
    found = at.outputs()
    assert "by us" in found["a.transcript.txt"]
    assert "by them" in found["a.transcript (2).txt"]


@pytest.mark.parametrize("lost", ["files/upload", "files/delete_v2"])
async def test_a_crash_while_it_is_written_leaves_one_set(at: Desk, lost: str) -> None:
    await at.watch(policy=ChannelPolicy(formats=("txt", "srt", "json")))
    async with at.running():
        at.ann.upload("/Inbox/a.mp3", b"one")
        [job] = await at.submitted(1)
        await at.adapter.report_failure(job, "Try again.")
        at.ann.replace("/Inbox/a.mp3", b"two")
        [_, job] = await at.submitted(2)
    hold = at.server.hold(lost)
    writing = asyncio.create_task(at.deliver(job, "hello"))
    await hold.arrived.wait()
    at.server.fail(lost, "lost")
    writing.cancel()
    hold.release()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await at.server.until(lambda: at.server.called(lost))
    at.adapter = at.open()
    await at.deliver(job, "hello")
    assert sorted(at.outputs()) == ["a.transcript.json", "a.transcript.srt", "a.transcript.txt"]


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_people_do_each_recording_has_one_answer(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    async with desk(tmp_path) as at:
        at.server.cursors.page_size = chance.choice([1, 3, 2000])
        at.server.cursors.gone_root = chance.choice(["not_found", "deleted"])
        at.server.storage.moves_change_rev = chance.random() < 0.5
        names = [f"{INBOX}/{name}.mp3" for name in ("a", "b", "x/a", "x/y/c")]
        answered: set[str] = set()

        async def answer() -> None:
            for view in list(at.jobs.views.values()):
                if view.job.id not in answered:
                    said = view.job.recording.content_key
                    try:
                        await at.deliver(view.job, said)
                    except Transient:
                        continue
                    answered.add(view.job.id)

        async with at.running():
            for step in range(30):
                path, other = chance.choice(names), chance.choice(names)
                match chance.randrange(8):
                    case 0 | 1 | 2 if not at.ann.exists(path):
                        at.ann.upload(path, f"{seed} {step}".encode())
                    case 3 if at.ann.exists(path):
                        at.ann.replace(path, f"{seed} {step}".encode())
                    case 4 if at.ann.exists(path) and not at.ann.exists(other):
                        at.ann.move(path, other)
                    case 5 if at.ann.exists(path):
                        at.ann.delete(path)
                    case 6:
                        at.server.expire_cursors()
                    case 7:
                        await answer()
                if chance.random() < 0.5:
                    await asyncio.sleep(0.03)

            def recordings() -> dict[str, str]:
                return {
                    name: f"dropbox:{at.ann.file(name).content_hash}" for name in names if at.ann.exists(name)
                }

            def said() -> list[str]:
                texts = [
                    node.data.decode()
                    for node in at.server.storage.ids.values()
                    if isinstance(node, File) and node.parent is not None and ".transcript" in node.name
                ]
                return sorted(text.split("[0:00]\n")[1].split("\n")[0] for text in texts)

            async with asyncio.timeout(30):
                while not set(recordings().values()) <= set(said()):
                    await answer()
                    await asyncio.sleep(0.02)
            found = said()
            for content in recordings().values():
                assert found.count(content) == 1, (found, content)
