"""`erni-audio folders` with the real connectors at a Google Drive and a Dropbox on this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from connectors.dropbox.client import Access
from connectors.gdrive.credentials import service_account
from core.accounts import RedisAccounts
from core.commands.folder_choices import summary
from core.places import Credentials, Keyring, WatchedFolder, WatchedFolders
from core.policies import ChannelPolicy
from tests.adapters.command_desk import Caller, Operator, Said, calling, operator
from tests.adapters.gdrive_desk import refresh_token
from tests.quick_store import quick_store
from tests.vendors import dropbox_server, gdrive
from tests.vendors.dropbox_server import DropboxServer, Person
from tests.vendors.gdrive import GDriveServer
from tests.vendors.gdrive_model import Account, File, SharedDrive

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")

LINK = "https://drive.google.com/drive/folders/"
TALK = bytes(range(256)) * 400


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    with calling() as made:
        yield made


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with quick_store() as made:
        yield made


@dataclass(kw_only=True)
class Site:
    """Ann connected her Dropbox, in which /Inbox lies. A robot is a member of a shared drive with a folder
    Inbox."""

    me: Operator
    dropbox: DropboxServer
    ann: Person
    drive: GDriveServer
    anna: Account
    robot: Account
    team: SharedDrive
    inbox: File

    async def folders(self, *arguments: str, **more: str) -> Said:
        return await self.me.call("folders", *arguments, **more)

    async def good(self, *arguments: str, **more: str) -> Said:
        said = await self.folders(*arguments, **more)
        assert said.code == 0, said
        return said

    async def refused(self, *arguments: str, code: int = 1, **more: str) -> str:
        """What is said, in one line."""
        said = await self.folders(*arguments, **more)
        assert (said.code, said.out, len(said.lines)) == (code, "", 1), said
        assert said.err.startswith("erni-audio: ")
        return said.err.removeprefix("erni-audio: ").rstrip()

    async def watched(self, connector: str) -> list[WatchedFolder]:
        async with self.me.state() as state:
            return list(await WatchedFolders(state.store, self.me.core_settings(), connector).all())

    async def connect(self, connector: str, credentials: Credentials) -> None:
        async with self.me.state() as state:
            await Keyring(state.store, self.me.core_settings(), connector).save(credentials)

    async def events(self) -> list[str]:
        async with self.me.state() as state:
            return [entry["event"] async for entry in state.store.audit_entries()]


@pytest.fixture
async def at(caller: Caller, url: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with a_site(caller, url, tmp_path) as made:
        yield made


@asynccontextmanager
async def a_site(caller: Caller, url: str, tmp_path: Path) -> AsyncIterator[Site]:
    """See `Site`."""
    async with (
        operator(caller, url, tmp_path) as me,
        dropbox_server.serving() as dropbox,
        gdrive.serving() as drive,
    ):
        me.settings |= {"GDRIVE_API_BASE_URL": drive.api_url, "DROPBOX_API_BASE_URL": dropbox.origin}
        ann = dropbox.add_person("Ann Lee")
        ann.make_folder("/Inbox")
        anna, robot = drive.person("anna@example.com"), drive.service_account("robot")
        team = drive.shared_drive("Team", {anna: "organizer", robot: "fileOrganizer"})
        site = Site(
            me=me,
            dropbox=dropbox,
            ann=ann,
            drive=drive,
            anna=anna,
            robot=robot,
            team=team,
            inbox=drive.folder(team, "Inbox"),
        )
        await site.connect("dropbox", ann_with(site))
        key = await asyncio.to_thread(service_account, drive.key_file(robot))
        await site.connect("gdrive", Credentials(account="robot", label=robot.email, secret=key))
        yield site
    assert dropbox.misfits() == []


def ann_with(at: Site, person: Person | None = None, **scopes: Any) -> Credentials:
    """What `connect` keeps of somebody's consent."""
    grant = at.dropbox.connect(person or at.ann, pkce=True, **scopes)
    assert grant.refresh_token is not None
    access = Access(app_key=at.dropbox.app.key, refresh_token=grant.refresh_token)
    return Credentials(account=grant.account.id, label=grant.account.email, secret=access.to_json())


