"""Setting Google Drive up: consent in the terminal, and folders by link, path or id."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from threading import current_thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from connectors.gdrive import client
from connectors.gdrive.connecting import GDriveConnecting, create
from connectors.gdrive.credentials import SCOPE, google_credentials, owns_nothing
from core.connecting import Connecting, Dialogue
from core.errors import AuthFailed, Rejected
from core.places import Credentials
from core.settings import Settings, load_settings
from tests.adapters.gdrive_desk import TALK, Desk, desk, refresh_token
from tests.vendors.gdrive_oauth import Code, Consent

DRIVE = "https://drive.google.com/drive/folders/"


class Terminal:
    """A person at a terminal who answers what was prepared. The last answer may look at what was said."""

    def __init__(self, choice: str, *answers: str | Callable[[str], str]) -> None:
        self.choice = choice
        self.answers = list(answers)
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def ask(self, question: str, *, hidden: bool = False) -> str:
        answer = self.answers.pop(0)
        return answer if isinstance(answer, str) else answer("\n".join(self.said))

    def choose(self, question: str, choices: Mapping[str, str]) -> str:
        assert self.choice in choices
        return self.choice


@pytest.fixture
async def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # the local server speaks HTTP
    async with desk(tmp_path, "service account") as made:
        yield made


@pytest.fixture
def connecting(at: Desk) -> GDriveConnecting:
    return GDriveConnecting(at.gdrive(), pause=0.01)


def file_with(at: Desk, content: Any, name: str = "given.json") -> str:
    path = at.tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_it_is_what_the_core_wants(tmp_path: Path) -> None:
    made: Connecting = create(load_settings(Settings, ERNI_DATA_DIR=tmp_path))
    dialogue: Dialogue = Terminal("service")
    assert (made.name, made.title) == ("gdrive", "Google Drive")
    assert dialogue.choose("", {"service": ""}) == "service"


async def test_a_service_account(at: Desk, connecting: GDriveConnecting) -> None:
    credentials = await connecting.connect(Terminal("service", file_with(at, at.server.key_file(at.account))))
    assert credentials.label == at.account.email
    assert owns_nothing(credentials.secret)
    assert at.account.id not in credentials.account
    found = await connecting.find(credentials, DRIVE + at.inbox.id)
    assert (found.id, found.name) == (at.inbox.id, "Inbox")


async def test_a_service_account_that_acts_as_a_person(at: Desk, connecting: GDriveConnecting) -> None:
    path = file_with(at, at.server.key_file(at.account))
    with pytest.raises(AuthFailed, match="Domain-wide delegation"):
        await connecting.connect(Terminal("delegated", path, "anna@example.com"))
    with pytest.raises(Rejected, match="no address"):
        await connecting.connect(Terminal("delegated", path, "anna"))
    at.server.new_key(at.account, delegated=[SCOPE])
    path = file_with(at, at.server.key_file(at.account))
    credentials = await connecting.connect(Terminal("delegated", path, "anna@example.com"))
    assert credentials.label == "anna@example.com"
    assert not owns_nothing(credentials.secret)


async def test_a_secret_is_read_once_in_a_thread_and_what_makes_no_sense_is_said_at_the_first_call(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def reading(secret: str) -> Any:
        read.append(current_thread().name)
        return google_credentials(secret)

    monkeypatch.setattr(client, "google_credentials", reading)
    opened = client.DriveClient(at.secret, base_url=at.gdrive().api_base_url)
    senseless = client.DriveClient("{}", base_url=at.gdrive().api_base_url)
    assert read == []
    await opened.files([at.inbox.id] * 4, "id")
    assert read == ["gdrive"]
    for _ in range(2):
        with pytest.raises(AuthFailed, match="make no sense"):
            await senseless.file(at.inbox.id, "id")
    opened.close()
    senseless.close()


async def test_a_key_that_was_deleted(at: Desk, connecting: GDriveConnecting) -> None:
    key = at.server.key_file(at.account)
    key["client_email"] = "nobody@erni-audio-local.iam.gserviceaccount.com"
    with pytest.raises(AuthFailed, match="does not accept the credentials"):
        await connecting.connect(Terminal("service", file_with(at, key)))


@pytest.mark.parametrize("content", ["{}", "not JSON", "[]", '{"type": "authorized_user"}'])
async def test_a_file_that_is_something_else(at: Desk, connecting: GDriveConnecting, content: str) -> None:
    for kind in ("service", "person"):
        with pytest.raises(Rejected):
            await connecting.connect(Terminal(kind, file_with(at, content)))
    with pytest.raises(Rejected, match="can't be read"):
        await connecting.connect(Terminal("service", str(at.tmp_path / "missing.json")))


class Browser:
    """A person in a browser, as far as Google's page goes: where it leads to at the end."""

    def __init__(self, at: Desk, **changes: Any) -> None:
        self.at = at
        self.changes = changes
        self.landed = ""

    def __call__(self, said: str) -> str:
        url = next(line for line in said.splitlines() if line.startswith("http"))
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["access_type"] == "offline"
        server, consent = self.at.server, Consent(account=self.at.anna, **self.changes)
        server.oauth.at_the_page = consent
        self.landed = _landing(server, asked)
        return self.landed


