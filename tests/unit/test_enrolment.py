"""The account and the folders that settings name, with every platform of which they may name some."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from connectors.dropbox.adapter import DropboxFolders
from connectors.dropbox.connecting import DropboxConnecting
from connectors.dropbox.settings import DropboxSettings
from connectors.gdrive.adapter import GDriveFolders
from connectors.gdrive.settings import GDriveSettings
from core.cloud_folders import CloudFolders
from core.errors import AuthFailed, Misconfigured
from core.places import Credentials, Keyring, WatchedFolder, WatchedFolders
from core.policies import ChannelPolicy
from core.ports import AdapterContext
from core.settings import Settings, load_settings
from core.tasks import end
from core.testing import MemoryJobs, MemoryLinks, MemoryStore
from core.vault import Vault
from tests.adapters import dropbox_desk, gdrive_desk
from tests.vendors.faults import Fault
from tests.vendors.gdrive_model import File


class Platform(ABC):
    """A platform with the folder "Inbox", and services with settings that let them in. `store` is theirs."""

    name: str

    def __init__(self, tmp_path: Path) -> None:
        self.store = MemoryStore()
        self.tmp_path = tmp_path
        self.core = load_settings(Settings, ERNI_DATA_DIR=tmp_path, ERNI_FORMATS="txt")
        self._doors: list[CloudFolders] = []

    @property
    def folders(self) -> WatchedFolders:
        return WatchedFolders(self.store, self.core, self.name)

    @property
    def keyring(self) -> Keyring:
        return Keyring(self.store, self.core, self.name)

    def open(self, *folders: str, **options: str) -> CloudFolders:
        """A service with settings that name these folders; nothing is named and nobody let in where an option
        of the same name is empty."""
        prefix = self.name.upper()
        chosen = self.account() | {"FOLDERS": ",".join(folders)} | options
        context = AdapterContext(
            settings=self.core, store=self.store, jobs=MemoryJobs(), links=MemoryLinks(), node_id="node"
        )
        door = self.door(context, {f"{prefix}_{name}": value for name, value in chosen.items() if value})
        self._doors.append(door)
        return door

    def open_unnamed(self) -> CloudFolders:
        """A service whose settings name nothing."""
        return self.open(**dict.fromkeys(self.account(), ""))

    async def settled(self, *folders: str, **options: str) -> list[WatchedFolder]:
        """What is watched once a service with these settings has started."""
        door = self.open(*folders, **options)
        await door.enrolment.settle()
        assert door.enrolment.trouble == ""
        return list(await self.folders.all())

    async def add(self, text: str, **changes: Any) -> WatchedFolder:
        """As `erni-audio folders add` does."""
        door = self.open()
        credentials = await door.connecting.from_settings()
        assert credentials is not None
        found = await door.connecting.find(credentials, text)
        folder = WatchedFolder(
            connector=self.name,
            id=found.id,
            account="another account",
            name=found.name,
            policy=ChannelPolicy(formats=("md",)),
        )
        folder = replace(folder, **changes)
        await self.folders.save(folder)
        return folder

    async def close(self) -> None:
        for door in self._doors:
            await door.tended.close()

    @abstractmethod
    def account(self) -> dict[str, str]:
        """The settings that let a service in."""

    @abstractmethod
    def secrets(self) -> list[str]:
        """What must be stored nowhere."""

    @abstractmethod
    def door(self, context: AdapterContext, options: dict[str, str]) -> CloudFolders: ...

    @abstractmethod
    def make(self, *path: str) -> str:
        """A folder, and how people write which one they mean."""

    @abstractmethod
    def unknown(self) -> str:
        """How they write one that is not there."""

    @abstractmethod
    def go_away(self) -> None:
        """The platform answers nobody, until `come_back`."""

    @abstractmethod
    def come_back(self) -> None: ...


class Drive(Platform):
    name = "gdrive"

    def __init__(self, tmp_path: Path, at: gdrive_desk.Desk) -> None:
        super().__init__(tmp_path)
        self.at = at
        self.key_file = Path(gdrive_desk.key_path(at))
        self._made: dict[tuple[str, ...], File] = {("Inbox",): at.inbox}

    def account(self) -> dict[str, str]:
        return {"CREDENTIALS": str(self.key_file)}

    def secrets(self) -> list[str]:
        return [json.dumps(json.loads(self.key_file.read_text())["private_key"])[1:-1], "PRIVATE KEY"]

    def door(self, context: AdapterContext, options: dict[str, str]) -> CloudFolders:
        settings = load_settings(GDriveSettings, GDRIVE_API_BASE_URL=self.at.server.api_url, **options)
        return GDriveFolders(context, settings, rhythm=gdrive_desk.RHYTHM, pause=0.001)

    def make(self, *path: str) -> str:
        if path not in self._made:
            outer = self._made[path[:-1]] if path[1:] else self.at.home
            self._made[path] = self.at.server.folder(outer, path[-1])
        return self._made[path].id

    def unknown(self) -> str:
        return "0123456789abcdef0123"

    def go_away(self) -> None:
        self.at.server.fail("about.get", *[Fault(status=503)] * 1000)

    def come_back(self) -> None:
        self.at.server.forgive()


class Dropbox(Platform):
    name = "dropbox"

    def __init__(self, tmp_path: Path, at: dropbox_desk.Desk) -> None:
        super().__init__(tmp_path)
        self.at = at

    def account(self) -> dict[str, str]:
        token = self.at.grant.refresh_token
        assert token is not None
        return {"APP_KEY": self.at.server.app.key, "REFRESH_TOKEN": token}

    def secrets(self) -> list[str]:
        return [self.account()["REFRESH_TOKEN"]]

    def door(self, context: AdapterContext, options: dict[str, str]) -> CloudFolders:
        settings = load_settings(DropboxSettings, DROPBOX_API_BASE_URL=self.at.server.origin, **options)
        return DropboxFolders(context, DropboxConnecting(settings), rhythm=dropbox_desk.QUICK)

    def make(self, *path: str) -> str:
        whole = "/" + "/".join(path)
        if path != ("Inbox",) and path[-1] not in self.at.ann.names("/" + "/".join(path[:-1])):
            self.at.ann.make_folder(whole)
        return whole

    def unknown(self) -> str:
        return "/Nowhere"

    def go_away(self) -> None:
        self.at.server.fail_always("users/get_current_account", Fault(status=503))

    def come_back(self) -> None:
        self.at.server.forgive()


@asynccontextmanager
async def drive(tmp_path: Path) -> AsyncIterator[Drive]:
    async with gdrive_desk.desk(tmp_path, "shared drive") as at:
        platform = Drive(tmp_path, at)
        yield platform
        await platform.close()


@asynccontextmanager
async def dropbox(tmp_path: Path) -> AsyncIterator[Dropbox]:
    async with dropbox_desk.desk(tmp_path, watched=False) as at:
        platform = Dropbox(tmp_path, at)
        yield platform
        await platform.close()


@pytest.fixture(params=[drive, dropbox])
async def at(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Platform]:
    async with request.param(tmp_path) as platform:
        yield platform


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.enrolment._AGAIN_SECONDS", 0.01)
    monkeypatch.setattr("core.tending._LOOK_SECONDS", 0.05)


@asynccontextmanager
async def running(door: CloudFolders) -> AsyncIterator[None]:
    async def submit(_recording: object) -> str:
        return "job"

    task = asyncio.create_task(door.run(submit))
    try:
        yield
    finally:
        await end(task)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


# What is put on record


async def test_settings_do_without_a_key_since_no_secret_is_stored(at: Platform) -> None:
    assert at.core.encryption_key is None
    door = at.open(at.make("Inbox"))
    async with running(door):
        async with asyncio.timeout(20):
            while not (watched := await at.folders.all()):
                await asyncio.sleep(0.005)
        [folder] = watched
        await until(door.tended.running)
        assert (await door.check()).usable
    [credentials] = await at.keyring.all()
    assert credentials.secret == ""
    assert credentials.reference
    assert folder.account == credentials.account
    stored = json.dumps([at.store.spaces, at.store.audited])
    assert [secret for secret in at.secrets() if secret in stored or json.dumps(secret)[1:-1] in stored] == []


async def test_secrets_are_not_stored_without_a_key_and_those_of_settings_never(at: Platform) -> None:
    with pytest.raises(Misconfigured, match="ERNI_ENCRYPTION_KEY"):
        await at.keyring.save(Credentials(account="a", label="a", secret="hush"))
    assert await at.keyring.all() == []
    settings = at.core.model_copy(update={"encryption_key": Vault.new_key()})
    for keyring in (at.keyring, Keyring(at.store, settings, at.name)):
        await keyring.save(Credentials(account="a", label="a", secret="hush", reference="there"))
        assert await keyring.find("a") == Credentials(account="a", label="a", reference="there")


async def test_folders_are_treated_as_settings_say_and_follow_them(at: Platform) -> None:
    inbox, other = at.make("Inbox"), at.make("Other")
    first, second = await at.settled(inbox, other, OUTPUT="Texts", FORMATS="md,srt", BACKFILL="yes")
    assert (first.name.strip("/"), second.name.strip("/")) == ("Inbox", "Other")
    for folder in (first, second):
        assert (folder.output, folder.policy.formats, folder.backfill) == ("Texts", ("md", "srt"), True)
    assert await at.settled(inbox, other, OUTPUT="Texts", FORMATS="md,srt", BACKFILL="yes") == [first, second]
    changed, _ = await at.settled(inbox, other, LANGUAGES="de")
    assert (changed.policy.languages, changed.output, changed.place) == (("de",), "beside", first.place)
    [left] = await at.settled(other)
    assert left.id == second.id
    _, again = await at.settled(inbox, other)
    assert again.id == first.id
    assert again.since > first.since


async def test_what_lay_there_is_taken_when_that_is_wanted_later(at: Platform) -> None:
    inbox = at.make("Inbox")
    [before] = await at.settled(inbox)
    await at.store.remember(f"{before.place}:folder", "cursor", "old")
    [after] = await at.settled(inbox, BACKFILL="yes")
    assert after.backfill
    assert after.place != before.place  # so nothing is known of its files
    assert await at.store.memories(f"{before.place}:folder") == {}
    assert await at.settled(inbox, BACKFILL="yes") == [after]
    [seldom] = await at.settled(inbox)
    assert (seldom.place, seldom.backfill) == (after.place, False)


async def test_settings_that_name_nothing_any_more_leave_nothing(at: Platform) -> None:
    await at.settled(at.make("Inbox"))
    door = at.open_unnamed()
    await door.enrolment.settle()
    assert await at.folders.all() == []
    assert await at.keyring.all() == []
    found = await door.check()
    assert not found.usable
    assert f"erni-audio connect {at.name}" in found.remedy


async def test_what_a_command_added_stays_as_it_is(at: Platform) -> None:
    inbox = at.make("Inbox")
    added = await at.add(inbox)
    assert await at.settled(inbox) == [added]
    assert await at.settled() == [added]
    await at.open_unnamed().enrolment.settle()
    assert list(await at.folders.all()) == [added]


async def test_what_a_command_changed_is_its_own_from_then_on(at: Platform) -> None:
    inbox = at.make("Inbox")
    [named] = await at.settled(inbox)
    changed = replace(named, output="Texts")
    await at.folders.save(changed)
    await at.store.forget(f"{at.name}:settings", named.id)  # as `folders add` does
    assert await at.settled(inbox) == [changed]
    assert await at.settled() == [changed]
    assert [known.account for known in await at.keyring.all()] == [named.account]


async def test_what_a_command_removed_is_watched_again(at: Platform) -> None:
    inbox = at.make("Inbox")
    [named] = await at.settled(inbox)
    await at.folders.remove(named)
    [again] = await at.settled(inbox)
    assert again.since > named.since


async def test_a_reference_stays_while_something_is_watched_with_it(at: Platform) -> None:
    for account in ("used", "unused", "secret"):
        secret = {"secret": "hush"} if account == "secret" else {"reference": "there"}
        await Keyring(at.store, at.core.model_copy(update={"encryption_key": Vault.new_key()}), at.name).save(
            Credentials(account=account, label=account, **secret)
        )
    await at.add(at.make("Other"), account="used")
    [_, folder] = await at.settled(at.make("Inbox"))
    assert {known.account for known in await at.keyring.all()} == {"used", "secret", folder.account}


# What is wrong with them


async def test_one_wrong_folder_is_told_and_the_others_are_watched(at: Platform) -> None:
    inbox, other = at.make("Inbox"), at.make("Other")
    await at.settled(inbox, other)
    door = at.open(at.unknown(), inbox)
    assert f"{at.name.upper()}_FOLDERS" in (await door.check()).reason
    async with running(door):
        await until(lambda: door.enrolment.trouble)
        found = await door.check()
        assert not found.usable
        assert found.reason == door.enrolment.trouble
        assert f"{at.name.upper()}_FOLDERS" in found.remedy
        assert len(await at.folders.all()) == 2  # what is wrong may be meant for Other


async def test_the_log_names_no_folders(at: Platform, caplog: pytest.LogCaptureFixture) -> None:
    door = at.open(at.make("Inbox", "Board"), at.make("Inbox"))
    async with running(door):
        await until(lambda: door.enrolment.trouble)
    assert "Board" in door.enrolment.trouble
    assert f"{at.name.upper()}_FOLDERS" in caplog.text
    assert "Board" not in caplog.text


@pytest.mark.parametrize("by_command", [False, True])
async def test_a_folder_in_another_one_is_refused(at: Platform, *, by_command: bool) -> None:
    inbox, board = at.make("Inbox"), at.make("Inbox", "Board")
    if by_command:
        await at.add(inbox)
    door = at.open(board) if by_command else at.open(board, inbox)
    found = await door.check()
    assert "Board lies in" in found.reason
    async with running(door):
        await until(lambda: door.enrolment.trouble)
        [outer] = await at.folders.all()
        assert outer.name.strip("/") == "Inbox"


async def test_a_folder_in_one_that_is_watched_without_its_folders(at: Platform) -> None:
    await at.add(at.make("Inbox"), recursive=False)
    _, inner = await at.settled(at.make("Inbox", "Board"))
    assert "Board" in inner.name


async def test_a_platform_that_is_away_is_asked_again(at: Platform) -> None:
    door = at.open(at.make("Inbox"))
    at.go_away()
    assert not (await door.check()).usable
    async with running(door):
        await until(lambda: door.enrolment.trouble)
        assert (await door.check()).reason == door.enrolment.trouble
        assert await at.folders.all() == []
        at.come_back()
        await until(lambda: not door.enrolment.trouble)
    assert len(await at.folders.all()) == 1


async def test_a_store_that_is_away_is_asked_again(at: Platform, caplog: pytest.LogCaptureFixture) -> None:
    class Away(MemoryStore):
        is_away = True

        async def remember(self, space: str, key: str, value: str) -> None:
            if self.is_away:
                raise RedisConnectionError
            await super().remember(space, key, value)

    at.store = store = Away()
    door = at.open(at.make("Inbox"))
    settling = asyncio.create_task(door.enrolment.settle())
    await until(lambda: "The store does not answer" in door.enrolment.trouble)
    store.is_away = False
    await settling
    assert door.enrolment.trouble == ""
    assert len(await at.folders.all()) == 1
    assert caplog.text.count("The store does not answer") == 1  # told once


# Several processes


async def test_two_services_with_the_same_settings_watch_one_folder(at: Platform) -> None:
    doors = [at.open(at.make("Inbox")) for _ in range(3)]
    await asyncio.gather(*(door.enrolment.settle() for door in doors))
    [folder] = await at.folders.all()
    opened = [await door.tended.opened(folder.id) for door in doors]
    assert {each.folder.place for each in opened if each is not None} == {folder.place}
    assert len([event for event, _ in at.store.audited if event == "connected"]) == 1


async def test_a_process_that_died_over_it_holds_the_next_one_up_for_its_lease(at: Platform) -> None:
    assert await at.store.acquire(f"{at.name}:settings", "turn", 0.2) is not None
    assert len(await at.settled(at.make("Inbox"))) == 1


# Secrets that settings hold


async def test_a_reference_means_nothing_where_settings_hold_no_secret(at: Platform) -> None:
    [folder] = await at.settled(at.make("Inbox"))
    credentials = await at.keyring.find(folder.account)
    assert credentials is not None
    elsewhere = at.open_unnamed()
    with pytest.raises(AuthFailed, match="is not set here"):
        await elsewhere.connecting.resolved(credentials)
    with pytest.raises(AuthFailed, match="is not set here"):
        await elsewhere.connecting.find(credentials, "Inbox")
    with pytest.raises(AuthFailed, match="is not set here"):
        elsewhere.connecting.open(folder, credentials)
    with pytest.raises(AuthFailed, match="is not set here"):
        await elsewhere.tended.opened(folder.id)


async def test_commands_use_references_as_they_are(at: Platform) -> None:
    [folder] = await at.settled(at.make("Inbox"))
    credentials = await at.keyring.find(folder.account)
    assert credentials is not None
    connecting = at.open().connecting
    assert (await connecting.find(credentials, at.make("Inbox"))).id == folder.id
    place = connecting.open(folder, credentials)
    assert (await place.check()).usable
    await place.close()


async def test_a_token_of_another_account_is_not_used_for_the_first_one(tmp_path: Path) -> None:
    async with dropbox(tmp_path) as at:
        [inbox] = await at.settled("/Inbox")
        await at.store.forget("dropbox:settings", inbox.id)  # a command made it its own
        bob = at.at.server.add_person("Bob")
        bob.make_folder("/Bob")
        token = at.at.server.connect(bob, pkce=True).refresh_token
        assert token is not None
        door = at.open("/Bob", REFRESH_TOKEN=token)
        await door.enrolment.settle()
        assert len(await at.folders.all()) == 2
        with pytest.raises(AuthFailed, match="those of another one"):
            await door.tended.opened(inbox.id)


async def test_a_key_file_that_is_replaced_is_noticed(tmp_path: Path) -> None:
    async with drive(tmp_path) as at:
        server = at.at.server
        door = at.open(at.make("Inbox"))
        async with running(door):
            await until(door.tended.running)
            [before] = door.tended.running()
            old = server.oauth.keys.of(at.at.account)
            server.new_key(at.at.account)
            at.key_file.write_text(json.dumps(server.key_file(at.at.account)))
            old.deleted = True
            await until(lambda: [each for each in door.tended.running() if each is not before])
            [after] = door.tended.running()
            assert after.folder == before.folder
            assert after.fingerprint != before.fingerprint
            assert (await after.place.check()).usable
        [known] = await at.keyring.all()
        assert known.account == after.folder.account


async def test_a_key_file_that_was_only_touched_changes_nothing(tmp_path: Path) -> None:
    async with drive(tmp_path) as at:
        [folder] = await at.settled(at.make("Inbox"))
        door = at.open(at.make("Inbox"))
        first = await door.tended.opened(folder.id)
        assert first is not None
        at.key_file.touch()
        assert await door.tended.opened(folder.id) is first


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "GDRIVE_CREDENTIALS: The file can't be read"),
        ("{}", "GDRIVE_CREDENTIALS: This is no key file"),
        ("another", "another account"),
    ],
)
async def test_a_key_file_that_is_of_no_use_any_more(
    tmp_path: Path, content: str | None, message: str
) -> None:
    async with drive(tmp_path) as at:
        [folder] = await at.settled(at.make("Inbox"))
        door = at.open(at.make("Inbox"))
        assert await door.tended.opened(folder.id) is not None
        if content == "another":
            another = at.at.server.service_account("somebody-else")
            content = json.dumps(at.at.server.key_file(another))
        at.key_file.unlink()
        if content is not None:
            at.key_file.write_text(content)
        with pytest.raises(AuthFailed, match=message):
            await door.tended.opened(folder.id)