async def connect_anna(at: Site) -> None:
    secret = refresh_token(at.drive, at.anna)
    await at.connect("gdrive", Credentials(account="anna", label="anna@example.com", secret=secret))


# adding


async def test_a_folder_in_each_cloud(at: Site) -> None:
    said = await at.good("add", "dropbox", "/inbox")
    assert said.lines == [
        "✓ Dropbox, /Inbox: watched from now on, as ann.lee@example.com. It can be read and written.",
        "  md, srt, json beside the recording",
        "What lies there already is left alone. To have it transcribed too, add --backfill to this call.",
    ]
    said = await at.good("add", "gdrive", f"{LINK}{at.inbox.id}?usp=sharing", ERNI_ADAPTERS="folder")
    assert said.lines[0].startswith("✓ Google Drive, Inbox: watched from now on, as robot@erni-audio-local.")
    assert said.lines[-1] == (
        "No service looks there yet: set ERNI_ADAPTERS=folder,gdrive, and start the service anew."
    )
    (folder,) = await at.watched("gdrive")
    assert (folder.id, folder.name, folder.link) == (at.inbox.id, "Inbox", LINK + at.inbox.id)
    assert (folder.account, folder.backfill, folder.recursive) == ("robot", False, True)
    assert folder.since > 1.7e9
    assert (await at.events())[-2:] == ["folder-added", "folder-added"]


async def test_what_is_chosen_for_a_folder(at: Site) -> None:
    said = await at.good(
        *("add", "gdrive", at.inbox.id, "--language", "German,en", "-l", "French", "--speakers", "2-4"),
        *("--vocabulary", "Erni", "--vocabulary", "Kubernetes, Valkey", "--format", "txt,docx"),
        *("--method", "local", "--output", "Texts", "--keep-days", "1", "--keep-without-recording"),
        *("--not-recursive", "--option", "document=yes", "--option", "comments = no"),
    )
    assert said.lines[1] == (
        "  languages: German, English, French; speakers: 2-4; vocabulary: Erni, Kubernetes, Valkey; method: "
        "local; txt, docx in the subfolder Texts; without its subfolders; kept in the store for 1 day; "
        "transcripts outlive their recordings; document=yes"
    )
    (folder,) = await at.watched("gdrive")
    assert folder.policy == ChannelPolicy(
        languages=("de", "en", "fr"),
        vocabulary=("Erni", "Kubernetes", "Valkey"),
        min_speakers=2,
        max_speakers=4,
        formats=("txt", "docx"),
        method="local",
        retention_days=1,
        delete_with_recording=False,
    )
    assert (folder.output, folder.recursive) == ("Texts", False)
    assert folder.options == {"document": "yes", "comments": "no"}


async def test_adding_again_changes_what_is_given_and_adds_no_second_one(at: Site) -> None:
    await at.good(
        "add", "gdrive", at.inbox.id, "--language", "de", "--speakers", "3", "--option", "document=yes"
    )
    (first,) = await at.watched("gdrive")
    same = await at.good("add", "gdrive", LINK + at.inbox.id)
    assert same.lines[0] == "✓ Google Drive, Inbox: was watched just so already. It can be read and written."
    said = await at.good("add", "gdrive", "/Shared drives/Team/Inbox", "--language", "", "--output", "Texts")
    assert said.lines[0] == "✓ Google Drive, Inbox: changed. It can be read and written."
    assert said.lines[1] == "  speakers: 3; md, srt, json in the subfolder Texts; document=yes"
    (second,) = await at.watched("gdrive")
    assert (second.since, second.place) == (first.since, first.place)
    assert (await at.events())[2:] == ["folder-added", "folder-changed"]
    for back in (("--speakers", ""), ("--output", ""), ("--option", "document=no")):
        await at.good("add", "gdrive", at.inbox.id, *back)
    (third,) = await at.watched("gdrive")
    assert summary(third) == "md, srt, json beside the recording"
    assert third.policy == ChannelPolicy()


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (("--language", "Klingon"), "is not a language that is known here"),
        (("--speakers", "many"), "Please write a number"),
        (("--speakers", "4-2"), "smaller number first: 2-4"),
        (("--format", "pdf"), "There is no format 'pdf'. There are: txt, md"),
        (("--format", ","), "Name a format."),
        (("--method", "magic"), "There is no method 'magic'. There are: standard,"),
        (("--output", "a/b"), "plain name of a subfolder"),
        (("--keep-days", "0"), "from 1 to 3650"),
        (("--vocabulary", "x" * 101), "is too long"),
        (("--option", "tags"), "Write tags=no|yes, one of them."),
        (("--option", "tags=maybe"), "Write tags=no|yes, one of them."),
        (("--option", "document=yes"), "Dropbox has no option 'document'. There are: tags=no|yes."),
    ],
)
async def test_choices_that_make_no_sense(at: Site, choice: tuple[str, str], message: str) -> None:
    assert message in await at.refused("add", "dropbox", "/Inbox", *choice, code=2)
    assert await at.watched("dropbox") == []
    assert at.dropbox.calls == []


