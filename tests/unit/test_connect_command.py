"""`erni-audio connect` with Google Drive and Dropbox on this machine, and somebody at a terminal."""

from __future__ import annotations

import io
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from core.commands.terminal import Terminal
from core.errors import Misconfigured
from core.ledger import PREFIX
from core.places import Credentials, Keyring, WatchedFolder, WatchedFolders
from tests.adapters.command_desk import Caller, Operator, Sitting, calling, operator
from tests.quick_store import quick_store
from tests.vendors import dropbox_server, gdrive
from tests.vendors.dropbox_server import DropboxServer
from tests.vendors.gdrive import GDriveServer
from tests.vendors.gdrive_oauth import Consent

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    with calling() as made:
        yield made


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with quick_store() as made:
        yield made


@pytest.fixture
async def me(caller: Caller, url: str, tmp_path: Path) -> AsyncIterator[Operator]:
    async with operator(caller, url, tmp_path) as made:
        yield made


@pytest.fixture
async def dropbox(me: Operator) -> AsyncIterator[DropboxServer]:
    async with dropbox_server.serving() as server:
        me.settings["DROPBOX_API_BASE_URL"] = server.origin
        yield server


@pytest.fixture
async def drive(me: Operator) -> AsyncIterator[GDriveServer]:
    async with gdrive.serving() as server:
        me.settings |= {"GDRIVE_API_BASE_URL": server.api_url, "OAUTHLIB_INSECURE_TRANSPORT": "1"}
        yield server


async def accounts(me: Operator, connector: str) -> dict[str, str]:
    """Secrets by label."""
    async with me.state() as state:
        found = await Keyring(state.store, me.core_settings(), connector).all()
    return {credentials.label: credentials.secret for credentials in found}


def address_in(text: str) -> str:
    """The address that is to be opened: whole, on a line of its own."""
    (found,) = (line for line in text.splitlines() if line.startswith("http") and "client_id=" in line)
    return found


async def consent(sitting: Sitting, server: DropboxServer, person: dropbox_server.Person) -> str:
    """Answer everything; the code that was typed."""
    await sitting.answer("App key: ", server.app.key)
    code = server.approve(address_in(await sitting.asked("Code (not shown): ")), person)
    sitting.type(code)
    return code


async def test_a_dropbox_is_connected_and_its_token_kept_secret(me: Operator, dropbox: DropboxServer) -> None:
    ann = dropbox.add_person("Ann Lee")
    async with me.at_terminal("connect", "dropbox") as sitting:
        code = await consent(sitting, dropbox, ann)
        assert await sitting.end() == 0
    assert "files.content.write" in sitting.seen
    assert "✓ Connected to Dropbox as ann.lee@example.com.\n" in sitting.seen
    assert "Next: `erni-audio folders add dropbox FOLDER`" in sitting.seen
    assert code not in sitting.seen
    (grant,) = dropbox.grants.all
    assert grant.refresh_token is not None
    found = await accounts(me, "dropbox")
    assert grant.refresh_token in found["ann.lee@example.com"]
    async with me.state() as state:
        stored = repr(await state.redis.hgetall(f"{PREFIX}:memory:dropbox:credentials"))
        events = [entry["event"] async for entry in state.store.audit_entries()]
    assert ann.account.id in stored
    assert grant.refresh_token not in stored
    assert events == ["connected"]
    listed = await me.call("connect", "--list")
    assert (listed.code, listed.out, listed.err) == (0, "dropbox: ann.lee@example.com, 0 folders\n", "")


async def test_a_known_app_is_not_asked_for_and_folders_stay(me: Operator, dropbox: DropboxServer) -> None:
    ann = dropbox.add_person("Ann Lee")
    me.settings["DROPBOX_APP_KEY"] = dropbox.app.key
    for again in ("", "again "):
        async with me.at_terminal("connect", "dropbox") as sitting:
            said = await sitting.asked("Code (not shown): ")
            assert "App key" not in said
            sitting.type(dropbox.approve(address_in(said), ann))
            assert await sitting.end() == 0
        assert f"✓ Connected {again}to Dropbox as ann.lee@example.com.\n" in sitting.seen
        async with me.state() as state:
            folder = WatchedFolder(connector="dropbox", id="id:1", account=ann.account.id, name="/Inbox")
            await WatchedFolders(state.store, me.core_settings(), "dropbox").save(folder)
    assert "1 folder of this account is watched with it from now on.\n" in sitting.seen
    assert len(await accounts(me, "dropbox")) == 1


