"""What people see in a Slack thread: goldens to read, hostile names, hundreds of speakers, every limit."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bots.slack import format as shows
from bots.slack import ids, parts
from bots.slack.format import Message, Shown
from bots.slack.home import Entry, home_view
from core.hearing import UNLABELLED
from core.model import Stage, Transcript, Utterance, Word
from core.policies import ChannelPolicy, Mode
from core.registry import FORMATS, METHODS
from core.render.layout import DRAFT_NOTICE, NO_SPEECH
from core.wording import FORMAT_NAMES, METHOD_NAMES, about_left
from tests.vendors.slack_screen import check_home, check_message, draw_message, draw_view, texts

GOLDEN = Path(__file__).parent / "golden"
ABOUT = Shown(share="0123456789abcdef0123", name="Weekly sync 2026-11-20.m4a")


def speak(speaker: str | None, start: float, text: str, *, overlap: bool = False) -> Utterance:
    words: list[Word] = []
    at = start
    for part in text.split():
        length = 0.1 + 0.05 * len(part)
        words.append(Word(start=at, end=at + length, text=part, confidence=0.9, speaker=speaker))
        at += length + (0.5 if part[-1] in ".?!" else 0.04)
    return Utterance(
        speaker=speaker, start=words[0].start, end=words[-1].end, words=tuple(words), overlap=overlap
    )


def gap(start: float, end: float, text: str) -> Utterance:
    word = Word(start=start, end=end, text=text)
    return Utterance(speaker=None, start=start, end=end, words=(word,), gap=True)


SHORT = Transcript(
    content_key="sha256:" + "0f" * 32,
    languages=("en", "de"),
    seconds=101.7,
    utterances=(
        speak(
            "Speaker 1",
            3,
            "Good morning, everybody. Before we start with the agenda, a few words about last week's release."
            " It went out on Thursday, a day late, and it has been quiet since.",
        ),
        speak("Speaker 2", 19.2, "Mhm.", overlap=True),
        speak("Speaker 2", 28, "Can you say what the delay was?"),
        speak("Speaker 1", 32, "The migration took four hours instead of one."),
        speak("Speaker 1", 41, "Nobody had measured it on a copy of production."),
        gap(50, 58, "[not recognised: 0:50 to 0:58]"),
        speak("Speaker 3", 60, "Das schreibe ich auf."),
        speak("Speaker 2", 72, "Thanks. Then let us go on."),
    ),
    engine="local",
    names={"Speaker 1": "Ada Lovelace"},
    suggestions={"Speaker 3": "Anna"},
)
NUMBERS = (
    "We should first look at the numbers of last month, because they explain why the team in Zürich asked for"
    " two more people and why the budget of the second quarter is not going to be enough for all of this."
)
EXPORT = (
    "The customers keep asking for the export, and every week that we wait costs us about three of them, so I"
    " would rather ship something small now than the whole thing in spring."
)
TOPICS = (NUMBERS, "I see it differently.", EXPORT, "Can somebody write that down?", "Yes, I do.")
LONG = replace(
    SHORT,
    seconds=3 * 3600 + 125,
    languages=("en",),
    utterances=tuple(
        speak(f"Speaker {1 + (number * 7) % 4}", 4.0 + number * 25, TOPICS[number % len(TOPICS)])
        for number in range(300)
    ),
    warnings=("The file is damaged and could only be read up to 3:02:05.",),
    names={"Speaker 1": "Ada Lovelace", "Speaker 2": "Grace Hopper"},
    suggestions={},
)
HOSTILE_TEXTS = (
    "<!channel> <!here|here> <@U012AB3CD> <#C012AB3CD|general> <!subteam^S1|@group> @everyone",
    "*bold* _it_ ~gone~ `code` ```block``` > quote",
    "<https://evil.example|click> :rotating_light: & &amp; &lt;!channel&gt;",
    "\u202egnp.exe\u2066\x00\x1b[31m",
)
HOSTILE = replace(
    SHORT,
    utterances=tuple(
        speak(f"<@U{number}> *S{number}*", 5.0 * number, text) for number, text in enumerate(HOSTILE_TEXTS)
    ),
    names={
        "<@U0> *S0*": "<!channel> *Bobby* & `Tables`",
        "<@U1> *S1*": "שרה לוי",
        "<@U2> *S2*": "👩‍👩‍👧 " * 60,
    },
    suggestions={"<@U3> *S3*": "<!here>_x_"},
    warnings=("<!everyone> *look*",),
)
HOSTILE_NAME = Shown(share=ABOUT.share, name="<!channel> *final* _v2_ `x` & <b>.mp4\n> @here #general")
UNLABELLED_SHORT = replace(
    SHORT,
    utterances=tuple(replace(said, speaker=None) for said in SHORT.utterances),
    names={},
    suggestions={},
    unlabelled=True,
    warnings=(UNLABELLED,),
)
ALONE = replace(
    SHORT,
    utterances=(speak("Speaker 1", 1, " ".join(TOPICS) + " " + TOPICS[0]),),
    names={},
    suggestions={},
    languages=(),
)
CROWD = replace(
    LONG,
    utterances=tuple(
        speak(f"Speaker {1 + number % 100}", 4.0 + number * 25, TOPICS[number % len(TOPICS)])
        for number in range(430)
    ),
    names={},
)
AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
ENTRIES = (
    Entry(name="Interview.mp4", place="#research", state="working", when=AT, progress=0.42),
    Entry(
        name="Weekly sync.m4a",
        place="#design",
        state="done",
        when=AT - timedelta(hours=5),
        permalink="https://example.slack.com/archives/C1/p1",
    ),
    Entry(name="<!channel> *x*.wav", place="", state="failed", when=AT - timedelta(days=1)),
    Entry(name="Stopped.wav", place="Direct message", state="stopped", when=AT - timedelta(days=2)),
)
POLICY = ChannelPolicy(languages=("en", "de"))

MESSAGES: dict[str, Callable[[], Message]] = {
    "accepted": lambda: shows.accepted(ABOUT),
    "waiting": lambda: shows.working(ABOUT, Stage.QUEUED, None, None),
    "fetching": lambda: shows.working(ABOUT, Stage.FETCHING, None, None),
    "listening": lambda: shows.working(ABOUT, Stage.RECOGNISING, 0.4, 290),
    "short": lambda: shows.result(ABOUT, SHORT),
    "long": lambda: shows.result(ABOUT, LONG),
    "draft": lambda: shows.result(ABOUT, replace(SHORT, draft=True, warnings=LONG.warnings)),
    "unlabelled": lambda: shows.result(ABOUT, UNLABELLED_SHORT),
    "one speaker": lambda: shows.result(ABOUT, ALONE),
    "crowd": lambda: shows.result(ABOUT, CROWD),
    "hostile": lambda: shows.result(HOSTILE_NAME, HOSTILE),
    "nothing said": lambda: shows.result(ABOUT, replace(SHORT, utterances=())),
    "failed": lambda: shows.failed(ABOUT, "This recording is silent from beginning to end.", again=True),
    "refused": lambda: shows.refused(HOSTILE_NAME, "This is a picture and not a recording."),
    "stopped": lambda: shows.stopped(ABOUT, "Ada Lovelace"),
    "deleted": lambda: shows.deleted(ABOUT, "Ada Lovelace"),
    "deleted with its recording": lambda: shows.deleted(ABOUT, None),
    "elsewhere": lambda: shows.elsewhere(ABOUT, "gdrive"),
    "somewhere": lambda: shows.elsewhere(ABOUT, "app"),
    "Slack's own": lambda: shows.slack_own(
        ABOUT, "Recognition is out of order. Please try again in an hour.", "Hey, it's <me>.", complete=False
    ),
    "pointer": lambda: shows.pointer("https://example.slack.com/archives/C1/p1"),
    "pointer to work": lambda: shows.pointer(None, done=False),
    "help": shows.help_text,
    "help here": lambda: shows.help_text(POLICY, me="Erni"),
    "status": lambda: shows.status_text(ENTRIES, POLICY),
    "idle": lambda: shows.status_text((), POLICY),
    "off": lambda: shows.status_text((), replace(POLICY, mode=Mode.NEVER)),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_look_as_they_were_approved(name: str) -> None:
    """After a wanted change run pytest on this file with `UPDATE_GOLDEN=1`, then read the diff."""
    message = MESSAGES[name]()
    check_message(message)
    golden = GOLDEN / f"slack_{re.sub('[^a-z]+', '_', name.lower())}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(draw_message(message), "utf-8")
    assert draw_message(message) == golden.read_text("utf-8")


# --- under way ---


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "less than a minute"),
        (49, "less than a minute"),
        (50, "about 1 min"),
        (100, "about 2 min"),
        (9 * 60, "about 9 min"),
        (11 * 60, "about 10 min"),
        (56 * 60, "about 55 min"),
        (58 * 60, "about 1 h"),
        (83 * 60, "about 1 h 20 min"),
        (3 * 3600, "about 3 h"),
    ],
)
def test_time_left_is_as_rough_as_it_is_known(seconds: float, text: str) -> None:
    assert about_left(seconds) == text


@given(st.sampled_from(Stage), st.none() | st.floats(0, 1), st.none() | st.floats(0, 1e6))
def test_progress_can_always_be_shown(stage: Stage, fraction: float | None, left: float | None) -> None:
    message = shows.working(HOSTILE_NAME, stage, fraction, left)
    check_message(message)
    shown = " ".join(texts(message.blocks))
    assert ("%" in shown) == (fraction is not None and stage is not Stage.QUEUED)
    assert (" left" in shown) == (left is not None and stage is not Stage.QUEUED)


def test_the_bar_grows_over_all_stages() -> None:
    shown = [
        " ".join(texts(shows.working(ABOUT, stage, fraction, None).blocks))
        for stage in [*Stage][1:]
        for fraction in (0.0, 0.5, 1.0)
    ]
    percents = [int(match[1]) for text in shown if (match := re.search(r"(\d+) %", text))]
    assert len(percents) == len(shown)
    assert percents == sorted(percents)
    assert percents[-1] == 100
    cells = [text.count("▓") for text in shown]
    assert cells == sorted(cells)
    assert {text.count("▓") + text.count("░") for text in shown} == {12}


@pytest.mark.parametrize("message", [shows.accepted(ABOUT), shows.working(ABOUT, Stage.FETCHING, None, None)])
def test_what_runs_can_be_stopped_and_is_asked_about_first(message: Message) -> None:
    (button,) = buttons(message)
    assert (button["action_id"], button["value"]) == (ids.STOP, ABOUT.share)
    assert "lost" in button["confirm"]["text"]["text"]


# --- results ---


def buttons(message: Message) -> list[parts.Element]:
    return [
        element for block in message.blocks if block["type"] == "actions" for element in block["elements"]
    ]


def spoken(message: Message) -> str:
    """Everything in the part that shows what was said."""
    return "".join(
        span["text"]
        for block in message.blocks
        if block["type"] == "rich_text"
        for part in block["elements"]
        if part["type"] == "rich_text_quote"
        for span in part["elements"]
    )


BELOW = "The whole transcript is in the files below."


def test_the_buttons_know_the_share() -> None:
    rename, again, get, delete = buttons(shows.result(ABOUT, SHORT))
    assert [each["action_id"] for each in (rename, again, get, delete)] == [
        ids.RENAME,
        ids.RETRY,
        ids.FORMAT,
        ids.DELETE,
    ]
    assert rename["value"] == again["value"] == delete["value"] == ABOUT.share
    assert "confirm" in delete
    assert {shows.read_format(each["value"]) for each in get["options"]} == {
        (ABOUT.share, name) for name in FORMATS
    }


@pytest.mark.parametrize("value", ["", "/", "/md", "abc", "abc/", "abc/exe", "abc/md/x"])
def test_choices_that_are_none_of_ours_are_no_choices(value: str) -> None:
    assert shows.read_format(value) is None


def test_formats_and_methods_have_names_that_people_understand() -> None:
    assert set(FORMAT_NAMES) == set(FORMATS)
    assert set(METHOD_NAMES) == set(METHODS)


def test_a_short_recording_is_shown_whole() -> None:
    message = shows.result(ABOUT, SHORT)
    for utterance in SHORT.utterances:
        assert utterance.text in spoken(message)
    assert BELOW not in texts(message.blocks)


def test_how_short_is_short_can_be_said() -> None:
    text = sum(len(said.text) for said in SHORT.utterances)
    assert BELOW not in texts(shows.result(ABOUT, SHORT, whole=text).blocks)
    assert BELOW in texts(shows.result(ABOUT, SHORT, whole=text - 1).blocks)


def test_without_files_nothing_points_to_them() -> None:
    shown = texts(shows.result(ABOUT, LONG, files=False).blocks)
    assert BELOW not in shown
    assert "This is only the beginning." in shown


@pytest.mark.parametrize("transcript", [SHORT, LONG, replace(SHORT, utterances=())])
def test_what_keeps_the_files_away_is_said_between_the_text_and_the_buttons(transcript: Transcript) -> None:
    *_, trouble, last = shows.result(ABOUT, transcript, files=False, trouble="No *files* here.").blocks
    assert "No *files* here." in "".join(texts([trouble]))
    assert last["type"] == "actions"


def test_of_a_long_recording_several_speakers_are_heard() -> None:
    message = shows.result(ABOUT, LONG)
    assert BELOW in texts(message.blocks)
    assert {"Ada Lovelace", "Grace Hopper", "Speaker 3", "Speaker 4"} <= set(texts(message.blocks))
    assert 700 < len(spoken(message)) < 2_500


def test_a_long_speech_is_cut_after_a_word() -> None:
    speech = speak("Speaker 1", 0, "understanding " * 400)
    text = spoken(shows.result(ABOUT, replace(SHORT, utterances=(speech,))))
    assert text.endswith("understanding…")
    assert 1_300 < len(text) < 1_450


def test_many_short_turns_are_shown_as_far_as_slack_takes_them() -> None:
    turns = tuple(speak(f"Speaker {1 + number % 2}", number * 2.0, "Ja.") for number in range(500))
    message = shows.result(ABOUT, replace(SHORT, utterances=turns, names={}))
    check_message(message)
    assert BELOW in texts(message.blocks)


def test_of_many_speakers_those_who_talk_most_are_listed() -> None:
    shown = texts(shows.result(ABOUT, CROWD).blocks)
    assert "and 92 others, 33 min 40 s together" in shown
    assert "3 h 2 min · English · 100 speakers" in shown
    nine = tuple(speak(f"Speaker {1 + number}", number * 9.0, "Here I am.") for number in range(9))
    shown = texts(shows.result(ABOUT, replace(SHORT, utterances=nine)).blocks)
    assert not any("others" in text for text in shown)
    assert "Speaker 9" in shown


def test_people_with_the_same_name_are_one_person() -> None:
    transcript = replace(SHORT, names={"Speaker 1": "Ada", "Speaker 2": "Ada"}, suggestions={})
    shown = texts(shows.result(ABOUT, transcript).blocks)
    assert "1 min 42 s · English, German · 2 speakers" in shown
    assert sum("%" in text for text in shown) == 2


def test_a_guess_at_a_name_is_no_claim() -> None:
    shown = texts(shows.result(ABOUT, SHORT).blocks)
    assert "Speaker 3, perhaps Anna" in shown
    assert not any(text.startswith("Anna") for text in shown)


def test_a_draft_says_so_before_the_text() -> None:
    shown = texts(shows.result(ABOUT, replace(SHORT, draft=True)).blocks)
    assert shown.index("Draft.") < shown.index("Ada Lovelace", shown.index("Draft."))
    assert any(DRAFT_NOTICE in text for text in shown)


def test_of_many_warnings_the_first_ones_are_shown() -> None:
    transcript = replace(SHORT, warnings=tuple(f"Warning {number}." for number in range(9)))
    shown = " ".join(texts(shows.result(ABOUT, transcript).blocks))
    assert "Warning 3." in shown
    assert "Warning 4." not in shown
    assert "5 more notes are in the files." in shown


def test_without_speakers_there_is_nobody_to_name() -> None:
    message = shows.result(ABOUT, UNLABELLED_SHORT)
    assert ids.RENAME not in {each["action_id"] for each in buttons(message)}
    assert not any("Unknown speaker" in text for text in texts(message.blocks))
    assert any("if a later try can tell them apart" in text for text in texts(message.blocks))


def test_silence_is_a_result_of_its_own() -> None:
    for words in ((), (Word(start=0, end=1, text="\u200b"),)):
        said = Utterance(speaker="Speaker 1", start=0, end=1, words=words)
        message = shows.result(ABOUT, replace(SHORT, utterances=(said,)))
        assert NO_SPEECH in texts(message.blocks)
        assert {each["action_id"] for each in buttons(message)} == {ids.RETRY, ids.DELETE}


def test_failures_offer_another_try_only_where_it_can_help() -> None:
    assert [each["action_id"] for each in buttons(shows.failed(ABOUT, "x", again=True))] == [ids.RETRY]
    assert buttons(shows.failed(ABOUT, "x", again=False)) == []
    assert "Please share it again." in " ".join(texts(shows.failed(ABOUT, "\x00", again=False).blocks))


def test_a_deleted_recording_is_not_named_any_more() -> None:
    message = shows.deleted(ABOUT, None)
    assert ABOUT.name not in draw_message(message)
    assert buttons(message) == []


def test_without_a_transcript_of_slack_it_is_a_failure() -> None:
    assert shows.slack_own(ABOUT, "No.", " ", complete=True) == shows.failed(ABOUT, "No.", again=True)
    whole = texts(shows.slack_own(ABOUT, "", "Hello", complete=True).blocks)
    assert "Slack's own transcript" in whole


# --- names from strangers ---


@given(st.text(st.characters(exclude_categories=()), max_size=60), st.integers(1, 40))
def test_text_is_cut_to_what_fits(text: str, limit: int) -> None:
    cut = parts.line(text, limit)
    assert parts.length(cut) <= limit
    assert cut.removesuffix("…").rstrip() == cut.removesuffix("…")
    if parts.length(parts.line(text, 10_000)) <= limit:
        assert cut == parts.line(text, 10_000)


def test_text_is_cut_between_what_people_see_as_characters() -> None:
    family = "👩‍👩‍👧"
    assert parts.fit(family * 9, 20) == family * 2 + "…"
    assert parts.fit("&" * 10, 21) == "&&&&…"
    assert parts.fit("one two three", 10) == "one two…"
    assert parts.fit("x" * 10, 10) == "x" * 10


@given(st.text(st.sampled_from(list("<>&!@#*_`~ ab|^C1")), max_size=40))
def test_notifications_call_nobody(text: str) -> None:
    shown = parts.escape(text)
    assert not re.search(r"[<>*`~]", shown)
    assert not re.search(r"&(?!(amp|lt|gt);)", shown)
    assert not re.search(r"[@#]\w", shown)
    assert not re.search(r"(?<!\w)_|_(?!\w)", shown)


def test_a_file_name_with_underscores_stays_as_it_is() -> None:
    assert parts.escape("my_voice_note.m4a") == "my_voice_note.m4a"


# --- whatever is said ---

NASTY = st.sampled_from(
    [*HOSTILE_TEXTS, "&" * 400, "漢" * 300, "x" * 500, "e\u0301" * 90, "\ud800", " ", "\n"]
)
TEXT = st.one_of(
    NASTY,
    st.text(st.characters(exclude_categories=()), max_size=12),
    st.lists(NASTY, max_size=3).map("".join),
)
SECONDS = st.one_of(st.floats(0, 4e5), st.sampled_from([float("nan"), float("inf"), -1.0]))
LABELS = st.one_of(st.sampled_from(["Speaker 1", "Speaker 2", "Speaker 3", None]), TEXT)
UTTERANCES = st.builds(
    Utterance,
    speaker=LABELS,
    start=SECONDS,
    end=SECONDS,
    words=st.lists(st.builds(Word, start=SECONDS, end=SECONDS, text=TEXT), max_size=5).map(tuple),
    overlap=st.booleans(),
    gap=st.sampled_from([False, False, True]),
)
NAMES = st.dictionaries(st.sampled_from(["Speaker 1", "Speaker 2", "Speaker 3"]) | TEXT, TEXT, max_size=4)
TRANSCRIPTS = st.builds(
    Transcript,
    content_key=st.just("c"),
    languages=st.lists(st.sampled_from(["en", "de", "xx", "<!here>"]), max_size=30).map(tuple),
    seconds=SECONDS,
    utterances=st.lists(UTTERANCES, max_size=25).map(tuple),
    engine=st.just("e"),
    draft=st.booleans(),
    warnings=st.lists(TEXT, max_size=8).map(tuple),
    names=NAMES,
    suggestions=NAMES,
    unlabelled=st.booleans(),
)
MANY = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@given(TRANSCRIPTS, TEXT, st.sampled_from([0, 100, 2_500, 100_000]))
@MANY
def test_slack_takes_every_result(transcript: Transcript, name: str, whole: int) -> None:
    about = Shown(share=ABOUT.share, name=name)
    check_message(shows.result(about, transcript, whole=whole))
    check_message(shows.result(about, transcript, whole=whole, files=False, trouble=name))
    check_message(shows.nothing_said(about, transcript, trouble=name))


@given(TEXT, TEXT, TEXT)
@MANY
def test_slack_takes_every_answer(name: str, text: str, other: str) -> None:
    about = Shown(share=ABOUT.share, name=name)
    for message in (
        shows.accepted(about),
        shows.failed(about, text, again=True),
        shows.refused(about, text),
        shows.stopped(about, text),
        shows.deleted(about, text),
        shows.elsewhere(about, text),
        shows.slack_own(about, text, other, complete=True),
        shows.pointer(text),
        shows.help_text(POLICY, me=text),
    ):
        check_message(message)


# --- the home tab ---

VIEWS = {"home": ENTRIES, "home_empty": (), "home_busy": ENTRIES * 40}


@pytest.mark.parametrize("name", ["home", "home_empty"])
def test_the_home_tab_looks_as_it_was_approved(name: str) -> None:
    view = home_view(VIEWS[name], me="Erni")
    golden = GOLDEN / f"slack_{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(draw_view(view), "utf-8")
    assert draw_view(view) == golden.read_text("utf-8")


def test_the_home_tab_shows_the_newest_and_says_how_many_more() -> None:
    view = home_view(ENTRIES * 40, me="Erni")
    check_home(view)
    shown = texts(view)
    assert "and 10 more" in shown
    assert "and 90 more" in shown
    assert shown.count("Weekly sync.m4a") == 30
    assert shown.index("In progress") < shown.index("Recent transcripts")


@given(
    st.lists(
        st.builds(
            Entry,
            name=TEXT,
            place=TEXT,
            state=st.sampled_from(["working", "done", "failed", "stopped"]),
            when=st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.just(UTC)),  # noqa: DTZ001
            permalink=st.none() | TEXT | st.just("https://example.slack.com/x" + "y" * 3000),
            progress=st.none() | st.floats(-1, 2),
        ),
        max_size=8,
    ),
    TEXT,
)
@MANY
def test_slack_takes_every_home_tab_and_status(entries: list[Entry], me: str) -> None:
    check_home(home_view(entries, me=me))
    check_message(shows.status_text(entries, POLICY))