async def test_what_is_no_folder_to_be_had(at: Site) -> None:
    await connect_anna(at)
    private = at.drive.folder(at.anna, "Private")
    file = at.drive.upload(at.inbox, "talk.mp3", TALK)
    at.ann.upload("/Inbox/talk.mp3", TALK)
    robot = ("--account", at.robot.email)
    for arguments, message in (
        (("gdrive", LINK + private.id, *robot), "not shared with robot@erni-audio-local."),
        (("gdrive", f"https://drive.google.com/file/d/{file.id}/view", *robot), "This is a file."),
        (("gdrive", "https://example.com/folders/1", *robot), "This is no link to a folder in Google Drive."),
        (("gdrive", "/Nowhere", *robot), "There is no folder with this path"),
        (("dropbox", "/Nowhere"), "There is no folder /Nowhere in the Dropbox of ann.lee@example.com."),
        (("dropbox", "/Inbox/talk.mp3"), "This is a file."),
        (("dropbox", "https://www.dropbox.com/scl/fo/none?rlkey=1"), "Dropbox knows no folder behind this"),
        (("dropbox", "https://example.com/Inbox"), "This is no link of Dropbox."),
    ):
        assert message in await at.refused("add", *arguments)
    assert await at.watched("gdrive") == await at.watched("dropbox") == []


async def test_what_can_be_read_but_not_written_is_not_added(at: Site) -> None:
    read_only = at.drive.folder(at.anna, "Read only")
    at.drive.share(read_only, at.robot, "reader")
    assert await at.refused("add", "gdrive", read_only.id) == (
        "Read only can't be used yet: The service may read the folder, but not write into it. Share it with "
        "the service as Editor (in a shared drive as Content manager). Then run this again."
    )
    at.drive.share(read_only, at.robot, "writer")
    assert "Service accounts own no storage" in await at.refused("add", "gdrive", read_only.id)
    bob = at.dropbox.add_person("Bob")
    bob.make_folder("/Bob's")
    bob.share_folder("/Bob's", {at.ann: "viewer"})
    assert await at.refused("add", "dropbox", "/Bob's") == (
        "/Bob's can't be used yet: The connected account may only read the folder, not write into it. Give "
        "the account the right to edit the folder. Then run this again."
    )
    assert await at.watched("gdrive") == await at.watched("dropbox") == []


async def test_access_that_was_taken_back(at: Site) -> None:
    await at.good("add", "dropbox", "/Inbox")
    await at.good("add", "gdrive", at.inbox.id)
    await connect_anna(at)
    mine = at.drive.folder(at.anna, "Mine")
    await at.good("add", "gdrive", mine.id, "--account", "anna")
    at.dropbox.revoke(at.ann)
    at.drive.oauth.revoke(at.anna)
    assert "Google does not accept the credentials any more" in await at.refused("add", "gdrive", mine.id)
    message = await at.refused("add", "dropbox", "/Inbox", "--speakers", "2")
    assert message.startswith("Dropbox does not accept the credentials any more:")
    assert message.endswith("Run `erni-audio connect dropbox` again.")
    said = await at.folders("check")
    assert said.code == 1
    assert said.out.splitlines() == [
        "✓ Google Drive, Inbox: can be read and written.",
        f"✗ Google Drive, Mine: {await at.refused('add', 'gdrive', mine.id)}",
        f"✗ Dropbox, /Inbox: {message}",
    ]


