"""A voice that may be somebody's reads as a guess everywhere, and never as a name."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import pytest
import srt  # type: ignore[import-untyped]  # ships no types
import webvtt
from docx import Document
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from core.model import Recording, Transcript, Utterance, Word
from core.registry import FORMATS, load
from core.render.data import parse_json
from core.render.safe import shown_names

RECORDING = Recording(
    key="k",
    content_key="sha256:k",
    platform="fake",
    door="fake",
    address="{}",
    name="meeting.m4a",
    shared_at=datetime(2026, 11, 22, tzinfo=UTC),
)
SCHEMA = Draft202012Validator(
    json.loads((resources.files("core.render") / "transcript.schema.json").read_text("utf-8"))
)


def transcript(names: dict[str, str], suggestions: dict[str, str]) -> Transcript:
    def said(speaker: str, start: float, *texts: str) -> Utterance:
        words = tuple(
            Word(start=start + index, end=start + index + 0.9, text=text) for index, text in enumerate(texts)
        )
        return Utterance(speaker=speaker, start=start, end=start + len(texts), words=words)

    return Transcript(
        content_key="sha256:k",
        languages=("en",),
        seconds=12,
        utterances=(said("Speaker 1", 0, "Good", "morning."), said("Speaker 2", 4, "Hello", "there.")),
        engine="fake",
        names=names,
        suggestions=suggestions,
    )


def render(name: str, names: dict[str, str], suggestions: dict[str, str]) -> bytes:
    found: bytes = load(FORMATS[name].render)(transcript(names, suggestions), RECORDING)
    return found


GUESS = ({"Speaker 1": "Ben"}, {"Speaker 2": "Anna"})


@pytest.mark.parametrize("name", ["txt", "md", "srt", "vtt", "csv"])
def test_people_read_perhaps(name: str) -> None:
    text = render(name, *GUESS).decode()
    assert "Speaker 2, perhaps Anna" in text
    assert text.count("Anna") == text.count("Speaker 2, perhaps Anna")
    assert "Ben" in text
    assert "perhaps Ben" not in text


def test_documents_say_perhaps_in_the_table_and_above_the_words() -> None:
    document = Document(io.BytesIO(render("docx", *GUESS)))
    assert [row.cells[0].text for row in document.tables[0].rows] == [
        "Speaker",
        "Ben",
        "Speaker 2, perhaps Anna",
    ]
    assert any(line.text.startswith("Speaker 2, perhaps Anna  0:04") for line in document.paragraphs)


def test_json_keeps_guesses_apart_and_gives_them_back() -> None:
    data = render("json", *GUESS)
    document = json.loads(data)
    SCHEMA.validate(document)
    speakers = {entry["speaker"]: entry for entry in document["speakers"]}
    assert (speakers["Speaker 2"]["name"], speakers["Speaker 2"]["suggestion"]) == (None, "Anna")
    assert speakers["Speaker 1"]["name"] == "Ben"
    assert "suggestion" not in speakers["Speaker 1"]
    back = parse_json(data)
    assert (back.names, back.suggestions) == GUESS


def test_json_of_earlier_versions_is_still_read() -> None:
    document = json.loads(render("json", {"Speaker 1": "Ben"}, {}))
    assert all("suggestion" not in entry for entry in document["speakers"])
    assert parse_json(json.dumps(document).encode()).suggestions == {}


def test_scoring_tools_get_the_label() -> None:
    assert [entry["speaker"] for entry in json.loads(render("seglst", *GUESS))] == ["Ben", "Speaker 2"]


def test_a_name_that_is_known_needs_no_guess() -> None:
    assert "perhaps" not in render("txt", {"Speaker 2": "Anna"}, {"Speaker 2": "Eva"}).decode()


HOSTILE = [
    "<b>Anna</b>\n\n1\n00:00:00,000 --> 00:00:09,000\nfree text",
    "\x1b[31mAnna\x07\x00",
    "\u202eannA\u2066",
    "=HYPERLINK(1)",
    "-->",
    "|**Anna**|",
    "\ud800Anna",
    "שרה",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_guesses_stay_on_their_line(name: str) -> None:
    suggestions = {"Speaker 2": name}
    assert len(list(srt.parse(render("srt", {}, suggestions).decode()))) == 2
    assert len(webvtt.from_buffer(io.StringIO(render("vtt", {}, suggestions).decode())).captions) == 2
    SCHEMA.validate(json.loads(render("json", {}, suggestions)))
    Document(io.BytesIO(render("docx", {}, suggestions)))
    for format_ in ("txt", "md", "csv", "srt", "vtt"):
        text = render(format_, {}, suggestions).decode()
        assert not set("\x1b\x00\x07\u202e\u2066") & set(text)
        assert "Speaker 2, perhaps" in text
        assert "\n00:00:00,000 --> 00:00:09,000\n" not in text


@pytest.mark.parametrize("name", ["", " ", "\u200b", "\x00", "\u202e"])
def test_a_guess_that_nobody_could_see_is_none(name: str) -> None:
    assert "perhaps" not in render("txt", {}, {"Speaker 2": name}).decode()


def test_a_very_long_guess_leaves_room_for_what_is_said() -> None:
    for name in ("srt", "vtt"):
        text = render(name, {}, {"Speaker 2": "Anna" * 2000}).decode()
        assert "Hello" in text
    for cue in srt.parse(render("srt", {}, {"Speaker 2": "Anna" * 2000}).decode()):
        assert max(map(len, cue.content.splitlines())) <= 42


@given(
    st.dictionaries(st.sampled_from(["Speaker 1", "Speaker 2"]), st.text(max_size=20)), st.text(max_size=20)
)
def test_a_guess_always_begins_with_the_label(names: dict[str, str], guess: Any) -> None:
    found = shown_names(names, {"Speaker 2": guess})
    for label, text in found.items():
        if text != names.get(label):
            assert text.startswith("Speaker 2, perhaps ")
            assert len(text.splitlines()) == 1
