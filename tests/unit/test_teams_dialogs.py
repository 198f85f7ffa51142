"""Teams' dialogs: goldens to read, what comes back, and complaints about what can't be understood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bots.teams import cards, forms, ids
from bots.teams.dialogs import (
    Dialog,
    Mistakes,
    Wish,
    install_dialog,
    is_installed,
    nothing_dialog,
    read_dialog,
    read_names,
    read_retry,
    read_settings,
    read_transcribe,
    rename_dialog,
    retry_dialog,
    settings_dialog,
    transcribe_dialog,
)
from bots.teams.notes import NOTHING_TO_TRANSCRIBE
from core.model import Transcript
from core.policies import ChannelPolicy, Mode
from core.registry import METHODS
from core.relabelling import amended, circles, relabel
from tests.unit.test_slack_format import (
    CROWD,
    HOSTILE,
    LONG,
    MANY,
    NAMES,
    SHORT,
    TRANSCRIPTS,
    UNLABELLED_SHORT,
    speak,
)
from tests.unit.test_slack_modals import DEFAULTS, POLICIES, POLICY
from tests.unit.test_teams_format import TEAMS_TEXT, approve
from tests.vendors.teams_cards import parts_of
from tests.vendors.teams_forms import filled, inputs
from tests.vendors.teams_screen import check_dialog, draw_dialog, texts

SHARE = "0123456789abcdef0123"
DATA = {"conversation": "19:abc@thread.tacv2"}
PEOPLE = ("Ada Lovelace", "Grace Hopper", "<at>*Bobby*</at>")
EVERYBODY = tuple(f"Person {number}" for number in range(150))
RECORDINGS = (("a1", "Weekly sync.m4a"), ("b2", "*Interview* <at>x</at>.mp4"))


def settings_of(policy: ChannelPolicy, **more: Any) -> Dialog:
    return settings_dialog(policy, "Design", methods=("local", "draft"), data=DATA, defaults=DEFAULTS, **more)


def transcribe_of(recordings: Any = RECORDINGS[:1], **more: Any) -> Dialog:
    return transcribe_dialog(POLICY, recordings, data=DATA, **more)


def retry_of(**more: Any) -> Dialog:
    return retry_dialog(
        POLICY, "Weekly sync.m4a", methods=("elevenlabs", "local"), data={"share": SHARE}, **more
    )


def rename_of(transcript: Transcript = SHORT, people: Any = PEOPLE, **more: Any) -> Dialog:
    return rename_dialog(transcript, people, share=SHARE, **more)


DIALOGS: dict[str, Callable[[], Dialog]] = {
    "transcribe": transcribe_of,
    "transcribe several": lambda: transcribe_of(RECORDINGS),
    "transcribe something": lambda: transcribe_of(()),
    "nothing": lambda: nothing_dialog(NOTHING_TO_TRANSCRIBE),
    "install": lambda: install_dialog("Erni"),
    "settings": lambda: settings_of(POLICY),
    "settings fresh": lambda: settings_dialog(
        DEFAULTS, "", methods=(), data=DATA, defaults=DEFAULTS, keeps_days=30
    ),
    "settings again": lambda: complained(settings_of, POLICY, languages="Germn", speakers="4-2", days=0),
    "retry": retry_of,
    "rename": rename_of,
    "rename again": lambda: rename_of(names={"Speaker 2": "Ben"}, merged={"Speaker 3": "Speaker 1"}),
    "rename in a crowd": lambda: rename_of(LONG, EVERYBODY),
    "rename nobody": lambda: rename_of(UNLABELLED_SHORT),
}


@pytest.mark.parametrize("name", DIALOGS)
def test_dialogs_look_as_they_were_approved(name: str) -> None:
    dialog = DIALOGS[name]()
    check_dialog(dialog)
    approve(f"dialog {name}", draw_dialog(dialog))


def sent(dialog: Dialog, **changed: Any) -> dict[str, Any]:
    """The data that Teams sends for a form that was filled in as it came, but for the fields `changed`: text,
    a number, the value of a choice, a list of values, or None for nothing."""
    (action,) = dialog.card["actions"]
    known = {key: value for key, value in changed.items() if value is not None}
    answers = filled(dialog.card, action, known)
    for key, value in changed.items():
        if value is None:
            answers.pop(key, None)
    return {**action["data"], **answers}


def raw(dialog: Dialog, **changed: Any) -> dict[str, Any]:
    """The same from somebody who sends what they like."""
    return sent(dialog) | changed


def complained(make: Callable[..., Dialog], *given: Any, **changed: Any) -> Dialog:
    """A settings form that came back with mistakes."""
    data = raw(make(*given), **changed)
    problems = read_settings(data)
    assert isinstance(problems, dict)
    return make(*given, mistakes=Mistakes(sent=data, problems=problems))


def shown(dialog: Dialog) -> list[str]:
    """Every text, label and choice."""
    fields = inputs(dialog.card).values()
    choices = [choice["title"] for field in fields for choice in field.get("choices", ())]
    return [*texts(dialog.card), *(field["label"] for field in fields), *choices]


# --- asking for a transcript ---


def test_one_press_is_enough() -> None:
    found = read_transcribe(sent(transcribe_of()), POLICY)
    assert found == Wish(recordings=("a1",), policy=POLICY)
    assert read_transcribe(sent(transcribe_of(())), POLICY) == Wish(recordings=(), policy=POLICY)
    both = read_transcribe(sent(transcribe_of(RECORDINGS)), POLICY)
    assert both == Wish(recordings=("a1", "b2"), policy=POLICY)


def test_a_recording_can_be_chosen_and_how() -> None:
    data = sent(transcribe_of(RECORDINGS), which="1", languages="it", speakers="2+", formats=["vtt", "txt"])
    policy = replace(POLICY, languages=("it",), min_speakers=2, max_speakers=None, formats=("vtt", "txt"))
    assert read_transcribe(data, POLICY) == Wish(recordings=("b2",), policy=policy)
    assert data["conversation"] == DATA["conversation"]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"languages": "Germn"}, "languages"),
        ({"speakers": "many"}, "speakers"),
        ({"formats": ""}, "formats"),
        ({"formats": "exe"}, "formats"),
        ({"formats": ["md"]}, "formats"),
        ({"which": "7"}, "which"),
        ({"which": "-1"}, "which"),
    ],
)
def test_wishes_that_cannot_be_understood(changed: dict[str, Any], field: str) -> None:
    found = read_transcribe(raw(transcribe_of(RECORDINGS), **changed), POLICY)
    assert isinstance(found, dict)
    assert set(found) == {field}


@pytest.mark.parametrize("given", [None, "a1", 3, {"a": 1}, [1, None, {}]])
def test_ids_that_are_none_are_left_out(given: Any) -> None:
    found = read_transcribe(raw(transcribe_of(), recordings=given), POLICY)
    assert found == Wish(recordings=(), policy=POLICY)


def test_of_very_many_recordings_the_first_are_offered() -> None:
    dialog = transcribe_of([(str(number), f"{number}.mp3") for number in range(50)])
    check_dialog(dialog)
    found = read_transcribe(sent(dialog), POLICY)
    assert isinstance(found, Wish)
    assert found.recordings == tuple(map(str, range(20)))
    assert "All 20 recordings" in shown(dialog)


def test_where_the_app_is_not_it_can_be_added() -> None:
    (action,) = install_dialog("Erni").card["actions"]
    assert action["data"] == {"msteams": {"justInTimeInstall": True}}
    assert is_installed(action["data"])
    for other in (
        None,
        {},
        {"msteams": None},
        {"msteams": {"justInTimeInstall": "x"}},
        sent(transcribe_of()),
    ):
        assert not is_installed(other)


def test_each_dialog_says_which_it_is() -> None:
    for dialog, name in (
        (transcribe_of(), ids.TRANSCRIBE_DIALOG),
        (settings_of(POLICY), ids.SETTINGS_DIALOG),
        (retry_of(), ids.RETRY_DIALOG),
        (rename_of(), ids.RENAME_DIALOG),
    ):
        assert read_dialog(sent(dialog)) == name
    others: list[Any] = [None, [], {}, {"dialog": None}, {"dialog": ["x"]}, {"dialog": ids.STOP}]
    assert not any(map(read_dialog, others))


# --- settings ---


@pytest.mark.parametrize("policy", [POLICY, DEFAULTS, replace(POLICY, min_speakers=None, max_speakers=None)])
def test_settings_that_nobody_changes_stay_as_they_are(policy: ChannelPolicy) -> None:
    data = sent(settings_of(policy))
    assert data["conversation"] == DATA["conversation"]
    found = read_settings(data)
    assert isinstance(found, ChannelPolicy)
    assert replace(found, formats=tuple(sorted(found.formats))) == replace(
        policy, formats=tuple(sorted(policy.formats))
    )


@given(POLICIES)
@settings(deadline=None, max_examples=50)
def test_every_policy_survives_the_form(policy: ChannelPolicy) -> None:
    dialog = settings_of(policy)
    check_dialog(dialog)
    back = read_settings(sent(dialog))
    assert isinstance(back, ChannelPolicy)
    assert set(back.formats) == set(policy.formats)
    assert replace(back, formats=policy.formats) == policy


def test_what_was_changed_is_read() -> None:
    data = sent(
        settings_of(POLICY),
        mode="never",
        languages="  french,\n EN; Swiss German ",
        vocabulary="R&D, Erni\nErni\n\n  a  b ",
        speakers="3",
        formats=["vtt"],
        method="-",
        days=None,
        extras=["deleting"],
    )
    assert read_settings(data) == ChannelPolicy(
        mode=Mode.NEVER,
        languages=("fr", "en", "gsw"),
        vocabulary=("R&D", "Erni", "a b"),
        min_speakers=3,
        max_speakers=3,
        formats=("vtt",),
        method=None,
        retention_days=None,
        delete_with_recording=True,
        bots=False,
    )


@pytest.mark.parametrize("days", [30, 30.0, "30"])
def test_numbers_are_read_however_clients_send_them(days: Any) -> None:
    found = read_settings(raw(settings_of(POLICY), days=days))
    assert isinstance(found, ChannelPolicy)
    assert found.retention_days == 30


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("languages", "Germn", "“Germn” is not a language"),
        ("vocabulary", "x" * 101, "at most 100 characters"),
        ("speakers", "4-2", "2-4"),
        ("days", 0, "from 1 to 3650"),
        ("days", 1.5, "whole number"),
        ("days", "1e3", "whole number"),
        ("formats", "exe", "at least one"),
        ("formats", None, "at least one"),
        ("mode", "sometimes", "choose one"),
        ("mode", {"x": 1}, "choose one"),
    ],
)
def test_what_cannot_be_understood_is_complained_about_where_it_stands(
    field: str, value: Any, says: str
) -> None:
    data = raw(settings_of(POLICY), **{field: value})
    found = read_settings(data)
    assert isinstance(found, dict)
    assert set(found) == {field}
    assert says in found[field]
    again = settings_of(POLICY, mistakes=Mistakes(sent=data, problems=found))
    check_dialog(again)
    (box,) = [
        part for part in again.card["body"] if any(each.get("id") == field for each in part.get("items", ()))
    ]
    assert box["items"][0]["inlines"][0] == {
        "type": "TextRun",
        "text": found[field],
        "weight": "bolder",
        "color": "attention",
    }


def test_after_mistakes_nothing_that_was_filled_in_is_lost() -> None:
    changed = {
        "mode": "never",
        "languages": "Germn",
        "vocabulary": "Erni",
        "speakers": "",
        "formats": "vtt",
        "method": "draft",
        "days": 7,
        "extras": "",
    }
    data = raw(settings_of(POLICY), **changed)
    found = read_settings(data)
    assert isinstance(found, dict)
    again = settings_of(POLICY, mistakes=Mistakes(sent=data, problems=found))
    back = {name: field.get("value", "") for name, field in inputs(again.card).items()}
    assert back == changed


@pytest.mark.parametrize("data", [{}, {"mode": None}, {"mode": 7, "formats": 7, "languages": []}])
def test_an_empty_answer_is_no_policy(data: dict[str, Any]) -> None:
    found = read_settings(data)
    assert isinstance(found, dict)
    check_dialog(settings_of(POLICY, mistakes=Mistakes(sent=data, problems=found)))


def test_a_method_that_cannot_run_any_more_stays_chosen_and_says_so() -> None:
    dialog = settings_of(replace(POLICY, method="deepgram"))
    assert "Deepgram (not available now)" in shown(dialog)
    back = read_settings(sent(dialog))
    assert isinstance(back, ChannelPolicy)
    assert back.method == "deepgram"


# --- another try ---


def test_another_try_changes_languages_speakers_and_method_only() -> None:
    dialog = retry_of()
    assert read_retry(sent(dialog), POLICY) == POLICY
    data = sent(dialog, languages="it", speakers="2+", method="elevenlabs")
    assert data["share"] == SHARE
    assert read_retry(data, POLICY) == replace(
        POLICY, languages=("it",), min_speakers=2, max_speakers=None, method="elevenlabs"
    )
    found = read_retry(sent(dialog, speakers="x"), POLICY)
    assert found == {"speakers": "Please write a number, such as 3, or a range, such as 2-4."}
    check_dialog(retry_of(mistakes=Mistakes(sent={"speakers": "x"}, problems=found)))


# --- who is who ---

NOTHING: tuple[dict[str, str], dict[str, str]] = ({}, {})


def named(data: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    found = read_names(data)
    assert isinstance(found, tuple), found
    return found


def field(dialog: Dialog, kind: str, label: str) -> str:
    (action,) = dialog.card["actions"]
    return f"{kind}:{action['data']['labels'].index(label)}"


def choose(dialog: Dialog, **answers: str) -> dict[str, Any]:
    """A form in which speakers (`Speaker_1`) got a choice by its title or, after `=`, a typed name."""
    changed = {}
    for speaker, answer in answers.items():
        kind = "own" if answer.startswith("=") else "who"
        changed[field(dialog, kind, speaker.replace("_", " "))] = answer.removeprefix("=")
    return sent(dialog, **changed)


def test_a_form_that_nobody_fills_in_changes_nothing() -> None:
    assert named(sent(rename_of())) == NOTHING
    assert named(sent(rename_of(names={"Speaker 2": "Ben"}, merged={"Speaker 3": "Speaker 1"}))) == NOTHING
    dialog = rename_of()
    assert named(choose(dialog, Speaker_1="No change", Speaker_2="No change")) == NOTHING
    assert sent(dialog)["share"] == SHARE


def test_people_guesses_and_names_of_ones_own_are_read() -> None:
    data = choose(rename_of(), Speaker_1="Grace Hopper", Speaker_2="= Tom & Jerry ", Speaker_3="Perhaps Anna")
    assert named(data) == ({"Speaker 1": "Grace Hopper", "Speaker 2": "Tom & Jerry", "Speaker 3": "Anna"}, {})


def test_what_is_typed_counts_more_than_what_is_chosen() -> None:
    dialog = rename_of()
    for choice in ("Grace Hopper", "Same person as Speaker 2", "No name: Speaker 1"):
        changed = {field(dialog, "who", "Speaker 1"): choice, field(dialog, "own", "Speaker 1"): "Eva"}
        assert named(sent(dialog, **changed)) == ({"Speaker 1": "Eva"}, {})


def test_a_name_can_be_taken_away() -> None:
    dialog = rename_of()
    assert "No name: Speaker 1" in shown(dialog)
    assert "No name: Speaker 2" not in shown(dialog)
    for answer in ("No name: Speaker 1", "=Speaker 1"):
        names, merged = named(choose(dialog, Speaker_1=answer))
        assert (names, merged) == ({"Speaker 1": ""}, {})
        assert "Speaker 1" not in relabel(SHORT, names, merged).names


def test_speakers_can_be_one_person() -> None:
    data = choose(rename_of(), Speaker_3="Same person as Speaker 2", Speaker_2="Same person as Ada Lovelace")
    names, merged = named(data)
    assert merged == {"Speaker 3": "Speaker 2", "Speaker 2": "Speaker 1"}
    assert relabel(SHORT, names, merged).names == {"Speaker 1": "Ada Lovelace"}


def test_circles_are_complained_about_where_they_stand() -> None:
    dialog = rename_of()
    data = choose(dialog, Speaker_1="Same person as Speaker 2", Speaker_2="Same person as Ada Lovelace")
    found = read_names(data)
    assert isinstance(found, dict)
    assert set(found) == {field(dialog, "who", "Speaker 1"), field(dialog, "who", "Speaker 2")}
    again = rename_of(mistakes=Mistakes(sent=data, problems=found))
    check_dialog(again)
    assert sum("These speakers point at one another" in text for text in texts(again.card)) == 2
    back = inputs(again.card)
    assert {name: back[name].get("value") for name in found} == {name: data[name] for name in found}


@pytest.mark.parametrize("name", ["speaker 2", "x" * 81])
def test_some_names_are_complained_about(name: str) -> None:
    dialog = rename_of()
    found = read_names(raw(dialog, **{field(dialog, "own", "Speaker 1"): name}))
    assert isinstance(found, dict)
    assert set(found) == {field(dialog, "own", "Speaker 1")}


def test_if_the_speakers_changed_meanwhile_the_form_begins_anew() -> None:
    data = raw(rename_of(), **{"own:0": "x" * 90})
    found = read_names(data)
    assert isinstance(found, dict)
    again = rename_of(merged={"Speaker 2": "Speaker 1"}, mistakes=Mistakes(sent=data, problems=found))
    assert not any(element.get("value") for element in inputs(again.card).values())


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "x",
            "person:",
            "person:9",
            "person:-1",
            "person:01",
            "person:1e1",
            "person:٣",
            "same:9",
            "same:",
        ),
        *(7, None, ["person:0"], {}),
    ],
)
def test_choices_that_were_not_offered_are_none(value: Any) -> None:
    dialog = rename_of()
    assert named(raw(dialog, **{field(dialog, "who", "Speaker 1"): value})) == NOTHING


@pytest.mark.parametrize("key", ["labels", "people", "merged"])
@pytest.mark.parametrize("value", [None, "x", 7, {"a": "b"}, [1, None, ["x"]]])
def test_lists_that_were_changed_on_the_way_do_no_harm(key: str, value: Any) -> None:
    assert named(raw(rename_of(), **{key: value, "apart": "every", "who:0": "keep"})) == NOTHING


def test_what_was_said_before_is_shown_and_can_be_taken_back() -> None:
    earlier = {"Speaker 3": "Speaker 1", "Speaker 9": "Speaker 1"}
    dialog = rename_of(names={"Speaker 2": "Ben"}, merged=earlier)
    found = shown(dialog)
    assert any(text.startswith("Ben") for text in found)
    assert dialog.card["actions"][0]["data"]["labels"] == ["Speaker 1", "Speaker 2"]
    assert "Speaker 3, now Ada Lovelace" in found
    assert not any("Speaker 9" in text for text in found)
    names, merged = named(sent(dialog, apart="Speaker 3, now Ada Lovelace"))
    assert (names, merged) == ({}, {"Speaker 3": ""})
    assert amended(earlier, merged) == {"Speaker 9": "Speaker 1"}


def test_all_merges_can_be_taken_back_at_once() -> None:
    dialog = rename_of(merged={"Speaker 3": "Speaker 1", "Speaker 2": "Speaker 1"})
    assert named(sent(dialog, apart="All of them")) == ({}, {"Speaker 3": "", "Speaker 2": ""})
    assert named(sent(dialog, apart="No change")) == NOTHING


def test_each_speaker_is_heard_in_longest_words() -> None:
    found = texts(rename_of().card)
    assert any(text.startswith("0:03  Good morning, everybody.") for text in found)
    assert "0:28  Can you say what the delay was?" in found
    assert not any("not recognised" in text or "Mhm." in text for text in found)


def test_whoever_says_little_is_heard_all_the_same() -> None:
    talk = replace(SHORT, utterances=(speak("Speaker 1", 1, "Mhm."), speak("Speaker 1", 9, "No.")))
    assert "0:01  Mhm." in texts(rename_of(talk).card)


@pytest.mark.parametrize("count", [0, 3, 40, 150, 5_000])
def test_of_many_speakers_all_can_be_named_in_turn(count: int) -> None:
    people = [f"Maximilian Mustermann-Schmidt {number}" for number in range(count)]
    names: dict[str, str] = {}
    seen: set[str] = set()
    rounds = 0
    while len(seen) < 100:
        rounds += 1
        assert rounds < 20
        dialog = rename_of(CROWD, people, names=names)
        check_dialog(dialog)
        offered = dialog.card["actions"][0]["data"]["labels"]
        assert offered[0] not in seen
        seen |= set(offered)
        names |= {label: f"Name of {label}" for label in offered}
    assert "Person" not in names


def test_as_many_people_as_fit_are_offered_by_name() -> None:
    assert "Person 149" in shown(rename_of(SHORT, EVERYBODY))
    assert shown(rename_of(LONG, EVERYBODY * 9)).count("Person 0") == 4
    assert "Person 0" not in shown(rename_of(CROWD, EVERYBODY))
    crowd = rename_of(SHORT, [f"Person {number}" for number in range(5_000)])
    check_dialog(crowd)
    assert "Person 0" not in shown(crowd)
    assert named(choose(crowd, Speaker_2="=Person 7")) == ({"Speaker 2": "Person 7"}, {})


def test_one_speaker_alone_can_be_named() -> None:
    alone = replace(SHORT, utterances=SHORT.utterances[:1], names={})
    for people in (PEOPLE, (), EVERYBODY):
        dialog = rename_of(alone, people)
        check_dialog(dialog)
        assert named(choose(dialog, Speaker_1="=Eva")) == ({"Speaker 1": "Eva"}, {})


def test_labels_that_are_too_long_or_empty_are_left_out() -> None:
    odd = replace(SHORT, utterances=(*SHORT.utterances, speak("", 90, "Who?"), speak("x" * 200, 95, "Me.")))
    dialog = rename_of(odd, merged={"": "Speaker 1"})
    check_dialog(dialog)
    assert dialog.card["actions"][0]["data"]["labels"] == ["Speaker 1", "Speaker 2", "Speaker 3"]


# --- the window around ---


def test_a_dialog_is_answered_as_teams_wants_it() -> None:
    dialog = nothing_dialog("Nothing there.")
    assert forms.task(dialog) == {
        "type": "continue",
        "value": {
            "title": "Transcribe recording",
            "height": "small",
            "width": "medium",
            "card": cards.attachment(dialog.card),
        },
    }
    assert forms.closing("Saved.") == {"type": "message", "value": "Saved."}


# --- whatever is said ---


@given(
    TRANSCRIPTS | st.just(HOSTILE),
    st.lists(TEAMS_TEXT, max_size=5),
    NAMES.filter(lambda merged: not circles(merged)),
    NAMES,
)
@MANY
def test_teams_takes_every_form_for_names(
    transcript: Transcript, people: list[str], merged: dict[str, str], names: dict[str, str]
) -> None:
    dialog = rename_of(transcript, people, names=names, merged=merged)
    check_dialog(dialog)
    if "actions" in dialog.card:
        assert named(sent(dialog)) == NOTHING


@given(TEAMS_TEXT, TEAMS_TEXT)
@settings(MANY, max_examples=30)
def test_teams_takes_every_other_form(name: str, term: str) -> None:
    policy = replace(POLICY, vocabulary=(term,), languages=(term,))
    for dialog in (
        settings_dialog(policy, name, methods=[*METHODS], data={}, defaults=policy),
        retry_dialog(policy, name, methods=[*METHODS], data={}),
        transcribe_dialog(policy, [("a", name), ("b", term)], data={}),
        transcribe_dialog(policy, [("a", name)], data={}),
        install_dialog(name),
    ):
        check_dialog(dialog)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEAMS_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        *("mode", "languages", "vocabulary", "speakers", "formats", "method", "days", "extras", "which"),
        *(
            "recordings",
            "labels",
            "people",
            "merged",
            "apart",
            "who:0",
            "own:0",
            "dialog",
            "share",
            "msteams",
        ),
    ]
)


@given(st.dictionaries(KEYS, JSON, max_size=12))
@settings(MANY, max_examples=30)
def test_nothing_that_is_sent_breaks_a_reader_or_the_form_that_comes_again(data: dict[str, Any]) -> None:
    policy, wish, again, names = (
        read_settings(data),
        read_transcribe(data, POLICY),
        read_retry(data, POLICY),
        read_names(data),
    )
    read_dialog(data)
    is_installed(data)
    for found, make in ((policy, settings_of), (wish, transcribe_of), (again, retry_of), (names, rename_of)):
        problems = found if isinstance(found, dict) else {}
        given_policy = (POLICY,) if make is settings_of else ()
        check_dialog(make(*given_policy, mistakes=Mistakes(sent=data, problems=problems)))


def test_what_people_are_asked_stands_in_fields_with_labels() -> None:
    for make in DIALOGS.values():
        for part in parts_of(make().card):
            if part["type"].startswith("Input."):
                assert part["label"]