async def test_accounts(at: Site) -> None:
    robot = at.robot.email
    at.drive.share(at.drive.folder(at.anna, "Anna's"), at.robot, "reader")
    await connect_anna(at)
    known = f"anna@example.com, {robot}."
    assert await at.refused("add", "gdrive", "Anna's") == (
        f"Several accounts of Google Drive are connected. Say which with --account: {known}"
    )
    assert await at.refused("add", "gdrive", "Anna's", "--account", "bob") == (
        f"bob is no connected account of Google Drive. There are: {known}"
    )
    await at.good("add", "gdrive", "Anna's", "--account", "Anna@example.com")
    await at.good("add", "gdrive", "anna's", "--speakers", "2")  # a watched one has its account
    await at.good("add", "gdrive", at.inbox.id, "--account", "robot")
    assert [(folder.name, folder.account) for folder in await at.watched("gdrive")] == [
        ("Anna's", "anna"),
        ("Inbox", "robot"),
    ]
    await at.good("add", "gdrive", at.inbox.id, "--account", "anna@example.com")
    assert (await at.watched("gdrive"))[1].account == "anna"
    async with at.me.state() as state:
        await Keyring(state.store, at.me.core_settings(), "dropbox").forget(at.ann.account.id)
    assert await at.refused("add", "dropbox", "/Inbox") == (
        "No account of Dropbox is connected. Run `erni-audio connect dropbox`."
    )
    assert "Unknown connector 'onedrive'" in await at.refused("add", "onedrive", "/Inbox", code=2)


async def test_an_account_that_settings_name_need_not_be_connected(at: Site) -> None:
    grant = at.dropbox.connect(at.ann, pkce=True)
    async with at.me.state() as state:
        await Keyring(state.store, at.me.core_settings(), "dropbox").forget(at.ann.account.id)
    named = {"DROPBOX_APP_KEY": at.dropbox.app.key, "DROPBOX_REFRESH_TOKEN": str(grant.refresh_token)}
    said = await at.good("add", "dropbox", "/Inbox", **named)
    assert "watched from now on, as ann.lee@example.com" in said.err
    assert (await at.good("check", **named)).out == "✓ Dropbox, /Inbox: can be read and written.\n"
    unset = await at.folders("check")
    assert unset.code == 1
    assert "DROPBOX_REFRESH_TOKEN, which is not set" in unset.out


async def test_folders_in_watched_folders_are_refused(at: Site) -> None:
    sub = at.drive.folder(at.inbox, "Sub")
    at.ann.make_folder("/Inbox/Sub")
    await at.good("add", "gdrive", at.inbox.id)
    await at.good("add", "dropbox", "/Inbox")
    assert await at.refused("add", "gdrive", sub.id) == (
        "Sub lies in Inbox, which is watched with all that is in it. Remove that one first: "
        f"`erni-audio folders remove gdrive {at.inbox.id}`."
    )
    assert "/Inbox/Sub lies in /Inbox, which is watched" in await at.refused("add", "dropbox", "/Inbox/Sub")
    around = await at.refused("add", "gdrive", at.team.id)
    assert around.startswith("Inbox, which is watched already, lies in Team. Give --not-recursive, or remove")
    assert "/Inbox, which is watched already, lies in /." in await at.refused("add", "dropbox", "/")
    await at.good("add", "gdrive", at.team.id, "--not-recursive")
    await at.good("add", "dropbox", "/", "--not-recursive")
    assert "lies in Team. Give" in await at.refused("add", "gdrive", at.team.id, "--recursive")
    await at.good("remove", "dropbox", "/Inbox")
    await at.good("add", "dropbox", "/", "--recursive")
    assert "lies in /, which is watched" in await at.refused("add", "dropbox", "/Inbox/Sub")
    async with at.me.state() as state:  # somebody moved a watched folder there, say
        inside = WatchedFolder(
            connector="dropbox",
            id=at.ann.find("/Inbox/Sub").id,
            account=at.ann.account.id,
            name="/Inbox/Sub",
        )
        await WatchedFolders(state.store, at.me.core_settings(), "dropbox").save(inside)
    await at.good("add", "dropbox", "/", "--speakers", "2")  # which can be changed all the same
    at.drive.trash(at.inbox)  # what is out of reach is in nobody's way
    await at.good("add", "gdrive", at.team.id, "--recursive")