async def test_what_does_not_work_is_said_and_nothing_is_kept(me: Operator, dropbox: DropboxServer) -> None:
    ann = dropbox.add_person("Ann Lee")
    me.settings["DROPBOX_APP_KEY"] = dropbox.app.key
    async with me.at_terminal("connect", "dropbox") as sitting:
        await sitting.answer("Code (not shown): ", "")  # asked again
        await sitting.answer("Code (not shown): ", "nonsense")
        assert await sitting.end() == 1
    assert "erni-audio: This code is not right, was used already, or is too old. Try again.\n" in sitting.seen
    dropbox.app.scopes -= {"files.content.write"}
    async with me.at_terminal("connect", "dropbox") as sitting:
        sitting.type(dropbox.approve(address_in(await sitting.asked("Code (not shown): ")), ann))
        assert await sitting.end() == 1
    assert "erni-audio: The app lacks permissions: files.content.write. Tick them" in sitting.seen
    assert await accounts(me, "dropbox") == {}


async def test_a_service_account_of_google(me: Operator, drive: GDriveServer) -> None:
    robot = drive.service_account()
    path = me.home / "key.json"
    path.write_text(json.dumps(drive.key_file(robot)))
    async with me.at_terminal("connect", "gdrive") as sitting:
        said = await sitting.answer("1, 2 or 3: ", "4")
        assert "How is the service to get into Google Drive?\n1  a service account" in said
        await sitting.answer("1, 2 or 3: ", "1")
        await sitting.answer("key file: ", "  missing.json")
        assert await sitting.end() == 1
    assert "erni-audio: The file can't be read (No such file or directory)." in sitting.seen
    async with me.at_terminal("connect", "gdrive") as sitting:
        await sitting.answer("1, 2 or 3: ", "service")  # its name does as well
        await sitting.answer("key file: ", f" {path} ")
        assert await sitting.end() == 0
    assert f"✓ Connected to Google Drive as {robot.email}.\n" in sitting.seen
    assert robot.email in await accounts(me, "gdrive")


async def test_a_person_with_google(me: Operator, drive: GDriveServer) -> None:
    anna = drive.person("anna@example.com")
    path = me.home / "client.json"
    path.write_text(json.dumps(drive.oauth.client_file(drive.client("terminal"))))
    for declines, code in ((True, 1), (False, 0)):
        async with me.at_terminal("connect", "gdrive") as sitting:
            await sitting.answer("1, 2 or 3: ", "3")
            await sitting.answer("client_secret_….json): ", str(path))
            said = await sitting.asked("Address of the last page (not shown): ")
            drive.oauth.at_the_page = Consent(account=anna, declines=declines)
            async with (
                aiohttp.ClientSession() as browser,
                browser.get(address_in(said), allow_redirects=False) as page,
            ):
                landing = page.headers["Location"]
            sitting.type(landing)
            assert await sitting.end() == code
        assert landing not in sitting.seen
        assert ("Nobody allowed the service to use the Drive" in sitting.seen) is declines
    assert "✓ Connected to Google Drive as anna@example.com.\n" in sitting.seen


async def test_who_leaves_is_let_go_at_once(me: Operator, dropbox: DropboxServer) -> None:
    for how, code in (("C", 130), ("D", 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)):
        async with me.at_terminal("connect", "dropbox") as sitting:
            await sitting.asked("App key: ")
            assert await sitting.end(partial(sitting.leave, how)) == code
    async with me.at_terminal("connect", "dropbox") as sitting:
        await sitting.answer("App key: ", dropbox.app.key)
        await sitting.asked("Code (not shown): ")
        assert await sitting.end(partial(sitting.leave, "C")) == 130
    assert "Traceback" not in sitting.seen


