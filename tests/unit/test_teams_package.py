"""The app package: as Teams' published schema wants it, with the permissions that the code asks for."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator, FormatChecker
from numpy.typing import NDArray

from bots.teams import ids
from bots.teams.commands import WORDS
from bots.teams.icons import ACCENT
from bots.teams.package import FILE, MEETINGS, TITLE, VERSION, App, manifest_of, package_of, write
from core.cli import run
from core.errors import Misconfigured
from tests.vendors.teams_permissions import RSC

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "tests" / "vendors" / "teams_app_schema.json").read_text(encoding="utf-8"))
SCHEME = Draft4Validator(SCHEMA)
ID = "6f1c3a52-8f0e-4d0b-9a55-3b8f0d1f6f2e"
PUBLIC = "https://audio.example.com:8443/erni/"
APP = App(id=ID, public_url=PUBLIC)


def app(**changes: Any) -> App:
    return App(**({"id": ID, "public_url": PUBLIC} | changes))


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # where no .env lies
    for name in ("TEAMS_APP_ID", "TEAMS_APP_PASSWORD", "TEAMS_TENANT_ID", "ERNI_PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_manifest_is_one_of_the_current_schema() -> None:
    Draft4Validator.check_schema(SCHEMA, format_checker=FormatChecker(()))  # its patterns are JavaScript's
    manifest = manifest_of(APP)
    assert manifest["manifestVersion"] == SCHEMA["properties"]["manifestVersion"]["const"]
    assert manifest["$schema"].split("/")[-2] == f"v{manifest['manifestVersion']}"
    SCHEME.validate(manifest)
    broken = {**manifest, "bots": [{**manifest["bots"][0], "botId": "no GUID"}]}
    assert not SCHEME.is_valid(broken)  # the schema does look at it


@given(
    name=st.text(max_size=40),
    organisation=st.text(max_size=40),
    version=st.from_regex(r"[0-9.]{1,8}", fullmatch=True),
    website=st.none() | st.text(max_size=30).map(lambda rest: f"https://example.com/{rest}") | st.text(),
)
def test_whatever_is_chosen_it_fits_the_schema_or_is_refused(
    name: str, organisation: str, version: str, website: str | None
) -> None:
    try:
        manifest = manifest_of(app(name=name, organisation=organisation, version=version, website=website))
    except Misconfigured:
        return
    SCHEME.validate(manifest)
    assert manifest["developer"]["websiteUrl"].startswith("https://")
    assert re.fullmatch(r"\d+\.\d+\.\d+", manifest["version"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "E" * 31}, "app's name has 1 to 30"),
        ({"name": " \n "}, "app's name has 1 to 30"),
        ({"organisation": "E" * 33}, "organisation's name has 1 to 32"),
        ({"version": "1.0"}, "Write it as in 1.0.0"),
        ({"version": "01.0.0"}, "Write it as in 1.0.0"),
        ({"privacy": "http://example.com"}, "begin with https://"),
        ({"terms": "https://"}, "begin with https://"),
        ({"website": "https://[x"}, "begin with https://"),
        ({"website": "https://example.com/" + "a" * 2048}, "begin with https://"),
        ({"public_url": "https://[x"}, "ERNI_PUBLIC_URL"),
    ],
)
def test_what_teams_would_not_take_is_refused_before(changes: dict[str, str], said: str) -> None:
    with pytest.raises(Misconfigured, match=said):
        manifest_of(app(**changes))


def test_the_longest_and_the_strangest_fit() -> None:
    manifest = manifest_of(app(name="  Ärni \n 🎙  " + "x" * 20, organisation="Ö" * 32, version="12.0.345"))
    SCHEME.validate(manifest)
    assert manifest["name"]["short"] == "Ärni 🎙 " + "x" * 20


def test_it_speaks_of_the_app_of_the_settings() -> None:
    manifest = manifest_of(APP)
    (bot,), (extension,) = manifest["bots"], manifest["composeExtensions"]
    assert {manifest["id"], bot["botId"], extension["botId"], manifest["webApplicationInfo"]["id"]} == {ID}
    assert manifest["webApplicationInfo"]["resource"]  # else Teams refuses resource-specific permissions
    assert manifest["validDomains"] == ["audio.example.com"]
    assert {each for key, each in manifest["developer"].items() if key != "name"} == {PUBLIC}
    own = manifest_of(
        app(website="https://a.example", privacy="https://b.example", terms="https://c.example")
    )
    assert own["developer"] == {
        "name": manifest["developer"]["name"],
        "websiteUrl": "https://a.example",
        "privacyUrl": "https://b.example",
        "termsOfUseUrl": "https://c.example",
    }


def test_the_message_command_is_the_one_that_the_code_answers() -> None:
    (command,) = manifest_of(APP)["composeExtensions"][0]["commands"]
    assert command["id"] == ids.COMMAND
    assert (command["type"], command["context"], command["fetchTask"]) == ("action", ["message"], True)
    # The dialogs and help speak of the command by the words that people see in the menu.
    for module in ("dialogs", "notes", "notices"):
        assert TITLE in (ROOT / "bots" / "teams" / f"{module}.py").read_text(encoding="utf-8")


def test_the_bot_takes_files_and_lists_the_words_that_the_code_knows() -> None:
    (bot,) = manifest_of(APP)["bots"]
    assert bot["supportsFiles"] is True
    assert bot["scopes"] == ["personal", "team", "groupChat"]
    listed = {
        scope: {command["title"] for command in each["commands"]}
        for each in bot["commandLists"]
        for scope in each["scopes"]
    }
    assert listed == {"personal": WORDS, "team": WORDS | {"transcribe"}, "groupChat": WORDS | {"transcribe"}}


def test_permissions_are_those_that_the_code_asks_for_and_no_more() -> None:
    asked = manifest_of(APP)["authorization"]["permissions"]["resourceSpecific"]
    assert {each["type"] for each in asked} == {"Application"}
    names = {each["name"] for each in asked}
    assert names == {
        "ChannelMessage.Read.Group",
        "ChatMessage.Read.Chat",
        "TeamMember.Read.Group",
        "OnlineMeeting.ReadBasic.Chat",
    }
    assert names - {MEETINGS} <= {name for enough in RSC.values() for name in enough}
    for path in (ROOT / "bots" / "teams").glob("*.py"):
        assert not re.search(r"graph\.(members|user)\(", path.read_text(encoding="utf-8")), path.name


def test_the_package_has_manifest_and_icons_and_is_the_same_each_time() -> None:
    data = package_of(APP)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        manifest = json.loads(archive.read("manifest.json"))
        assert manifest == manifest_of(APP)
        assert sorted(archive.namelist()) == sorted(["manifest.json", *manifest["icons"].values()])
    assert package_of(APP) == data
    assert package_of(app(name="Other")) != data


def pixels_of(icon: str) -> NDArray[np.uint8]:
    """An icon of the package as FFmpeg reads it: rows of red, green, blue and opacity."""
    with zipfile.ZipFile(io.BytesIO(package_of(APP))) as archive:
        data = archive.read(manifest_of(APP)["icons"][icon])
    with av.open(io.BytesIO(data), mode="r", format="png_pipe") as container:
        return np.asarray(next(container.decode(video=0)).to_ndarray(format="rgba"), dtype=np.uint8)


def test_the_colour_icon_is_whole_and_in_the_accent_colour() -> None:
    pixels = pixels_of("color")
    assert pixels.shape == (192, 192, 4)
    assert pixels[..., 3].min() == 255
    accent = [int(ACCENT[at : at + 2], 16) for at in (1, 3, 5)]
    assert manifest_of(APP)["accentColor"] == ACCENT
    assert all(pixels[corner][:3].tolist() == accent for corner in ((0, 0), (0, 191), (191, 0), (191, 191)))
    white = (pixels[..., :3] == 255).all(axis=2)
    rows, columns = np.nonzero(white)
    assert 0.1 < white.mean() < 0.4
    # Teams shows only the middle in some places.
    assert min(rows.min(), columns.min()) >= 36
    assert max(rows.max(), columns.max()) < 192 - 36


def test_the_outline_icon_is_white_on_nothing() -> None:
    pixels = pixels_of("outline")
    assert pixels.shape == (32, 32, 4)
    seen = pixels[..., 3] > 0
    assert (pixels[..., :3][seen] == 255).all()
    assert 0.1 < seen.mean() < 0.6
    assert (pixels[..., 3] == 255).mean() > 0.15  # lines are on whole pixels, not all blurred
    assert pixels[[0, 31, 0, 31], [0, 0, 31, 31], 3].tolist() == [0, 0, 0, 0]


def test_writing_takes_the_place_of_an_earlier_package_and_leaves_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    assert write(APP, folder) == folder / FILE
    write(app(version="1.0.1"), folder)
    assert [path.name for path in folder.iterdir()] == [FILE]
    with zipfile.ZipFile(folder / FILE) as archive:
        assert json.loads(archive.read("manifest.json"))["version"] == "1.0.1"
    with pytest.raises(Misconfigured):
        write(app(version="x"), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_folder_that_takes_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write(APP, tmp_path / "file")


def test_the_command_writes_it_from_the_settings(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEAMS_APP_ID", ID.upper())
    monkeypatch.setenv("ERNI_PUBLIC_URL", "https://audio.example.com/")
    assert run(["teams", "package", "--out", "out", "--name", "Anna", "--app-version", "2.0.0"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{Path('out') / FILE}\n"
    assert "https://audio.example.com/teams/messages" in said.err
    with zipfile.ZipFile(nowhere / "out" / FILE) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert (manifest["id"], manifest["name"]["short"], manifest["version"]) == (ID, "Anna", "2.0.0")


@pytest.mark.parametrize(
    ("given_", "arguments", "said"),
    [
        ({}, [], "TEAMS_APP_ID is missing"),
        ({"TEAMS_APP_ID": ID}, [], "ERNI_PUBLIC_URL is missing"),
        ({"TEAMS_APP_ID": "me", "ERNI_PUBLIC_URL": "https://e.com"}, [], "TEAMS_APP_ID"),
        ({"TEAMS_APP_ID": ID, "ERNI_PUBLIC_URL": "https://e.com"}, ["--name", "E" * 31], "1 to 30"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_written(
    nowhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given_: dict[str, str],
    arguments: list[str],
    said: str,
) -> None:
    for name, value in given_.items():
        monkeypatch.setenv(name, value)
    assert run(["teams", "package", *arguments]) == 2
    heard = capsys.readouterr()
    assert said in heard.err
    assert heard.out == ""
    assert list(nowhere.iterdir()) == []


def test_help_of_all_commands_loads_no_platform_and_the_package_needs_no_sdk(nowhere: Path) -> None:
    script = (
        "import sys; from core.cli import run; codes = [run(['--help'])]; "
        "early = [m for m in sys.modules if m.partition('.')[0] in ('bots', 'numpy')]; "
        "codes.append(run(['teams', 'package', '--help'])); "
        "late = [m for m in sys.modules if m.partition('.')[0] in ('botbuilder', 'botframework')]; "
        "print('LOADED', codes, early, late)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=nowhere,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert re.search(r"│ teams +Write the app package", done.stdout)
    assert "LOADED [0, 0] [] []" in done.stdout, done.stdout + done.stderr


def test_a_new_package_has_a_new_version() -> None:
    """Teams takes no update of the same version: who changes the manifest raises `VERSION` once it was
    released, and writes the new digest here."""
    manifest = json.dumps(manifest_of(APP), sort_keys=True).encode()
    assert (VERSION, hashlib.sha256(manifest).hexdigest()[:16]) == ("1.0.0", "2ecfee00753a2a38")