async def test_trouble_that_passes(at: Site) -> None:
    await at.good("add", "dropbox", "/Inbox")
    at.dropbox.fail_always("files/get_metadata", dropbox_server.rate_limited(60))
    assert await at.refused("add", "dropbox", "/Inbox") == "Dropbox asks to wait (HTTP 429)."
    said = await at.folders("check", "dropbox")
    assert (said.code, said.out) == (
        1,
        "✗ Dropbox, /Inbox: it can't be told now: Dropbox asks to wait (HTTP 429).\n",
    )


# looking


async def test_nothing_is_watched(at: Site) -> None:
    listed = await at.good("list")
    assert (listed.out, listed.err) == (
        "",
        "No folder is watched. `erni-audio folders add CONNECTOR FOLDER` adds one.\n",
    )
    assert (await at.good("list", "gdrive", "--json")).out == "[]\n"
    assert (await at.good("check")).err == "No folder is watched.\n"
    assert "Unknown connector 'onedrive'" in await at.refused("list", "onedrive", code=2)
    assert "Unknown connector 'onedrive'" in await at.refused("check", "onedrive", code=2)


async def test_what_is_watched_is_listed(at: Site) -> None:
    await at.good("add", "dropbox", "/Inbox", "--option", "tags=yes")
    await at.good("add", "gdrive", at.inbox.id, "--speakers", "2")
    listed = await at.good("list")
    assert listed.err == ""
    assert listed.out.splitlines() == [
        "gdrive: Inbox",
        f"  {LINK}{at.inbox.id}",
        f"  as {at.robot.email}",
        "  speakers: 2; md, srt, json beside the recording",
        "dropbox: /Inbox",
        "  https://www.dropbox.com/home/Inbox",
        "  as ann.lee@example.com",
        "  md, srt, json beside the recording; tags=yes",
    ]
    (told,) = json.loads((await at.good("list", "gdrive", "--json")).out)
    (folder,) = await at.watched("gdrive")
    assert told == {
        "connector": "gdrive",
        "id": at.inbox.id,
        "name": "Inbox",
        "link": LINK + at.inbox.id,
        "account": at.robot.email,
        "since": folder.since,
        "output": "beside",
        "recursive": True,
        "backfill": False,
        "languages": [],
        "vocabulary": [],
        "min_speakers": 2,
        "max_speakers": 2,
        "formats": ["md", "srt", "json"],
        "method": None,
        "keep_days": None,
        "delete_with_recording": True,
        "options": {},
    }
    async with at.me.state() as state:
        await Keyring(state.store, at.me.core_settings(), "gdrive").forget("robot")
    assert "  not connected: run `erni-audio connect gdrive`\n" in (await at.good("list")).out
    said = await at.folders("check")
    assert said.out.splitlines() == [
        "✗ Google Drive, Inbox: its account is not connected. Run `erni-audio connect gdrive`.",
        "✓ Dropbox, /Inbox: can be read and written.",
    ]
    assert said.code == 1


async def test_names_from_strangers_stay_on_their_line(at: Site) -> None:
    folder = at.drive.folder(at.team, "evil\n\x1b[31mname")
    said = await at.good("add", "gdrive", folder.id)
    assert said.lines[0].startswith("✓ Google Drive, evil [31mname: watched")
    assert (await at.good("list")).out.startswith("gdrive: evil [31mname\n")
    assert (await at.good("check")).out == "✓ Google Drive, evil [31mname: can be read and written.\n"


async def test_check_says_what_to_do(at: Site) -> None:
    bob = at.dropbox.add_person("Bob")
    bob.make_folder("/Bob's")
    shared = bob.share_folder("/Bob's", {at.ann: "editor"})
    await at.good("add", "dropbox", "/Bob's")
    await at.good("add", "gdrive", at.inbox.id)
    assert (await at.good("check")).out.count("✓") == 2
    at.dropbox.set_access(at.ann, shared, "viewer")
    at.drive.trash(at.inbox)
    said = await at.folders("check")
    assert said.code == 1
    assert said.out.splitlines() == [
        (
            "✗ Google Drive, Inbox: The folder lies in the bin of Google Drive. Restore it, or remove it "
            "from the watched ones."
        ),
        (
            "✗ Dropbox, /Bob's: The connected account may only read the folder, not write into it. Give the "
            "account the right to edit the folder."
        ),
    ]