async def test_what_must_be_set_up_first_is_said_before_anything_is_asked(me: Operator) -> None:
    async with me.at_terminal("connect", "dropbox", ERNI_ENCRYPTION_KEY="") as sitting:
        assert await sitting.end() == 2
    assert sitting.seen.startswith("erni-audio: Credentials are kept only encrypted. Make a key with `erni-")
    assert sitting.seen.count("\n") == 1


async def test_calls_that_are_not_right(me: Operator) -> None:
    for arguments, message in (
        (("connect",), "Say which: gdrive, dropbox."),
        (("connect", "--forget", "ann"), "Say which: gdrive, dropbox."),
        (("connect", "onedrive"), "Unknown connector 'onedrive'. There are: gdrive, dropbox."),
        (("connect", "--list", "onedrive"), "Unknown connector 'onedrive'. There are: gdrive, dropbox."),
        (("connect", "gdrive", "--list", "--forget", "ann"), "Give either --list or --forget."),
        (("connect", "gdrive"), "This is no terminal, so nobody can be asked. Run this in one. docs/gdrive."),
    ):
        said = await me.call(*arguments)
        assert (said.code, said.out, len(said.lines)) == (2, "", 1), said
        assert said.err.startswith(f"erni-audio: {message}")


async def test_an_account_is_forgotten(me: Operator) -> None:
    async def put(**more: str) -> None:
        async with me.state() as state:
            keyring = Keyring(state.store, me.core_settings(), "dropbox")
            await keyring.save(Credentials(account="dbid:A", label="ann@example.com", **more))

    none = await me.call("connect", "--list")
    assert (none.code, none.out) == (0, "")
    assert none.err == "No account is connected. `erni-audio connect NAME` does that.\n"
    await put(secret="{}")
    async with me.state() as state:
        folder = WatchedFolder(connector="dropbox", id="id:1", account="dbid:A", name="/Inbox")
        await WatchedFolders(state.store, me.core_settings(), "dropbox").save(folder)
    listed = await me.call("connect", "--list", "dropbox")
    assert listed.out == "dropbox: ann@example.com, 1 folder\n"
    unknown = await me.call("connect", "dropbox", "--forget", "bob@example.com")
    assert (unknown.code, unknown.lines) == (
        1,
        [
            "erni-audio: bob@example.com is no connected account of dropbox. There are: ann@example.com.",
        ],
    )
    done = await me.call("connect", "dropbox", "--forget", "Ann@example.com")
    assert done.code == 0
    assert done.lines[0].startswith(
        "✓ The credentials of ann@example.com are forgotten. docs/dropbox.md says"
    )
    assert done.lines[1].startswith("1 folder of this account can't be watched until it is connected again.")
    assert await accounts(me, "dropbox") == {}
    async with me.state() as state:
        events = [entry async for entry in state.store.audit_entries()]
    assert [entry["event"] for entry in events] == ["connected", "disconnected"]
    assert events[0]["account"] == events[1]["account"]
    again = await me.call("connect", "dropbox", "--forget", "ann@example.com")
    assert (again.code, again.lines) == (
        1,
        ["erni-audio: No account of dropbox is connected, so there is nothing to forget."],
    )
    await put(reference="DROPBOX_REFRESH_TOKEN")
    done = await me.call("connect", "dropbox", "--forget", "ann@example.com")
    assert done.lines[1] == "Settings name this account, too: it comes back when a service starts with them."


def test_paragraphs_are_wrapped_and_what_is_to_be_copied_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    long = "https://example.com/" + "x-y" * 50
    Terminal("").say(f"Open this address, and be quick about it, please: {long}\nThen \x1b[31mcome back.")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "Open this address, and be quick about",
        "it, please:",
        long,
        "Then \\x1b[31mcome back.",
        "",
    ]


def test_nobody_is_asked_where_nobody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    terminal = Terminal("Do it by letter.")
    with pytest.raises(Misconfigured, match="Do it by letter"):
        terminal.ask("Name")
    with pytest.raises(Misconfigured, match="Do it by letter"):
        terminal.confirm("Sure?")
    with pytest.raises(Misconfigured, match="Do it by letter"):
        terminal.choose("Which?", {"a": "one", "b": "other"})