def _landing(server: Any, asked: dict[str, str]) -> str:
    """What Google's page answers, without a request: the terminal waits and holds up the event loop."""
    person = server.oauth.at_the_page
    back = {"state": asked["state"]}
    if person.declines:
        return f"{asked['redirect_uri']}?{urlencode(back | {'error': 'access_denied'})}"
    scopes = frozenset(asked["scope"].split())
    allowed = scopes if person.scopes is None else scopes & person.scopes
    code = f"4/local-{len(server.oauth.codes)}"
    server.oauth.codes[code] = Code(
        account=person.account,
        client=asked["client_id"],
        scopes=allowed,
        redirect_uri=asked["redirect_uri"],
        until=server.drive.clock() + 600,
        offline=True,
        challenge=asked["code_challenge"],
        method=asked["code_challenge_method"],
    )
    return f"{asked['redirect_uri']}?{urlencode(back | {'code': code, 'scope': ' '.join(sorted(allowed))})}"


@pytest.fixture
def client_file(at: Desk) -> str:
    return file_with(at, at.server.oauth.client_file(at.server.client("terminal")), "client.json")


async def consented(
    connecting: GDriveConnecting, client_file: str, browser: Callable[[str], str]
) -> Credentials:
    return await connecting.connect(Terminal("person", client_file, browser))


async def test_a_person_consents(at: Desk, connecting: GDriveConnecting, client_file: str) -> None:
    credentials = await consented(connecting, client_file, Browser(at))
    assert credentials.label == "anna@example.com"
    at.server.expire_tokens()
    found = await connecting.find(credentials, "Inbox/")
    assert found.id == at.inbox.id
    at.server.oauth.revoke(at.anna)
    with pytest.raises(AuthFailed, match="taken back"):
        await connecting.find(credentials, "Inbox/")


async def test_a_person_who_declines_or_allows_too_little(
    at: Desk, connecting: GDriveConnecting, client_file: str
) -> None:
    with pytest.raises(Rejected, match="Nobody allowed"):
        await consented(connecting, client_file, Browser(at, declines=True))
    with pytest.raises(Rejected, match="tick the box"):
        await consented(connecting, client_file, Browser(at, scopes=frozenset()))


async def test_an_address_that_is_not_the_right_one(
    at: Desk, connecting: GDriveConnecting, client_file: str
) -> None:
    browser = Browser(at)
    for change in (
        lambda _: "",
        lambda _: "http://localhost:1/",
        lambda _: "http://[localhost",
        lambda said: browser(said).replace("state=", "state=x"),
    ):
        with pytest.raises(Rejected, match="not what the browser showed"):
            await consented(connecting, client_file, change)
    with pytest.raises(Rejected, match="did not take the code"):
        await consented(connecting, client_file, lambda said: browser(said).replace("code=4", "code=5"))