# removing


async def test_a_folder_is_removed_by_whatever_names_it(at: Site) -> None:
    shared = at.ann.share_link("/Inbox").url
    for name in ("/inbox", "Inbox", "https://www.dropbox.com/home/Inbox/", at.ann.find("/Inbox").id, shared):
        await at.good("add", "dropbox", "/Inbox")
        said = await at.good("remove", "dropbox", name)
        assert said.err == "✓ /Inbox is not watched any more. Its transcripts stay where they are.\n"
        assert await at.watched("dropbox") == []
    for name in ("Inbox", at.inbox.id, f"https://drive.google.com/drive/u/1/folders/{at.inbox.id}?usp=x"):
        await at.good("add", "gdrive", at.inbox.id)
        at.drive.trash(at.inbox)  # also where it can't be asked for any more
        await at.good("remove", "gdrive", name)
        at.drive.untrash(at.inbox)
    assert (await at.events())[-1] == "folder-removed"


async def test_what_is_not_watched_is_not_removed(at: Site) -> None:
    nothing = "/Inbox is not watched. `erni-audio folders list dropbox` shows what is."
    assert await at.refused("remove", "dropbox", "/Inbox") == nothing
    await at.good("add", "dropbox", "/", "--not-recursive")
    assert await at.refused("remove", "dropbox", "/Inbox") == nothing
    assert "Unknown connector 'onedrive'" in await at.refused("remove", "onedrive", "/Inbox", code=2)
    twin = at.drive.folder(at.drive.folder(at.team, "Other"), "Inbox")
    for folder in (at.inbox, twin):
        await at.good("add", "gdrive", folder.id)
    assert await at.refused("remove", "gdrive", "inbox") == (
        f"Several watched folders are called inbox. Give one's id: {at.inbox.id}, {twin.id}."
    )
    await at.good("remove", "gdrive", twin.id)
    assert [folder.id for folder in await at.watched("gdrive")] == [at.inbox.id]


async def test_a_folder_of_the_settings_is_taken_over_or_comes_back(at: Site) -> None:
    async def named() -> bool:
        async with at.me.state() as state:
            return await state.store.recall("dropbox:settings", at.ann.find("/Inbox").id) is not None

    await at.good("add", "dropbox", "/Inbox")
    async with at.me.state() as state:  # as the service leaves it that found it in its settings
        await state.store.remember("dropbox:settings", at.ann.find("/Inbox").id, "")
    await at.good("add", "dropbox", "/Inbox", "--speakers", "2")
    assert not await named()
    async with at.me.state() as state:
        await state.store.remember("dropbox:settings", at.ann.find("/Inbox").id, "")
    said = await at.good("remove", "dropbox", "/Inbox")
    assert said.lines[1] == (
        "It is named in DROPBOX_FOLDERS: take it out there too, or it is watched again after the next start "
        "of the service."
    )
    assert await named()


# what lies there already


async def test_backfill_says_how_much_it_is_and_what_it_costs(at: Site) -> None:
    at.ann.upload("/Inbox/one.mp3", bytes(6_000_000))
    at.ann.upload("/Inbox/sub/two.wav", bytes(3_200_000))
    at.ann.upload("/Inbox/notes.txt", bytes(1000))
    paid = {"METHODS": "elevenlabs", "ELEVENLABS_API_KEY": "key"}
    said = await at.good("add", "dropbox", "/Inbox", "--backfill", "--yes", **paid)
    assert said.lines == [
        (
            "2 recordings lie there already: about 18 min 20 s of audio in all, guessed from their sizes, "
            "9.2 MB."
        ),
        "With the method `elevenlabs` that costs about $0.07, by list prices of 2026-08-01.",
        "✓ Dropbox, /Inbox: watched from now on, as ann.lee@example.com. It can be read and written.",
        "  md, srt, json beside the recording; also what lay there before",
    ]
    (folder,) = await at.watched("dropbox")
    assert folder.backfill
    again = await at.good("add", "dropbox", "/Inbox", "--backfill", **paid)
    assert again.lines[0].startswith("✓ Dropbox, /Inbox: was watched just so already.")


