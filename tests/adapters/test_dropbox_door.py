"""Setting Dropbox up, being called by it, and what its door does besides watching."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest
import yarl
from aiohttp import web

from connectors.dropbox import client
from connectors.dropbox.adapter import DropboxFolders, create
from connectors.dropbox.connecting import SCOPES, TAG_SCOPE, DropboxConnecting
from connectors.dropbox.connecting import create as create_connecting
from connectors.dropbox.webhook import PATH, is_signed
from core.connecting import Connecting
from core.errors import AuthFailed, Misconfigured, Rejected, Transient
from core.following import Rhythm
from core.model import Job, Stage
from core.places import Credentials, Keyring, WatchedFolder, WatchedFolders
from core.ports import AdapterContext, Linked, Routed, Welcoming
from core.testing import MemoryLinks
from tests.adapters.dropbox_desk import INBOX, SELDOM, TALK, Desk, desk
from tests.vendors import faults
from tests.vendors.dropbox_server import Damage, refusal
from tests.vendors.dropbox_webhooks import Notice
from tests.vendors.faults import HTML, Fault


@pytest.fixture(autouse=True)
def swift(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.001)


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as at:
        yield at


# Consent


class Person:
    """Somebody at a terminal, who opens the address that they are told as `who`."""

    def __init__(self, at: Desk, *answers: str, declines: bool = False) -> None:
        self.at = at
        self.answers = list(answers)
        self.declines = declines
        self.said: list[str] = []
        self.code = ""

    def say(self, text: str) -> None:
        self.said.append(text)
        for word in text.split():
            if word.startswith("https://www.dropbox.com/oauth2/"):
                self.code = self.at.server.approve(word, self.at.ann, declines=self.declines)

    def ask(self, question: str, *, hidden: bool = False) -> str:
        assert hidden == (question == "Code")
        return self.answers.pop(0) if self.answers else self.code

    def choose(self, question: str, choices: Mapping[str, str]) -> str:
        raise AssertionError("Dropbox gives nobody a choice.")


async def test_consent_needs_an_app_key_and_a_code(at: Desk) -> None:
    connecting: Connecting = at.connecting()
    key = at.server.app.key
    person = Person(at, key)
    credentials = await connecting.connect(person)
    assert (credentials.account, credentials.label) == (at.ann.account.id, at.ann.account.email)
    assert all(scope in person.said[0] for scope in (*SCOPES, TAG_SCOPE))
    assert json.loads(credentials.secret)["app_key"] == key
    assert at.server.app.secret not in credentials.secret
    found = await connecting.find(credentials, INBOX)
    assert found.id == at.ann.folder(INBOX).id
    known = Person(at)
    await at.connecting(DROPBOX_APP_KEY=key).connect(known)
    assert len(known.said) == 1  # it asks for no key


async def test_what_goes_wrong_with_consent(at: Desk) -> None:
    key = at.server.app.key
    connecting = at.connecting(DROPBOX_APP_KEY=key)
    with pytest.raises(Rejected, match="code is not right"):
        await connecting.connect(Person(at, "nonsense"))
    with pytest.raises(Rejected, match="code is not right"):
        await connecting.connect(Person(at, declines=True))
    person = Person(at)
    await connecting.connect(person)
    with pytest.raises(Rejected, match="used already"):
        await connecting.connect(Person(at, person.code))
    at.server.fail("oauth2/token", Fault(status=503))
    with pytest.raises(Transient):
        await connecting.connect(Person(at))
    at.server.fail("oauth2/token", HTML)
    with pytest.raises(Transient, match="no sense"):
        await connecting.connect(Person(at))
    wrong = Fault(status=400, body='{"error": "invalid_client"}')
    at.server.fail("oauth2/token", wrong)
    with pytest.raises(Rejected, match="app key"):
        await connecting.connect(Person(at))
    at.server.fail("oauth2/token", "cut")
    with pytest.raises(Transient):
        await connecting.connect(Person(at))


async def test_an_app_without_permissions_is_told_at_once(at: Desk) -> None:
    at.server.app.scopes = frozenset({"account_info.read", "files.metadata.read"})
    with pytest.raises(Rejected, match=r"files\.content\.read, files\.content\.write"):
        await at.connecting(DROPBOX_APP_KEY=at.server.app.key).connect(Person(at))
    granted = {"access_token": "x", "uid": "1", "account_id": "dbid:x", "scope": " ".join(SCOPES)}
    at.server.fail("oauth2/token", Fault(status=200, body=json.dumps(granted)))
    with pytest.raises(Rejected, match="no lasting access"):
        await at.connecting(DROPBOX_APP_KEY=at.server.app.key).connect(Person(at))


def test_it_says_what_can_be_chosen(at: Desk) -> None:
    connecting = create_connecting(at.settings)
    assert (connecting.name, connecting.title) == ("dropbox", "Dropbox")
    assert connecting.options["tags"].values[0] == "no"


# Folders by name


@pytest.mark.parametrize(
    "text", ["/Inbox/Board", "Inbox/Board/", " /inbox/board", "https://www.dropbox.com/home/Inbox/Board"]
)
async def test_a_folder_by_path_or_address(at: Desk, text: str) -> None:
    board = at.ann.make_folder("/Inbox/Board")
    found = await at.connecting().find(at.credentials(), text)
    assert (found.id, found.name) == (board.id, "/Inbox/Board")
    assert found.around == (at.ann.folder("/Inbox").id, f"ns:{at.ann.account.root.id}")
    assert found.link == "https://www.dropbox.com/home/Inbox/Board"


async def test_a_folder_by_id_or_link(at: Desk) -> None:
    board = at.ann.make_folder("/Inbox/Böard")
    link = at.ann.share_link("/Inbox/Böard")
    for text in (board.id, link.url, link.url.replace("dl=0", "dl=1")):
        found = await at.connecting().find(at.credentials(), text)
        assert (found.id, found.name) == (board.id, "/Inbox/Böard")
    assert found.link.isascii()


@pytest.mark.parametrize("text", ["/", "", "https://www.dropbox.com/home", "https://dropbox.com/home/"])
async def test_the_whole_dropbox(at: Desk, text: str) -> None:
    found = await at.connecting().find(at.credentials(), text)
    assert (found.id, found.name, found.around) == (f"ns:{at.ann.account.root.id}", "/", ())


async def test_folders_of_a_team(at: Desk) -> None:
    team = at.server.add_team("Acme")
    bob = at.server.add_person("Bob", team=team)
    at.server.add_team_folder(team, "Meetings", {bob: "editor"})
    bob.make_folder("/Meetings/2026")
    credentials = at.credentials(at.server.connect(bob, pkce=True))
    found = await at.connecting().find(credentials, "/Meetings/2026")
    assert found.around == (bob.find("/Meetings").id, f"ns:{team.root.id}")


async def test_what_is_no_folder_is_told(at: Desk) -> None:
    at.ann.upload("/Inbox/a.mp3", TALK)
    bob = at.server.add_person("Bob")
    bob.make_folder("/Theirs")
    theirs, file = bob.share_link("/Theirs"), at.ann.share_link("/Inbox/a.mp3")
    secret = bob.share_link("/Theirs", password="sesame")
    connecting, credentials = at.connecting(), at.credentials()
    for text, says in (
        ("/Nowhere", "no folder /Nowhere in the Dropbox of ann.lee@example.com"),
        ("id:nothing", "no folder"),
        ("/Inbox/a.mp3", "This is a file"),
        (file.url, "leads to a file"),
        (theirs.url, "not in the connected Dropbox"),
        (secret.url, "may not see it"),
        ("https://www.dropbox.com/scl/fo/none/h?rlkey=x", "knows no folder"),
        ("https://drive.google.com/drive/folders/x", "no link of Dropbox"),
        ("https://[::1", "no link of Dropbox"),
        ("https://www.dropbox.com.evil.example/home/Inbox", "no link of Dropbox"),
    ):
        with pytest.raises(Rejected, match=says):
            await connecting.find(credentials, text)
    at.server.fail(
        "sharing/get_shared_link_metadata", Fault(status=400, body="bad", content_type="text/plain")
    )
    with pytest.raises(Rejected, match="knows no folder"):
        await connecting.find(credentials, theirs.url)
    at.server.revoke(at.ann)
    with pytest.raises(AuthFailed):
        await at.connecting().find(credentials, "/Inbox")


async def test_folders_of_one_account_share_its_connections(at: Desk) -> None:
    at.ann.make_folder("/Other")
    connecting, credentials = at.connecting(), at.credentials()
    first, second = await at.watch("/Inbox"), await at.watch("/Other")
    one, other = connecting.open(first, credentials), connecting.open(second, credentials)
    assert one.account is other.account
    await one.close()
    assert [page.more async for page in other.listing()] == [False]
    await other.close()
    third = connecting.open(first, credentials)
    assert third.account is not one.account
    await third.close()


def test_credentials_without_sense_are_for_the_operator(at: Desk) -> None:
    folder = WatchedFolder(connector="dropbox", id="id:x", account="a", name="/x")
    with pytest.raises(AuthFailed, match="erni-audio connect dropbox"):
        at.connecting().open(folder, Credentials(account="a", label="a", secret="{}"))
    lost = Credentials(account="a", label="a", reference="DROPBOX_REFRESH_TOKEN")
    with pytest.raises(AuthFailed, match="DROPBOX_REFRESH_TOKEN"):
        at.connecting().open(folder, lost)


# The account and the folders in the settings


def _environment(at: Desk, folders: str, **options: Any) -> dict[str, Any]:
    grant = at.server.connect(at.ann)
    return {
        "DROPBOX_APP_KEY": at.server.app.key,
        "DROPBOX_APP_SECRET": at.server.app.secret,
        "DROPBOX_REFRESH_TOKEN": grant.refresh_token,
        "DROPBOX_FOLDERS": folders,
    } | options


async def _settled(at: Desk, adapter: DropboxFolders) -> list[WatchedFolder]:
    await adapter.enrolment.settle()
    return list(await WatchedFolders(at.store, at.settings, "dropbox").all())


async def test_settings_name_an_account_and_folders(tmp_path: Path) -> None:
    async with desk(tmp_path, watched=False) as at:
        at.ann.make_folder("/Other")
        options = _environment(
            at, "/Inbox,/Other", DROPBOX_OUTPUT="Texts", DROPBOX_FORMATS="md,srt", DROPBOX_TAGS="yes"
        )
        adapter = at.open(**options)
        inbox, other = await _settled(at, adapter)
        assert (inbox.name, inbox.output, inbox.policy.formats) == ("/Inbox", "Texts", ("md", "srt"))
        assert (inbox.account, other.options, other.backfill) == (at.ann.account.id, {"tags": "yes"}, False)
        assert at.server.app.secret not in json.dumps(at.store.spaces)
        assert options["DROPBOX_REFRESH_TOKEN"] not in json.dumps(at.store.spaces)
        async with at.running(adapter):
            at.ann.upload("/Inbox/a.mp3", TALK)
            [job] = await at.submitted(1)
            await adapter.fetch(job.recording, tmp_path / "fetched")
        assert (await adapter.check()).usable


async def test_folders_in_the_settings_follow_them(tmp_path: Path) -> None:
    async with desk(tmp_path, watched=False) as at:
        at.ann.make_folder("/Other")
        options = _environment(at, "/Inbox,/Other")
        inbox, _ = await _settled(at, at.open(**options))
        again, _ = await _settled(at, at.open(**options))
        assert again == inbox
        changed, _ = await _settled(at, at.open(**options, DROPBOX_LANGUAGES="de"))
        assert changed.policy.languages == ("de",)
        assert changed.place == inbox.place
        [only] = await _settled(at, at.open(**(options | {"DROPBOX_FOLDERS": "/Other"})))
        assert only.name == "/Other"
        back, _ = sorted(await _settled(at, at.open(**options)), key=lambda folder: folder.name)
        assert back.name == "/Inbox"
        assert back.since > inbox.since
        assert await _settled(at, at.open()) == []


async def test_what_a_command_added_stays_as_it_is(at: Desk) -> None:
    [before] = await WatchedFolders(at.store, at.settings, "dropbox").all()
    options = _environment(at, "/Inbox", DROPBOX_LANGUAGES="de")
    assert await _settled(at, at.open(**options)) == [before]
    assert await _settled(at, at.open()) == [before]


async def test_wrong_settings_are_told_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.enrolment._AGAIN_SECONDS", 0.01)
    async with desk(tmp_path, watched=False) as at:
        at.ann.make_folder("/Inbox/Board")
        adapter = at.open(**_environment(at, "/Inbox,/Nowhere"))
        assert "no folder /Nowhere" in (await adapter.check()).reason
        async with at.running(adapter):
            await at.server.until(lambda: adapter.enrolment.trouble)
            found = await adapter.check()
            assert "no folder /Nowhere" in found.reason
            assert "DROPBOX_FOLDERS" in found.remedy
            [watched] = await WatchedFolders(at.store, at.settings, "dropbox").all()
            assert watched.name == "/Inbox"
            at.ann.make_folder("/Nowhere")
            await at.server.until(lambda: not adapter.enrolment.trouble)
        nested = at.open(**_environment(at, "/Inbox,/Inbox/Board"))
        assert "/Inbox/Board lies in /Inbox" in (await nested.check()).reason
        at.server.revoke(at.ann)
        assert "does not accept" in (await adapter.check()).reason


async def test_settings_wait_for_a_dropbox_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.enrolment._AGAIN_SECONDS", 0.01)
    async with desk(tmp_path, watched=False) as at:
        adapter = at.open(**_environment(at, "/Inbox"))
        at.server.fail_always("users/get_current_account", Fault(status=503))
        async with at.running(adapter):
            await at.server.until(lambda: adapter.enrolment.trouble)
            assert "503" in (await adapter.check()).reason
            at.server.forgive()
            await at.server.until(lambda: not adapter.enrolment.trouble)
        assert (await adapter.check()).usable


async def test_two_services_with_the_same_settings_watch_one_folder(tmp_path: Path) -> None:
    async with desk(tmp_path, watched=False) as at:
        options = _environment(at, "/Inbox")
        both = [at.open(**options) for _ in range(2)]
        await asyncio.gather(*(adapter.enrolment.settle() for adapter in both))
        [folder] = await WatchedFolders(at.store, at.settings, "dropbox").all()
        places = {(await adapter.tended.opened(folder.id)).folder.place for adapter in both}  # type: ignore[union-attr]
        assert places == {folder.place}
        for adapter in both:
            await adapter.tended.close()


async def test_a_door_without_folders_is_told(tmp_path: Path) -> None:
    async with desk(tmp_path, watched=False) as at:
        found = await at.adapter.check()
        assert not found.usable
        assert "erni-audio folders add dropbox" in found.remedy
        assert (await at.open(**_environment(at, "/Inbox")).check()).usable


def test_the_door_is_made_from_the_environment(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(at.folder)
    context = AdapterContext(
        settings=at.settings, store=at.store, jobs=at.jobs, links=MemoryLinks(), node_id="node"
    )
    made = create(context)
    assert made.door == "dropbox"
    assert isinstance(made, Routed)
    assert isinstance(made, Linked)
    assert isinstance(made, Welcoming)
    assert "Dropbox" in made.welcome().share
    monkeypatch.setenv("DROPBOX_FOLDERS", "/Inbox")
    with pytest.raises(Misconfigured, match="DROPBOX_REFRESH_TOKEN"):
        create(context)


# The webhook


async def _called(at: Desk, adapter: DropboxFolders) -> Any:
    app = web.Application()
    app.add_routes(adapter.routes())
    return faults.serving(app)


async def test_dropbox_calls_when_something_came(tmp_path: Path) -> None:
    async with desk(tmp_path, rhythm=SELDOM) as at:
        at.server.fail_always("files/list_folder/longpoll", "hang")
        adapter = at.open(DROPBOX_APP_SECRET=at.server.app.secret)
        at.server.webhooks.copies = 3
        async with await _called(at, adapter) as origin, at.running(adapter):
            assert await at.server.webhooks.verify(f"{origin}{PATH}")
            await at.server.until(lambda: at.server.called("files/list_folder/continue"))
            for number in range(2):
                at.ann.upload(f"/Inbox/{number}.mp3", bytes([number]))
                await at.submitted(number + 1)
            await at.server.webhooks.delivered()
        await adapter.tended.close()
    assert len(at.jobs.views) == 2
    assert all(notice.arrived for notice in at.server.webhooks.log)


async def test_dropbox_calls_a_process_that_does_not_watch(tmp_path: Path) -> None:
    """Of those behind one address any may be called, and one watches."""
    async with desk(tmp_path, rhythm=SELDOM) as at:
        at.server.fail_always("files/list_folder/longpoll", "hang")
        watching, called = (at.open(DROPBOX_APP_SECRET=at.server.app.secret) for _ in range(2))
        async with at.running(watching), await _called(at, called) as origin:
            await at.server.until(lambda: at.server.called("files/list_folder/continue"))
            async with at.running(called):
                assert await at.server.webhooks.verify(f"{origin}{PATH}")
                at.ann.upload("/Inbox/talk.mp3", TALK)
                await at.submitted(1)
        await watching.tended.close()
        await called.tended.close()
    assert all(notice.arrived for notice in at.server.webhooks.log)


async def test_who_has_not_the_secret_is_not_heard(tmp_path: Path) -> None:
    async with desk(tmp_path, rhythm=Rhythm(changes=1000.0)) as at:
        adapter = at.open(DROPBOX_APP_SECRET=at.server.app.secret)
        nudged: list[str] = []
        adapter.nudge = nudged.append  # type: ignore[method-assign, assignment]
        hooks = at.server.webhooks
        async with await _called(at, adapter) as origin:
            hooks.url = f"{origin}{PATH}"
            good = hooks.notice([at.ann.account])
            changed = Notice(accounts=[], body=good.body.replace(b"dbid", b"dbix"), headers=good.headers)
            unsigned = Notice(accounts=[], body=good.body, headers={})
            odd = Notice(accounts=[], body=good.body, headers={"X-Dropbox-Signature": "\xe9" * 64})
            for notice in (changed, unsigned, odd):
                assert await hooks.send(notice) == 403
            for body in (b"", b"{}", b"[]", b'{"list_folder": 7}', b"\xff", b"[" * 100_000):
                signed = Notice(
                    accounts=[], body=body, headers={"X-Dropbox-Signature": hooks.signature(body)}
                )
                assert await hooks.send(signed) == 400
            assert nudged == []
            body = json.dumps({"list_folder": {"accounts": [7, at.ann.account.id, "dbid:x"]}}).encode()
            signed = Notice(accounts=[], body=body, headers={"X-Dropbox-Signature": hooks.signature(body)})
            assert await hooks.send(signed) == 200
            assert nudged == [at.ann.account.id, "dbid:x"]
            huge = b" " * (20 * 2**20)
            signature = {"X-Dropbox-Signature": hooks.signature(huge)}
            async with (
                aiohttp.ClientSession() as session,
                session.post(hooks.url, data=io.BytesIO(huge), headers=signature) as answer,
            ):
                assert answer.status == 413
            assert nudged == [at.ann.account.id, "dbid:x"]


async def test_a_challenge_is_echoed_as_plain_text(at: Desk) -> None:
    adapter = at.open(DROPBOX_APP_SECRET=at.server.app.secret)
    async with await _called(at, adapter) as origin, aiohttp.ClientSession() as session:
        url = f"{origin}{PATH}"
        async with session.get(url, params={"challenge": "<script>alert(1)</script>"}) as answer:
            assert await answer.text() == "<script>alert(1)</script>"
            assert answer.content_type == "text/plain"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        for odd in ("a\r\nSet-Cookie: x=y", "👩‍👧 \u202e", "%0d%0a&=+#", "\0"):
            async with session.get(url, params={"challenge": odd}) as answer:
                assert await answer.text() == odd
                assert answer.cookies == {}
        async with session.get(yarl.URL(f"{url}?challenge=%ff%ed%a0%80", encoded=True)) as answer:
            assert answer.status == 200
        for challenge in ("", "x" * 2000):
            async with session.get(url, params={"challenge": challenge}) as answer:
                assert answer.status == 400


def test_without_a_secret_nobody_may_call(at: Desk) -> None:
    assert at.adapter.routes() == []


def test_signatures() -> None:
    right = "b82fcb791acec57859b989b430a826488ce2e479fdf92326bd0a2e8375a42ba4"
    assert is_signed("secret", b"payload", right)
    assert is_signed("secret", b"payload", right.upper() + " ")
    assert not is_signed("secret", b"payload ", right)
    assert not is_signed("another", b"payload", right)
    assert not is_signed("secret", b"payload", "")
    assert not is_signed("secret", b"payload", "\udce9")


# Links that are shared elsewhere


def test_which_links_are_dropbox_s(at: Desk) -> None:
    for url in (
        "https://www.dropbox.com/scl/fi/abc/talk.mp3?rlkey=x&dl=0",
        "https://dropbox.com/s/abc/talk.mp3?dl=0",
        "https://www.dropbox.com/scl/fo/abc/h?rlkey=x",
    ):
        assert at.adapter.covers(url)
    for url in (
        "http://www.dropbox.com/scl/fi/abc/talk.mp3",
        "https://www.dropbox.com/home/Inbox",
        "https://www.dropbox.com:8443/scl/fi/abc",
        "https://ann@www.dropbox.com/scl/fi/abc",
        "https://dropbox.com.evil.example/s/abc",
        "https://[::1/s/abc",
        "https://www.dropbox.com/s/" + "x" * 3000,
        "talk.mp3",
    ):
        assert not at.adapter.covers(url)


async def test_a_shared_file_is_fetched(at: Desk, tmp_path: Path) -> None:
    bob = at.server.add_person("Bob")
    bob.upload("/talk.mp3", TALK * 100)
    link = bob.share_link("/talk.mp3")
    at.server.fail("sharing/get_shared_link_file", Damage(keep=300_000), "cut")
    await at.adapter.fetch_link(link.url, tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == TALK * 100
    assert at.server.called("sharing/get_shared_link_file")[1].byte_range is not None


async def test_with_the_account_that_may(at: Desk, tmp_path: Path) -> None:
    team = at.server.add_team("Acme")
    bob, eve = at.server.add_person("Bob", team=team), at.server.add_person("Zed", team=team)
    eve.upload("/Zed/talk.mp3", TALK)
    link = eve.share_link("/Zed/talk.mp3", audience="team")
    with pytest.raises(Rejected, match="only for certain people"):
        await at.adapter.fetch_link(link.url, tmp_path / "fetched")
    keyring = Keyring(at.store, at.settings, "dropbox")
    gone = at.server.connect(at.server.add_person("Aaron"), pkce=True)
    await keyring.save(at.credentials(gone))
    at.server.revoke(gone)
    await keyring.save(at.credentials(at.server.connect(bob, pkce=True)))
    with pytest.raises(Rejected, match="only for certain people"):  # whoever posts it may be none of them
        await at.adapter.fetch_link(link.url, tmp_path / "fetched")
    assert not at.server.called("sharing/get_shared_link_file")
    at.adapter._connecting.settings.links = "account"
    await at.adapter.fetch_link(link.url, tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == TALK


@pytest.mark.parametrize("told", ["visibility", "audience"])
@pytest.mark.parametrize("password", [None, "sesame"])
@pytest.mark.parametrize("audience", ["public", "team", "no_one"])
async def test_only_what_is_open_to_all_is_fetched(
    at: Desk,
    tmp_path: Path,
    told: Literal["visibility", "audience"],
    password: str | None,
    audience: Literal["public", "team", "no_one"],
) -> None:
    at.ann.upload("/talk.mp3", TALK)
    link = at.ann.share_link("/talk.mp3", password=password)  # ours: we may follow it whatever it says
    link.audience, link.told = audience, told
    if audience == "public" and password is None:
        await at.adapter.fetch_link(link.url, tmp_path / "fetched")
        assert (tmp_path / "fetched").read_bytes() == TALK
        return
    with pytest.raises(Rejected, match=r"only for certain people|no file behind this link"):
        await at.adapter.fetch_link(link.url, tmp_path / "fetched")
    assert not at.server.called("sharing/get_shared_link_file")


@pytest.mark.parametrize("links", ["open", "account"])
async def test_a_link_without_downloads_is_told(
    at: Desk, tmp_path: Path, links: Literal["open", "account"]
) -> None:
    at.adapter._connecting.settings.links = links
    bob = at.server.add_person("Bob")
    bob.upload("/talk.mp3", TALK)
    link = bob.share_link("/talk.mp3")
    link.downloads = False
    with pytest.raises(Rejected) as caught:
        await at.adapter.fetch_link(link.url, tmp_path / "fetched")
    assert caught.value.user_message == (
        "Downloads are switched off for this link in Dropbox. Share the recording itself, or a link that "
        "allows downloads."
    )
    assert not at.server.called("sharing/get_shared_link_file")


async def test_links_that_lead_to_nothing(at: Desk, tmp_path: Path) -> None:
    at.ann.upload("/talk.mp3", TALK)
    folder, file = at.ann.share_link("/Inbox"), at.ann.share_link("/talk.mp3")
    into = tmp_path / "fetched"
    for url, says in (
        (folder.url, "leads to a folder"),
        (file.url.replace("rlkey=", "rlkey=x"), "no file behind this link"),
    ):
        with pytest.raises(Rejected, match=says):
            await at.adapter.fetch_link(url, into)
    at.server.fail("sharing/get_shared_link_file", refusal("shared_link_is_directory"))
    with pytest.raises(Rejected, match="leads to a folder"):
        await at.adapter.fetch_link(file.url, into)
    at.server.fail("sharing/get_shared_link_metadata", Fault(status=400, body="x", content_type="text/plain"))
    with pytest.raises(Rejected, match="no file behind this link"):
        await at.adapter.fetch_link(file.url, into)
    at.server.fail("sharing/get_shared_link_metadata", HTML, HTML, HTML, HTML)
    with pytest.raises(Transient):
        await at.adapter.fetch_link(file.url, into)
    hold = at.server.hold("sharing/get_shared_link_file")
    fetching = asyncio.create_task(at.adapter.fetch_link(file.url, into))
    await hold.arrived.wait()
    at.ann.replace("/talk.mp3", TALK[::-1])
    hold.release()
    with pytest.raises(Rejected, match="changed while"):
        await fetching
    at.settings.max_bytes = 10
    with pytest.raises(Rejected, match="larger than the limit"):
        await at.adapter.fetch_link(file.url, into)


async def test_without_an_account_no_link_can_be_fetched(tmp_path: Path) -> None:
    async with desk(tmp_path, watched=False) as at:
        with pytest.raises(AuthFailed, match="erni-audio connect dropbox"):
            await at.adapter.fetch_link("https://www.dropbox.com/s/x", tmp_path / "fetched")
    # a revoked one is the operator's, too
    async with desk(tmp_path / "other") as at:
        at.server.revoke(at.ann)
        with pytest.raises(AuthFailed):
            await at.adapter.fetch_link("https://www.dropbox.com/s/x", tmp_path / "fetched")


# Tags


async def _one(at: Desk) -> Job:
    at.ann.upload("/Inbox/a.mp3", TALK)
    async with at.running():
        [job] = await at.submitted(1)
    return job


async def test_progress_is_a_tag_where_that_is_chosen(at: Desk) -> None:
    await at.watch(options={"tags": "yes"})
    job = await _one(at)
    file = at.ann.file("/Inbox/a.mp3")
    file.tags.append("important")
    for stage in (Stage.FETCHING, Stage.RECOGNISING):
        for fraction in (0.1, 0.5):
            await at.adapter.progress(job, stage, fraction)
    assert file.tags == ["important", "transcribing"]
    assert len(at.server.called("files/tags/add")) == 1
    await at.adapter.report_failure(job, "There is no sound in it.")
    assert file.tags == ["important", "not_transcribed"]
    await at.adapter.progress(job, Stage.FETCHING, None)
    await at.deliver(job, "hello")
    assert file.tags == ["important", "transcribed"]


async def test_tags_are_not_worth_a_failure(at: Desk) -> None:
    await at.watch(options={"tags": "yes"})
    job = await _one(at)
    file = at.ann.file("/Inbox/a.mp3")
    at.server.fail("files/tags/add", refusal("too_many_tags"))
    await at.adapter.progress(job, Stage.FETCHING, None)
    at.server.fail_always("files/tags/add", Fault(status=401, body='{"error": {".tag": "missing_scope"}}'))
    await at.deliver(job, "hello")
    assert file.tags == []
    at.server.forgive()
    at.ann.delete("/Inbox/a.mp3")
    await at.adapter.progress(job, Stage.FETCHING, None)
    at.server.revoke(at.ann)
    await at.adapter.progress(Job(id="other", recording=job.recording), Stage.FETCHING, None)


async def test_nobody_s_recordings_are_tagged_otherwise(at: Desk) -> None:
    job = await _one(at)
    await at.adapter.progress(job, Stage.FETCHING, None)
    await at.deliver(job, "hello")
    assert at.server.called("files/tags/add") == []


def test_the_class_is_what_the_port_wants(at: Desk) -> None:
    connecting: Connecting = DropboxConnecting(at.connecting().settings)
    assert connecting.name == at.adapter.door
