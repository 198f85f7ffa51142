"""Teams' cards and dialogs in a browser, drawn by Microsoft's renderer: literal, complete, and to look at.

The pictures stay where `ERNI_PICTURES` says, if that is set.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bots.teams import format as shows
from bots.teams.cards import Card
from tests.unit.test_slack_format import HOSTILE, HOSTILE_TEXTS, SHORT
from tests.unit.test_teams_dialogs import DIALOGS, PEOPLE, RECORDINGS
from tests.unit.test_teams_format import CARDS, FILES, HOSTILE_NAME, LINK, MESSAGES
from tests.vendors.teams_pictures import (
    Frame,
    Unavailable,
    dump,
    fetch_renderer,
    find_browser,
    read,
    take_picture,
    write_page,
)

DRAWN = {"div", "span", "button", "p", "input", "textarea", "select", "option", "label"}
OPENED = ("Delete…", "Get as…", "Go to…")


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        find_browser()
        return fetch_renderer(tmp_path_factory.mktemp("npm"))
    except Unavailable as reason:
        pytest.skip(f"cards can't be drawn: {reason}")


def everything() -> dict[str, Card]:
    return {
        **{name: make().card for name, make in MESSAGES.items()},
        **{name: make() for name, make in CARDS.items()},
        **{f"dialog {name}": make().card for name, make in DIALOGS.items()},
    }


@pytest.fixture(scope="module")
def frames(modules: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Frame]:
    page = write_page(tmp_path_factory.mktemp("cards") / "cards.html", modules, everything())
    return read(dump(page))


def test_the_renderer_has_nothing_to_complain_about(frames: dict[str, Frame]) -> None:
    assert set(frames) == set(everything())
    assert {name: frame.problems for name, frame in frames.items() if frame.problems} == {}


def test_nothing_that_people_say_or_name_becomes_markup(frames: dict[str, Frame]) -> None:
    assert {tag for frame in frames.values() for tag in frame.tags} <= DRAWN
    assert [link for frame in frames.values() for link in frame.links] == []


def test_what_people_say_and_name_is_shown_as_it_is(frames: dict[str, Frame]) -> None:
    result, page, rename, which = (
        "".join(frames[name].texts)
        for name in ("hostile", "hostile page", "dialog rename", "dialog transcribe several")
    )
    for text in HOSTILE_TEXTS[:3]:
        assert text in result
        assert text in page
    for shown in (result, page):
        assert HOSTILE_NAME.name.replace("{{", "{\u2060{") in shown
    for name in PEOPLE:
        assert name in rename
    assert RECORDINGS[1][1] in which


def test_times_are_shown_as_the_reader_writes_them(frames: dict[str, Frame]) -> None:
    shown = "".join(frames["status"].texts)
    assert "2026" in shown
    assert "{{" not in shown


def test_pictures_are_taken(modules: Path, tmp_path: Path) -> None:
    folder = Path(os.environ.get("ERNI_PICTURES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    cards = everything()
    for name, width in (("wide", 620), ("narrow", 330)):
        chosen = {"result": shows.result(HOSTILE_NAME, HOSTILE, files=FILES).card} | {
            each: cards[each] for each in ("listening", "long", "page", "dialog settings", "dialog rename")
        }
        page = write_page(tmp_path / f"{name}.html", modules, chosen, width=width, opened=OPENED)
        picture = folder / f"teams-{name}.png"
        take_picture(page, picture, width=width + 32)
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size > 50_000


def test_links_are_for_pressing(frames: dict[str, Frame]) -> None:
    assert "See the transcript" in "".join(frames["pointer"].texts)
    assert LINK not in "".join(frames["pointer"].texts)
    assert all(file.name in "".join(frames["short"].texts) for file in FILES)
    assert SHORT.utterances[0].text in "".join(frames["short"].texts)


def test_markup_would_be_noticed(modules: Path, tmp_path: Path) -> None:
    text = {"type": "TextBlock", "text": "**bold** [x](https://evil.example) <b>"}
    card = {"type": "AdaptiveCard", "version": "1.5", "body": [text, {"type": "Sketch"}]}
    frame = read(dump(write_page(tmp_path / "control.html", modules, {"control": card})))["control"]
    assert {"strong", "a"} <= frame.tags
    assert frame.links == ["https://evil.example"]
    assert frame.problems