async def test_what_a_backfill_costs_may_be_unknown_nothing_or_too_much(at: Site) -> None:
    at.ann.upload("/Inbox/talk.mp3", bytes(6_000_000))

    async def told(*arguments: str, **more: str) -> list[str]:
        await at.folders("remove", "dropbox", "/Inbox")
        return (await at.good("add", "dropbox", "/Inbox", "--backfill", "--yes", *arguments, **more)).lines[
            1:-2
        ]

    assert await told(METHODS="replicate", REPLICATE_API_TOKEN="key", REPLICATE_VERSION="a" * 64) == [
        "What that costs can't be told: the price of the method `replicate` is not known here."
    ]
    assert await told(METHODS="replicate") == [
        "What that costs can't be told: no method of recognition can run here. `erni-audio doctor` says why."
    ]
    assert await told("--method", "deepgram") == [
        "What that costs can't be told: the method `deepgram` can't run here. `erni-audio doctor` says why."
    ]
    assert await told(METHODS="draft") == [
        "The method `draft` runs on your own machines and costs nothing but time.",
        "The texts will be drafts with many mistakes. `erni-audio doctor` says how to get good ones.",
    ]
    paid = {"METHODS": "elevenlabs", "ELEVENLABS_API_KEY": "key", "ERNI_MONTHLY_BUDGET": "0.1"}
    assert await told(**paid) == [
        "With the method `elevenlabs` that costs about $0.06, by list prices of 2026-08-01."
    ]
    async with at.me.state() as state:
        spent = RedisAccounts(state.redis, at.me.core_settings())
        receipt = await spent.reserve("t", "elevenlabs", "elevenlabs/scribe_v2", 1200)
        await spent.settle(receipt, 1200)
    assert (await told(**paid))[1:] == [
        (
            "The budget has $0.03 left this month: what goes beyond it is refused, with a note beside each "
            "recording."
        )
    ]
    paid = {**paid, "ERNI_MONTHLY_BUDGET": "", "ERNI_TENANT_MONTHLY_BUDGET": "0.01"}
    assert (await told(**paid))[1:][0].startswith("The budget has $0.01 left this month:")


async def test_backfill_where_nothing_lies_or_nobody_answers(at: Site) -> None:
    assert await at.refused("add", "dropbox", "/Inbox", "--backfill", code=2) == (
        "This is no terminal, so nobody can be asked. Give --yes to go on without being asked, whatever it "
        "costs."
    )
    assert await at.watched("dropbox") == []
    async with at.me.at_terminal("folders", "add", "dropbox", "/Inbox", "--backfill") as sitting:
        assert await sitting.end() == 0
    assert "No recordings lie there yet.\n✓ Dropbox, /Inbox: watched from now on" in sitting.seen


async def test_somebody_is_asked_before_a_backfill(at: Site) -> None:
    at.drive.upload(at.inbox, "talk.mp3", TALK)
    call = ("folders", "add", "gdrive", at.inbox.id, "--backfill")
    for answer in ("n", ""):
        async with at.me.at_terminal(*call) as sitting:
            said = await sitting.answer("Transcribe what lies there? [y/N] ", answer)
            assert await sitting.end() == 1
        assert "\n1 recording lies there already: about 17 s of audio in all" in f"\n{said}"
        assert sitting.seen.endswith("Nothing was changed.\n")
    async with at.me.at_terminal(*call) as sitting:
        await sitting.asked("Transcribe what lies there? [y/N] ")
        assert await sitting.end(partial(sitting.leave, "C")) == 130
    assert await at.watched("gdrive") == []
    async with at.me.at_terminal(*call) as sitting:
        await sitting.answer("Transcribe what lies there? [y/N] ", "y")
        assert await sitting.end() == 0
    assert "✓ Google Drive, Inbox: watched from now on, as robot@" in sitting.seen
    (folder,) = await at.watched("gdrive")
    assert folder.backfill


async def test_help_says_what_the_connectors_offer(at: Site) -> None:
    said = await at.good("add", "--help")
    assert "gdrive, document=no|yes: Whether to make a Google Doc of each transcript." in said.out
    assert "dropbox, tags=no|yes: Whether recordings are tagged" in said.out
    for command in ("connect", "folders"):
        assert command in (await at.me.call("--help")).out
