"""What people see in Teams: goldens to read, hostile names, hundreds of speakers, every limit, every page."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.teams import cards, files, ids, notices, pages, presses
from bots.teams import format as shows
from bots.teams.cards import Action, Card, Message, weight
from bots.teams.files import Consent
from bots.teams.format import Link, Shown
from bots.teams.notices import Entry
from bots.teams.presses import Opening, Press
from core.excerpt import Turn, paragraphs, turns
from core.model import Stage, Transcript, Utterance, Word
from core.policies import ChannelPolicy, Mode
from core.registry import FORMATS
from core.render.layout import DRAFT_NOTICE, NO_SPEECH
from core.render.safe import encodable
from tests.unit.test_slack_format import (
    ALONE,
    CROWD,
    HOSTILE,
    HOSTILE_TEXTS,
    LONG,
    MANY,
    SHORT,
    TEXT,
    TRANSCRIPTS,
    UNLABELLED_SHORT,
    speak,
)
from tests.vendors.teams_cards import parts_of
from tests.vendors.teams_forms import filled, find_action, titles
from tests.vendors.teams_screen import check_card, check_message, draw_card, draw_message, texts

GOLDEN = Path(__file__).parent / "golden"
ABOUT = Shown(share="0123456789abcdef0123", name="Weekly sync 2026-11-20.m4a")
HOSTILE_NAME = Shown(
    share=ABOUT.share,
    name="<at>Everyone</at> **v2** _x_ [x](https://evil.example) {{DATE(2017-02-14T06:08:39Z, SHORT)}}.mp4",
)
SITE = "https://contoso.sharepoint.com/sites/design/Shared%20Documents/General"
FILES = tuple(
    Link(name=f"Weekly sync 2026-11-20.transcript.{ending}", url=f"{SITE}/Weekly%20sync.transcript.{ending}")
    for ending in ("md", "srt", "json")
)
LINK = "https://teams.microsoft.com/l/message/19%3A6decf54d@thread.tacv2/1611060744833"
AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
ENTRIES = (
    Entry(name="Interview.mp4", when=AT, progress=0.42),
    Entry(name="<at>x</at> *x*.wav", when=AT - timedelta(hours=5)),
)
POLICY = ChannelPolicy(mode=Mode.ASKED, languages=("en", "de"))

MESSAGES: dict[str, Callable[[], Message]] = {
    "accepted": lambda: shows.accepted(ABOUT),
    "waiting": lambda: shows.working(ABOUT, Stage.QUEUED, None, None),
    "fetching": lambda: shows.working(ABOUT, Stage.FETCHING, None, None),
    "listening": lambda: shows.working(ABOUT, Stage.RECOGNISING, 0.4, 290),
    "short": lambda: shows.result(ABOUT, SHORT, files=FILES),
    "long": lambda: shows.result(ABOUT, LONG, files=FILES),
    "personal": lambda: shows.result(ABOUT, SHORT, offered=True, alone=True),
    "accepted one file": lambda: shows.result(ABOUT, SHORT, files=FILES[:1], offered=True),
    "without files": lambda: shows.result(
        ABOUT, LONG, trouble="The files could not be put beside the recording. An admin can allow it."
    ),
    "draft": lambda: shows.result(ABOUT, replace(SHORT, draft=True, warnings=LONG.warnings)),
    "unlabelled": lambda: shows.result(ABOUT, UNLABELLED_SHORT),
    "one speaker": lambda: shows.result(ABOUT, ALONE),
    "crowd": lambda: shows.result(ABOUT, CROWD),
    "hostile": lambda: shows.result(
        HOSTILE_NAME, HOSTILE, files=[Link(name="*x*", url="javascript:alert(1)")]
    ),
    "nothing said": lambda: shows.result(ABOUT, replace(SHORT, utterances=())),
    "failed": lambda: shows.failed(ABOUT, "This recording is silent from beginning to end.", again=True),
    "refused": lambda: shows.refused(HOSTILE_NAME, "This is a picture and not a recording."),
    "stopped": lambda: shows.stopped(ABOUT, "Ada Lovelace"),
    "deleted": lambda: shows.deleted(ABOUT, "Ada Lovelace"),
    "deleted with its recording": lambda: shows.deleted(ABOUT, None),
    "elsewhere": lambda: shows.elsewhere(ABOUT, "https://drive.google.com/file/d/1/view"),
    "somewhere": lambda: shows.elsewhere(ABOUT, "https://example.com/a.mp3"),
    "pointer": lambda: shows.pointer(LINK),
    "pointer to work": lambda: shows.pointer(None, done=False),
    "help": shows.help_text,
    "help here": lambda: shows.help_text(POLICY, me="Erni"),
    "help in person": lambda: shows.help_text(replace(POLICY, mode=Mode.ALL), me="Erni", personal=True),
    "status": lambda: shows.status_text(ENTRIES, POLICY),
    "idle": lambda: shows.status_text((), POLICY),
    "off": lambda: shows.status_text((), replace(POLICY, mode=Mode.NEVER)),
}
CARDS: dict[str, Callable[[], Card]] = {
    "page": lambda: shows.page(ABOUT, LONG, 2),
    "last page": lambda: shows.page(ABOUT, ALONE, 9),
    "hostile page": lambda: shows.page(HOSTILE_NAME, HOSTILE, 1),
}


def approve(name: str, drawn: str) -> None:
    """Compare with the golden of that name. After a wanted change run pytest with `UPDATE_GOLDEN=1`, then
    read the diff."""
    golden = GOLDEN / f"teams_{re.sub('[^a-z]+', '_', name.lower())}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(drawn, "utf-8")
    assert drawn == golden.read_text("utf-8")


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_look_as_they_were_approved(name: str) -> None:
    message = MESSAGES[name]()
    check_message(message)
    approve(name, draw_message(message))


@pytest.mark.parametrize("name", CARDS)
def test_pages_look_as_they_were_approved(name: str) -> None:
    card = CARDS[name]()
    check_card(card)
    approve(name, draw_card(card))


def shown(found: Message | Card) -> str:
    return "\n".join(texts(found.card if isinstance(found, Message) else found))


# --- under way ---


@given(st.sampled_from(Stage), st.none() | st.floats(0, 1), st.none() | st.floats(0, 1e6))
def test_progress_can_always_be_shown(stage: Stage, fraction: float | None, left: float | None) -> None:
    message = shows.working(HOSTILE_NAME, stage, fraction, left)
    check_message(message)
    assert ("%" in shown(message)) == (fraction is not None and stage is not Stage.QUEUED)
    assert (" left" in shown(message)) == (left is not None and stage is not Stage.QUEUED)


@pytest.mark.parametrize("message", [shows.accepted(ABOUT), shows.working(ABOUT, Stage.FETCHING, None, None)])
def test_what_runs_can_be_stopped(message: Message) -> None:
    assert press(message.card, "Stop") == Press(verb=ids.STOP, share=ABOUT.share)


def press(card: Card, title: str, **values: Any) -> Press | None:
    """What comes back when a button is pressed: the same from old clients as from new ones."""
    action = find_action(card, title)
    data = action["data"] | filled(card, action, values)
    assert action["type"] == "Action.Execute"
    found = presses.read_press({"action": {"type": action["type"], "verb": action["verb"], "data": data}})
    old = action["fallback"]["data"] | filled(card, action, values)
    assert presses.read_press(old) == found
    return found


# --- results ---


def test_the_buttons_know_the_share() -> None:
    card = shows.result(ABOUT, LONG).card
    assert press(card, "Show the whole transcript") == Press(verb=ids.PAGE, share=ABOUT.share, page=1)
    assert press(card, "Delete the transcript") == Press(verb=ids.DELETE, share=ABOUT.share)
    for title, dialog in (("Name the speakers", ids.RENAME_DIALOG), ("Try again…", ids.RETRY_DIALOG)):
        action = find_action(card, title)
        assert action["data"]["msteams"] == {"type": "task/fetch"}
        assert presses.read_opening(action["data"]) == Opening(dialog=dialog, share=ABOUT.share)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_can_be_had(name: str) -> None:
    card = shows.result(ABOUT, SHORT).card
    assert press(card, "Get it", format=name) == Press(verb=ids.FORMAT, share=ABOUT.share, format=name)


def test_deleting_is_asked_about_first() -> None:
    card = shows.result(ABOUT, SHORT).card
    (asking,) = [each for each in card["actions"] if each["title"] == "Delete…"]
    assert asking["type"] == "Action.ShowCard"
    assert "The recording stays." in "\n".join(texts(asking["card"]))
    assert ids.DELETE not in {each.get("verb") for each in card["actions"]}


def test_a_short_recording_is_shown_whole() -> None:
    message = shows.result(ABOUT, SHORT)
    for utterance in SHORT.utterances:
        assert utterance.text in shown(message)
    assert "Show the whole transcript" not in titles(message.card)


def test_how_short_is_short_can_be_said() -> None:
    size = sum(len(said.text) for said in SHORT.utterances)
    assert "Show the whole transcript" not in titles(shows.result(ABOUT, SHORT, whole=size).card)
    assert "Show the whole transcript" in titles(shows.result(ABOUT, SHORT, whole=size - 1).card)


def test_of_a_long_recording_several_speakers_are_heard() -> None:
    message = shows.result(ABOUT, LONG)
    for name in ("Ada Lovelace", "Grace Hopper", "Speaker 3", "Speaker 4"):
        assert f"{name}  " in shown(message)
    assert 700 < len(spoken(message.card)) < 2_500


def test_a_long_speech_is_cut_after_a_word() -> None:
    speech = speak("Speaker 1", 0, "understanding " * 400)
    text = spoken(shows.result(ABOUT, replace(SHORT, utterances=(speech,))).card)
    assert text.endswith("understanding…")
    assert 1_250 < len(text) < 1_450


def test_a_turn_is_cut_within_its_last_paragraph() -> None:
    talk = tuple(speak("Speaker 1", 60.0 * place, "x" * 70 + ".") for place in range(100))
    said = [
        each for each in texts(shows.result(ABOUT, replace(SHORT, utterances=talk)).card) if "xxx" in each
    ]
    assert said[-1].endswith("…")
    assert not any("…" in each for each in said[:-1])


def test_many_short_turns_are_shown_as_far_as_teams_takes_them() -> None:
    talk = tuple(speak(f"Speaker {1 + number % 2}", number * 2.0, "Ja.") for number in range(800))
    message = shows.result(ABOUT, replace(SHORT, utterances=talk, names={}), whole=10_000)
    check_message(message)
    assert "Show the whole transcript" in titles(message.card)


@pytest.mark.parametrize("names", ["", "名前" * 40, "Ada"])
@pytest.mark.parametrize(("word", "count"), [("a", 3_000), ("drei", 400), ("漢字漢字", 2_000), ("😀", 1_500)])
def test_a_speaker_who_pauses_after_every_word_is_not_too_much_for_teams(
    word: str, count: int, names: str
) -> None:
    """As who reads out numbers: each is an utterance, and a paragraph of its own."""
    said = tuple(
        Utterance(
            speaker=f"Speaker {1 + number % 3}",
            start=9.0 * number,
            end=9.0 * number + 1,
            words=(Word(start=9.0 * number, end=9.0 * number + 1, text=word),),
        )
        for number in range(count)
    )
    known = {f"Speaker {number}": names for number in (1, 2, 3)} if names else {}
    transcript = replace(SHORT, utterances=said, names=known, seconds=9.0 * count)
    long = "%E9%8C%B2" * 200
    files = [Link(name="録" * 100, url=f"https://contoso.sharepoint.com/{long}")] * 12
    for more in (files, ()):
        message = shows.result(HOSTILE_NAME, transcript, files=more, trouble="x" * 500)
        check_message(message)
        assert word in shown(message)
        assert "Show the whole transcript" in titles(message.card)
        short = shows.result(HOSTILE_NAME, transcript, files=more, trouble="x" * 500, short=True)
        check_message(short)
        assert weight(short.card) <= 28_500
        assert word in shown(short)


def test_of_many_speakers_those_who_talk_most_are_listed() -> None:
    found = texts(shows.result(ABOUT, CROWD).card)
    assert "and 92 others, 33 min 40 s together" in found
    assert "3 h 2 min · English · 100 speakers" in found


def test_a_guess_at_a_name_is_no_claim() -> None:
    found = texts(shows.result(ABOUT, SHORT).card)
    assert any(text.startswith("Speaker 3, perhaps Anna") for text in found)
    assert not any(text.startswith("Anna") for text in found)


def test_a_draft_says_so_before_the_text() -> None:
    found = texts(shows.result(ABOUT, replace(SHORT, draft=True)).card)
    assert found.index(f"Draft. {DRAFT_NOTICE}") < found.index("Ada Lovelace  0:03")


def test_without_speakers_there_is_nobody_to_name() -> None:
    message = shows.result(ABOUT, UNLABELLED_SHORT)
    assert "Name the speakers" not in titles(message.card)
    assert "Unknown speaker" not in shown(message)
    assert "if a later try can tell them apart" in shown(message)


def test_silence_is_a_result_of_its_own() -> None:
    for words in ((), (Word(start=0, end=1, text="\u200b"),)):
        said = Utterance(speaker="Speaker 1", start=0, end=1, words=words)
        message = shows.result(ABOUT, replace(SHORT, utterances=(said,)))
        assert NO_SPEECH in shown(message)
        assert set(titles(message.card)) == {"Try again…", "Delete…", "Delete the transcript"}


def test_files_are_links_that_open() -> None:
    card = shows.result(ABOUT, SHORT, files=FILES).card
    found = {part["title"]: part["url"] for part in parts_of(card) if part["type"] == "Action.OpenUrl"}
    assert found == {each.name: each.url for each in FILES}
    many = shows.result(ABOUT, SHORT, files=FILES * 5)
    check_message(many)
    assert "and 3 more" in shown(many)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "javascript:alert(1)",
        "http://x.example/",
        "https://",
        "https://[",
        "https://x/ y",
        "//x/",
        "https://x/\u202e",
        "https://x.example/" + "y" * 2_000,
        "msteams:/l/x",
        " https://x.example/",
    ],
)
def test_other_links_are_only_shown(url: str) -> None:
    message = shows.result(ABOUT, SHORT, files=[Link(name="a.md", url=url)])
    check_message(message)
    assert "a.md" in shown(message)
    assert not [part for part in parts_of(message.card) if part["type"] == "Action.OpenUrl"]
    assert "actions" not in shows.pointer(url).card


def test_failures_offer_another_try_only_where_it_can_help() -> None:
    assert titles(shows.failed(ABOUT, "x", again=True).card) == ["Try again…"]
    assert titles(shows.failed(ABOUT, "x", again=False).card) == []
    assert "Please share it again." in shown(shows.failed(ABOUT, "\x00", again=False))


def test_a_deleted_recording_is_not_named_any_more() -> None:
    message = shows.deleted(ABOUT, None)
    assert ABOUT.name not in json.dumps([message.summary, message.card])
    assert titles(message.card) == []


def test_other_services_are_known_by_their_hosts() -> None:
    for url, place in (
        ("https://www.dropbox.com/s/x", "in Dropbox"),
        ("https://app.box.com/x", "in Box"),
        ("https://dropbox.com.evil.example/", "on another website"),
        ("https://inbox.com/", "on another website"),
        ("https://[", "on another website"),
    ):
        assert place in shown(shows.elsewhere(ABOUT, url))


# --- pages ---


def spoken(card: Any) -> str:
    """Everything that is said: neither names nor times."""
    said = [
        part["text"]
        for part in parts_of([each for each in card["body"] if each.get("separator")][:1])
        if part["type"] == "TextRun" and not part.get("weight")
        if not part.get("isSubtle") or part.get("italic")
    ]
    return "\n".join(said)


def marks(text: str) -> str:
    """What can be seen of a text, but for spaces."""
    return "".join(each for each in text if unicodedata.category(each)[0] not in "CZM")


def whole(transcript: Transcript) -> str:
    return marks("".join(said.text for turn in turns(transcript) for said in turn.said))


@pytest.mark.parametrize("transcript", [SHORT, LONG, HOSTILE, UNLABELLED_SHORT, ALONE, CROWD])
def test_all_pages_together_hold_every_word_once(transcript: Transcript) -> None:
    count = len(pages.cut(transcript))
    found = [shows.page(ABOUT, transcript, number) for number in range(1, count + 1)]
    for card in found:
        check_card(card)
    assert marks("".join(map(spoken, found))) == whole(transcript)


def test_pages_lead_to_one_another() -> None:
    count = len(pages.cut(LONG))
    assert count > 5
    first, second, last = (shows.page(ABOUT, LONG, number) for number in (1, 2, count))
    assert "Previous" not in titles(first)
    assert "Next" not in titles(last)
    assert press(first, "Next") == Press(verb=ids.PAGE, share=ABOUT.share, page=2)
    assert press(second, "Previous") == Press(verb=ids.PAGE, share=ABOUT.share, page=1)
    assert press(second, "Overview") == Press(verb=ids.PAGE, share=ABOUT.share, page=0)
    assert press(second, "Go", to="5") == Press(verb=ids.PAGE, share=ABOUT.share, page=5)
    assert f"Page 2 of {count}, from" in shown(second)


@pytest.mark.parametrize("number", [-1, 0, 99_999])
def test_there_is_always_a_nearest_page(number: int) -> None:
    count = len(pages.cut(LONG))
    assert shows.page(ABOUT, LONG, number) == shows.page(ABOUT, LONG, 1 if number < 1 else count)


def test_of_silence_there_is_no_page() -> None:
    with pytest.raises(ValueError, match="nothing to show"):
        shows.page(ABOUT, replace(SHORT, utterances=()), 1)


def test_a_day_of_talk_can_be_paged_through() -> None:
    talk = tuple(
        speak(f"Speaker {1 + number % 3}", 20.0 * number, LONG.utterances[0].text) for number in range(1_500)
    )
    transcript = replace(LONG, utterances=talk)
    count = len(pages.cut(transcript))
    assert count > 61
    card = shows.page(ABOUT, transcript, count - 1)
    check_card(card)
    (choice,) = [part for part in parts_of(card) if part["type"] == "Input.ChoiceSet"]
    assert len(choice["choices"]) <= 61
    assert choice["value"] == str(count - 1)


def test_a_speech_over_several_pages_says_who_goes_on() -> None:
    speech = speak("Speaker 1", 0, "We have to talk about the budget. " * 400)
    second = shows.page(ABOUT, replace(SHORT, utterances=(speech,)), 2)
    heading = next(text for text in texts(second) if text.startswith("Ada Lovelace"))
    assert re.fullmatch(r"Ada Lovelace  \d+:\d\d \(continued\)", heading)
    assert sum("(continued)" in text for text in texts(second)) == 1


def test_long_speech_becomes_paragraphs_with_their_own_times() -> None:
    speech = speak("Speaker 1", 0, "We have to talk about the budget. " * 100)
    (turn,) = turns(replace(SHORT, utterances=(speech,)))
    said = paragraphs(turn).said
    assert all(each.text.endswith("budget.") for each in said)
    assert all(600 < len(each.text) < 700 for each in said[:-1])
    assert [each.start for each in said] == sorted({each.start for each in said})
    assert " ".join(each.text for each in said) == speech.text


@given(st.text(st.characters(exclude_categories=()), min_size=1, max_size=300), st.integers(5, 40))
def test_an_endless_word_is_cut_without_loss(text: str, most: int) -> None:
    word = Word(start=1, end=2, text=text)
    transcript = replace(SHORT, utterances=(Utterance(speaker="A", start=1, end=2, words=(word, word)),))
    for turn in turns(transcript):
        cut = paragraphs(turn, most)
        assert all(0 < len(each.text) <= most for each in cut.said)
        assert marks("".join(each.text for each in cut.said)) == marks(turn.said[0].text)


def test_what_is_short_enough_stays_one_paragraph() -> None:
    turn = Turn(name="A", said=next(turns(SHORT)).said)
    assert paragraphs(turn) == turn


# --- what comes back ---

GOOD: dict[str, Any] = {"share": ABOUT.share, "verb": ids.PAGE, "page": 3}


@pytest.mark.parametrize(
    "value",
    [
        None,
        "x",
        [],
        {},
        {"action": None},
        {"action": {"verb": ids.STOP}},
        {"action": {"verb": ids.STOP, "data": "x"}},
        {"action": {"verb": "other", "data": GOOD}},
        GOOD | {"share": "../x"},
        GOOD | {"share": 7},
        GOOD | {"share": "a" * 65},
        GOOD | {"page": -1},
        GOOD | {"page": "1e9"},
        GOOD | {"page": None},
        GOOD | {"page": "٣"},
        GOOD | {"page": 10**7},
        GOOD | {"go": True},
        GOOD | {"verb": ids.FORMAT, "format": "exe"},
        GOOD | {"verb": ids.FORMAT, "format": ["md"]},
        GOOD | {"verb": "erni.settings"},
        GOOD | {"verb": [ids.STOP]},
    ],
)
def test_presses_that_are_none_of_ours_are_no_presses(value: Any) -> None:
    assert presses.read_press(value) is None


def test_a_press_is_read_whether_numbers_are_text_or_not() -> None:
    for page in (3, "3"):
        assert presses.read_press(GOOD | {"page": page}) == Press(verb=ids.PAGE, share=ABOUT.share, page=3)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"dialog": ids.SETTINGS_DIALOG}, Opening(dialog=ids.SETTINGS_DIALOG, share="")),
        ({"dialog": ids.RENAME_DIALOG, "share": "a1"}, Opening(dialog=ids.RENAME_DIALOG, share="a1")),
        ({"dialog": ids.RENAME_DIALOG}, None),
        ({"dialog": ids.TRANSCRIBE_DIALOG, "share": "a1"}, None),
        ({"dialog": ["x"]}, None),
        (None, None),
    ],
)
def test_openings(data: Any, found: Opening | None) -> None:
    assert presses.read_opening(data) == found


def test_files_are_offered_and_answered() -> None:
    card = files.consent_card("a.transcript.md", 1_234, share=ABOUT.share, format_name="md")
    assert card["contentType"] == files.CONSENT
    assert (card["name"], card["content"]["sizeInBytes"]) == ("a.transcript.md", 1_234)
    for action, accepted in (("accept", True), ("decline", False)):
        context = card["content"][f"{action}Context"]
        value = {"type": "fileUpload", "action": action, "context": context, "uploadInfo": {}}
        assert files.read_consent(value) == Consent(share=ABOUT.share, format="md", accepted=accepted)
    for bad in (
        None,
        {},
        {"action": "accept", "context": {"share": "a"}},
        {"action": "x", "context": context},
    ):
        assert files.read_consent(bad) is None
    assert files.read_consent({"action": "accept", "context": {"share": "a", "format": {}}}) is None
    assert files.read_consent({"action": ["accept"], "context": context}) is None
    assert files.consent_card("x" * 999, 0, share="a", format_name="md")["content"]["sizeInBytes"] == 1


def test_an_uploaded_file_is_shown_as_teams_wants_it() -> None:
    assert files.file_card("a.md", unique_id="1150D938", file_type="md", url="https://contoso/a.md") == {
        "contentType": "application/vnd.microsoft.teams.card.file.info",
        "contentUrl": "https://contoso/a.md",
        "name": "a.md",
        "content": {"uniqueId": "1150D938", "fileType": "md"},
    }


# --- whatever is said ---

MACROS = st.sampled_from(
    ["{{DATE(2017-02-14T06:08:39Z, SHORT)}}", "<at>Ada</at>", "{" * 9, "a" * 5_000, "{{" * 3_000]
)
TEAMS_TEXT = TEXT | MACROS


@given(TRANSCRIPTS, TEAMS_TEXT, st.sampled_from([0, 100, 2_500, 100_000]), st.lists(TEAMS_TEXT, max_size=4))
@MANY
def test_teams_takes_every_result(transcript: Transcript, name: str, whole: int, names: list[str]) -> None:
    about = Shown(share=ABOUT.share, name=name)
    links = [Link(name=each, url=each if place else FILES[0].url) for place, each in enumerate(names)]
    check_message(shows.result(about, transcript, files=links, trouble=name, whole=whole))
    check_message(shows.result(about, transcript, files=links, trouble=name, short=True))
    check_message(shows.nothing_said(about, transcript))


@given(TRANSCRIPTS, TEAMS_TEXT, st.integers(0, 5))
@MANY
def test_every_transcript_can_be_paged_through(transcript: Transcript, name: str, more: int) -> None:
    longer = replace(transcript, utterances=transcript.utterances * (1 + more))
    count = len(pages.cut(longer))
    found = [shows.page(Shown(share="a", name=name), longer, number) for number in range(1, count + 1)]
    for card in found:
        check_card(card)
        assert marks(spoken(card))
    assert marks("".join(map(spoken, found))) == whole(longer)


@given(TEAMS_TEXT, TEAMS_TEXT)
@MANY
def test_teams_takes_every_answer(name: str, text: str) -> None:
    about = Shown(share=ABOUT.share, name=name)
    for message in (
        shows.accepted(about),
        shows.failed(about, text, again=True),
        shows.refused(about, text),
        shows.stopped(about, text),
        shows.deleted(about, text),
        shows.elsewhere(about, text),
        shows.pointer(text),
        shows.help_text(POLICY, me=text),
        shows.status_text([Entry(name=name, when=AT)] * 20, POLICY),
        notices.note(text),
    ):
        check_message(message)


@given(TEAMS_TEXT)
def test_text_is_shown_as_it_is(text: str) -> None:
    literal = cards.run(text or "x")["text"]
    assert marks(literal.removesuffix("…")) in marks(encodable(text or "x"))


def test_hostile_texts_are_shown_as_they_are() -> None:
    for text in HOSTILE_TEXTS[:3]:
        assert text in shown(shows.result(ABOUT, HOSTILE))


def test_buttons_for_other_clients_say_what_they_are_for() -> None:
    action: Action = find_action(shows.accepted(ABOUT).card, "Stop")
    assert action["fallback"]["type"] == "Action.Submit"
    assert action["fallback"]["data"] == {"share": ABOUT.share, "verb": ids.STOP}