async def credentials_of(at: Desk, connecting: GDriveConnecting) -> Credentials:
    return await connecting.credentials(at.secret)


async def test_folders_by_id_shortcut_and_with_what_they_lie_in(at: Desk) -> None:
    server = at.server
    connecting = GDriveConnecting(at.gdrive(), pause=0.01)
    anna = await connecting.credentials(refresh_token(server, at.anna))
    outer = server.folder(at.anna, "Outer")
    inner = server.folder(outer, "Inner's \\ one")
    found = await connecting.find(anna, inner.id)
    assert found.around == (outer.id, at.anna.root)
    assert found.link == DRIVE + inner.id
    shortcut = server.make_shortcut(inner, at.anna)
    assert (await connecting.find(anna, DRIVE + shortcut.id)).id == inner.id
    assert (await connecting.find(anna, "My Drive/Outer/Inner's \\ one")).id == inner.id
    assert (await connecting.find(anna, "/")).id == at.anna.root
    shared = server.shared_drive("The team", {at.anna: "organizer"})
    meetings = server.folder(shared, "Meetings")
    assert (await connecting.find(anna, "Shared drives/The team/Meetings")).id == meetings.id
    assert (await connecting.find(anna, "Shared drives/The team")).id == shared.id


async def test_one_of_very_many_shared_drives(at: Desk) -> None:
    connecting = GDriveConnecting(at.gdrive(), pause=0.01)
    anna = await connecting.credentials(refresh_token(at.server, at.anna))
    made = [at.server.shared_drive(f"Team {number}", {at.anna: "organizer"}) for number in range(101)]
    for number in (0, 100):
        assert (await connecting.find(anna, f"Shared drives/Team {number}")).id == made[number].id
    at.server.shared_drive("Team 0", {at.anna: "organizer"})
    with pytest.raises(Rejected, match="several folders"):
        await connecting.find(anna, "Shared drives/Team 0")


async def test_what_is_no_folder_is_said(at: Desk, connecting: GDriveConnecting) -> None:
    server = at.server
    anna = await connecting.credentials(refresh_token(server, at.anna))
    robot = await credentials_of(at, connecting)
    file = server.upload(at.inbox, "a.mp3", TALK)
    binned = server.folder(at.anna, "Binned")
    server.trash(binned)
    private = server.folder(at.anna, "Private")
    for _ in range(2):
        server.folder(at.anna, "Twin")
    for who, text, message in (
        (anna, f"https://drive.google.com/file/d/{file.id}/view", "This is a file"),
        (anna, DRIVE + binned.id, "in the bin"),
        (robot, DRIVE + private.id, f"not shared with {at.account.email}"),
        (anna, "https://example.com/folder", "no link to a folder"),
        (anna, "My Drive/nothing", "no folder with this path"),
        (anna, "Shared drives/nothing", "no folder with this path"),
        (anna, "Twin", "several folders"),
        (anna, "nothing", "no folder with this path"),
    ):
        with pytest.raises(Rejected) as caught:
            await connecting.find(who, text)
        assert message in caught.value.user_message


async def test_folders_of_one_account_share_their_connections(at: Desk) -> None:
    one, two = at.place(), at.place()
    assert one.client is not two.client  # each from a `Connecting` of its own
    connecting = GDriveConnecting(at.gdrive(), pause=0.01)
    watched = await at.watch()
    places = [connecting.open(watched, at.credentials) for _ in range(2)]
    assert places[0].client is places[1].client
    for place in places:
        assert (await place.look(at.inbox.id)) is None
        await place.close()
        await place.close()
    assert connecting._clients == {}
