"""Slack's forms: goldens to read, what comes back, and complaints about what can't be understood."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bots.slack.modals import (
    read_names,
    read_retry,
    read_settings,
    rename_view,
    retry_view,
    settings_view,
)
from bots.slack.parts import View
from core.model import Transcript
from core.policies import ChannelPolicy, Mode
from core.registry import FORMATS, METHODS
from core.relabelling import amended, circles, relabel
from tests.unit.test_slack_format import (
    CROWD,
    HOSTILE,
    LONG,
    NAMES,
    SHORT,
    TEXT,
    TRANSCRIPTS,
    UNLABELLED_SHORT,
    speak,
)
from tests.vendors.slack_screen import check_modal, draw_view, texts

GOLDEN = Path(__file__).parent / "golden"
METADATA = json.dumps({"share": "0123456789abcdef0123"})
DEFAULTS = ChannelPolicy(languages=("en",))
POLICY = ChannelPolicy(
    mode=Mode.ASKED,
    languages=("de", "en"),
    vocabulary=("Zürich", "Kubernetes"),
    min_speakers=2,
    max_speakers=4,
    formats=("docx", "srt"),
    method="local",
    retention_days=90,
    bots=True,
)
PEOPLE = (("U012AB3CD", "Ada Lovelace"), ("U045EF6GH", "Grace Hopper"), ("U078IJ9KL", "<!here> *Bobby*"))
EVERYBODY = tuple((f"U{number:04}", f"Person {number}") for number in range(150))


def settings_of(policy: ChannelPolicy, methods: tuple[str, ...] = ("local", "draft")) -> View:
    return settings_view(policy, "#design", methods=methods, metadata=METADATA, defaults=DEFAULTS)


VIEWS: dict[str, Callable[[], View]] = {
    "settings": lambda: settings_of(POLICY),
    "settings_fresh": lambda: settings_view(
        DEFAULTS, "", methods=(), metadata=METADATA, defaults=DEFAULTS, keeps_days=30
    ),
    "retry": lambda: retry_view(POLICY, "Weekly sync.m4a", methods=("elevenlabs",), metadata=METADATA),
    "rename": lambda: rename_view(SHORT, PEOPLE, metadata=METADATA),
    "rename_again": lambda: rename_view(
        SHORT, PEOPLE, metadata=METADATA, names={"Speaker 2": "Ben"}, merged={"Speaker 3": "Speaker 1"}
    ),
    "rename_in_a_crowd": lambda: rename_view(LONG, EVERYBODY, metadata=METADATA),
    "rename_nobody": lambda: rename_view(UNLABELLED_SHORT, PEOPLE, metadata=METADATA),
}


@pytest.mark.parametrize("name", VIEWS)
def test_forms_look_as_they_were_approved(name: str) -> None:
    """After a wanted change run pytest on this file with `UPDATE_GOLDEN=1`, then read the diff."""
    view = VIEWS[name]()
    check_modal(view)
    assert view["private_metadata"] == METADATA
    golden = GOLDEN / f"slack_form_{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(draw_view(view), "utf-8")
    assert draw_view(view) == golden.read_text("utf-8")


def sent(view: View, **changed: Any) -> dict[str, Any]:
    """The state that Slack sends for a form that was filled in as it came, but for the fields `changed`:
    text, the value of an option, a list of values, or None for nothing."""
    values: dict[str, dict[str, Any]] = {}
    for block in view["blocks"]:
        if block["type"] != "input":
            continue
        element = block["element"]
        answer: dict[str, Any] = {"type": element["type"]}
        match element["type"]:
            case "plain_text_input" | "number_input":
                answer["value"] = element.get("initial_value")
            case "users_select":
                answer["selected_user"] = None
            case "checkboxes" | "multi_static_select":
                answer["selected_options"] = element.get("initial_options", [])
            case _:
                answer["selected_option"] = element.get("initial_option")
        values[block["block_id"]] = {element["action_id"]: answer}
    for block_id, given_value in changed.items():
        (answer,) = values[block_id].values()
        match answer:
            case {"value": _}:
                answer["value"] = given_value
            case {"selected_user": _}:
                answer["selected_user"] = given_value
            case {"selected_options": _}:
                answer["selected_options"] = [{"value": each} for each in given_value]
            case _:
                answer["selected_option"] = None if given_value is None else {"value": given_value}
    return {"values": values}


# --- settings ---


@pytest.mark.parametrize("policy", [POLICY, DEFAULTS, replace(POLICY, min_speakers=None, max_speakers=None)])
def test_settings_that_nobody_changes_stay_as_they_are(policy: ChannelPolicy) -> None:
    assert read_settings(sent(settings_of(policy))) == policy


POLICIES = st.builds(
    ChannelPolicy,
    mode=st.sampled_from(Mode),
    languages=st.lists(st.sampled_from(["en", "de", "no", "nb", "yue", "zh", "cs"]), unique=True).map(tuple),
    vocabulary=st.lists(
        st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=100), max_size=25, unique=True
    ).map(tuple),
    min_speakers=st.none() | st.integers(1, 5),
    max_speakers=st.none() | st.integers(5, 50),
    formats=st.lists(st.sampled_from([*FORMATS]), unique=True, min_size=1).map(tuple),
    method=st.none() | st.sampled_from([*METHODS]),
    retention_days=st.none() | st.integers(1, 3650),
    delete_with_recording=st.booleans(),
    bots=st.booleans(),
)


@given(POLICIES)
@settings(deadline=None, max_examples=50)
def test_every_policy_survives_the_form(policy: ChannelPolicy) -> None:
    view = settings_of(policy)
    check_modal(view)
    back = read_settings(sent(view))
    assert isinstance(back, ChannelPolicy)
    assert set(back.formats) == set(policy.formats)
    assert replace(back, formats=policy.formats) == policy


def test_what_was_changed_is_read() -> None:
    state = sent(
        settings_of(POLICY),
        mode="never",
        languages="  french,\n EN; Swiss German ",
        vocabulary="R&amp;D, Erni\nErni\n\n  a  b ",
        speakers="3",
        formats=["vtt"],
        method="-",
        days=None,
        extras=["deleting"],
    )
    assert read_settings(state) == ChannelPolicy(
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


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("languages", "Germn", "“Germn” is not a language"),
        ("languages", "xx", "“xx” is not a language"),
        ("languages", "en de", "with commas"),
        ("vocabulary", "\n".join(f"word{number}" for number in range(101)), "101 terms"),
        ("vocabulary", "x" * 101, "at most 100 characters"),
        ("vocabulary", "\n".join(f"{number:03}" + "x" * 90 for number in range(40)), "too many long terms"),
        ("speakers", "many", "a number, such as 3"),
        ("speakers", "4-2", "2-4"),
        ("speakers", "0", "from 1 to 50"),
        ("speakers", "2-500", "from 1 to 50"),
        ("days", "0", "from 1 to 3650"),
        ("days", "3651", "from 1 to 3650"),
        ("days", "1.5", "whole number"),
        ("days", "-3", "whole number"),
        ("formats", ["exe"], "at least one"),
        ("mode", "sometimes", "choose one"),
    ],
)
def test_what_cannot_be_understood_is_complained_about_where_it_stands(
    field: str, value: Any, says: str
) -> None:
    found = read_settings(sent(settings_of(POLICY), **{field: value}))
    assert isinstance(found, dict)
    assert set(found) == {field}
    assert says in found[field]


def test_all_complaints_come_at_once() -> None:
    found = read_settings(sent(settings_of(POLICY), languages="Germn", speakers="many", days="0"))
    assert isinstance(found, dict)
    assert set(found) == {"languages", "speakers", "days"}


@pytest.mark.parametrize("state", [{}, {"values": {}}, {"values": None}, {"values": {"mode": None}}])
def test_an_empty_answer_is_no_policy(state: Mapping[str, Any]) -> None:
    assert isinstance(read_settings(state), dict)


def test_a_method_that_cannot_run_any_more_stays_chosen_and_says_so() -> None:
    view = settings_of(replace(POLICY, method="deepgram"))
    assert "Deepgram (not available now)" in texts(view)
    back = read_settings(sent(view))
    assert isinstance(back, ChannelPolicy)
    assert back.method == "deepgram"


# --- another try ---


def test_another_try_changes_languages_speakers_and_method_only() -> None:
    view = retry_view(POLICY, "x.wav", methods=("elevenlabs", "local"), metadata=METADATA)
    assert read_retry(sent(view), POLICY) == POLICY
    state = sent(view, languages="it", speakers="2+", method="elevenlabs")
    assert read_retry(state, POLICY) == replace(
        POLICY, languages=("it",), min_speakers=2, max_speakers=None, method="elevenlabs"
    )
    assert read_retry(sent(view, speakers="x"), POLICY) == {
        "speakers": "Please write a number, such as 3, or a range, such as 2-4."
    }


# --- who is who ---

NOTHING: tuple[dict[str, str], dict[str, str]] = ({}, {})


def field(kind: str, label: str) -> str:
    return f"{kind}:{quote(label, safe='')}"


def rename_of(transcript: Transcript = SHORT, **more: Any) -> View:
    return rename_view(transcript, PEOPLE, metadata=METADATA, **more)


def named(state: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    found = read_names(state)
    assert isinstance(found, tuple), found
    return found


def test_a_form_that_nobody_fills_in_changes_nothing() -> None:
    assert named(sent(rename_of())) == NOTHING
    assert named(sent(rename_of(names={"Speaker 2": "Ben"}, merged={"Speaker 3": "Speaker 1"}))) == NOTHING


def test_people_guesses_and_names_of_ones_own_are_read() -> None:
    state = sent(
        rename_of(),
        **{
            field("who", "Speaker 1"): "member:U045EF6GH",
            field("name", "Speaker 2"): " Tom &amp; Jerry ",
            field("who", "Speaker 3"): "name:Anna",
        },
    )
    assert named(state) == (
        {"Speaker 1": "U045EF6GH", "Speaker 2": "Tom & Jerry", "Speaker 3": "Anna"},
        {},
    )


def test_what_is_typed_counts_more_than_what_is_chosen() -> None:
    for choice in ("member:U045EF6GH", "same:Speaker%202", "nobody"):
        state = sent(rename_of(), **{field("who", "Speaker 1"): choice, field("name", "Speaker 1"): "Eva"})
        assert named(state) == ({"Speaker 1": "Eva"}, {})


def test_a_name_can_be_taken_away() -> None:
    view = rename_of()
    assert "No name: Speaker 1" in texts(view)
    assert "No name: Speaker 2" not in texts(view)
    for changed in ({field("who", "Speaker 1"): "nobody"}, {field("name", "Speaker 1"): "Speaker 1"}):
        names, merged = named(sent(view, **changed))
        assert (names, merged) == ({"Speaker 1": ""}, {})
        assert "Speaker 1" not in relabel(SHORT, names, merged).names


def test_speakers_can_be_one_person() -> None:
    state = sent(
        rename_of(),
        **{field("who", "Speaker 3"): "same:Speaker%202", field("who", "Speaker 2"): "same:Speaker%201"},
    )
    names, merged = named(state)
    assert merged == {"Speaker 3": "Speaker 2", "Speaker 2": "Speaker 1"}
    assert relabel(SHORT, names, merged).names == {"Speaker 1": "Ada Lovelace"}


def test_circles_are_complained_about() -> None:
    state = sent(
        rename_of(),
        **{field("who", "Speaker 1"): "same:Speaker%202", field("who", "Speaker 2"): "same:Speaker%201"},
    )
    found = read_names(state)
    assert isinstance(found, dict)
    assert set(found) == {field("who", "Speaker 1"), field("who", "Speaker 2")}


@pytest.mark.parametrize("name", ["speaker 2", "x" * 81])
def test_some_names_are_complained_about(name: str) -> None:
    found = read_names(sent(rename_of(), **{field("name", "Speaker 1"): name}))
    assert isinstance(found, dict)
    assert set(found) == {field("name", "Speaker 1")}


@pytest.mark.parametrize(
    "value", ["member:<!here>", "member:", "x", "same", "same:Speaker%209", "name:", "name:\u200b"]
)
def test_choices_that_were_not_offered_are_none(value: str) -> None:
    assert named(sent(rename_of(), **{field("who", "Speaker 1"): value})) == NOTHING


def test_what_was_said_before_is_shown_and_can_be_taken_back() -> None:
    earlier = {"Speaker 3": "Speaker 1", "Speaker 9": "Speaker 1"}
    view = rename_of(names={"Speaker 2": "Ben"}, merged=earlier)
    shown = texts(view)
    assert "Ben" in shown
    assert field("name", "Speaker 3") not in {block.get("block_id") for block in view["blocks"]}
    assert "Speaker 3, now Ada Lovelace" in shown
    assert not any("Speaker 9" in text for text in shown)
    names, merged = named(sent(view, apart=["Speaker%203"]))
    assert (names, merged) == ({}, {"Speaker 3": ""})
    assert amended(earlier, merged) == {"Speaker 9": "Speaker 1"}


def test_in_a_crowd_anybody_in_the_workspace_can_be_chosen() -> None:
    view = rename_view(LONG, EVERYBODY, metadata=METADATA)
    state = sent(view, **{field("user", "Speaker 1"): "U0001", field("who", "Speaker 3"): "same:Speaker%201"})
    assert named(state) == ({"Speaker 1": "U0001"}, {"Speaker 3": "Speaker 1"})


def test_each_speaker_is_heard_in_longest_words() -> None:
    shown = "\n".join(texts(rename_of()))
    assert "0:03  Good morning, everybody." in shown
    assert "0:28  Can you say what the delay was?" in shown
    assert "not recognised" not in shown
    assert "Mhm." not in shown


def test_whoever_says_little_is_heard_all_the_same() -> None:
    talk = replace(SHORT, utterances=(speak("Speaker 1", 1, "Mhm."), speak("Speaker 1", 9, "No.")))
    assert "0:01  Mhm." in texts(rename_of(talk))


@pytest.mark.parametrize("people", [PEOPLE, EVERYBODY, EVERYBODY[:100], EVERYBODY[:70], ()])
def test_of_many_speakers_those_who_talk_most_can_be_named(people: tuple[tuple[str, str], ...]) -> None:
    view = rename_view(CROWD, people, metadata=METADATA)
    check_modal(view)
    offered = [block for block in view["blocks"] if block.get("block_id", "").startswith("name:")]
    assert 20 <= len(offered) <= 25
    assert f"{100 - len(offered)} more speakers, who say little, can't be named here." in texts(view)


def test_as_many_people_as_a_menu_holds_are_offered_by_name() -> None:
    view = rename_view(LONG, EVERYBODY[:95], metadata=METADATA)
    check_modal(view)
    assert "Person 94" in texts(view)
    assert "Person 0" not in texts(rename_view(LONG, EVERYBODY[:98], metadata=METADATA))


def test_a_form_does_not_grow_beyond_what_slack_takes() -> None:
    people = [(f"U{number:04}", "漢字" * 40) for number in range(75)]
    view = rename_view(CROWD, people, metadata=METADATA)
    check_modal(view)
    assert any(block.get("block_id", "").startswith("user:") for block in view["blocks"])


def test_one_speaker_alone_can_be_named() -> None:
    alone = replace(SHORT, utterances=SHORT.utterances[:1], names={})
    for people in (PEOPLE, (), EVERYBODY):
        view = rename_view(alone, people, metadata=METADATA)
        check_modal(view)
        assert named(sent(view, **{field("name", "Speaker 1"): "Eva"})) == ({"Speaker 1": "Eva"}, {})


# --- whatever is said ---

MANY = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


def test_labels_that_no_field_can_carry_are_left_out() -> None:
    odd = replace(SHORT, utterances=(*SHORT.utterances, speak("", 90, "Who?"), speak("x" * 200, 95, "Me.")))
    view = rename_view(odd, PEOPLE, metadata=METADATA, merged={"": "Speaker 1"})
    check_modal(view)
    assert len([block for block in view["blocks"] if block.get("block_id", "").startswith("name:")]) == 3


@given(
    TRANSCRIPTS | st.just(HOSTILE),
    st.lists(st.tuples(st.from_regex(r"U[A-Z0-9]{5}", fullmatch=True), TEXT), max_size=5),
    NAMES.filter(lambda merged: not circles(merged)),
    NAMES,
)
@MANY
def test_slack_takes_every_form_for_names(
    transcript: Transcript,
    people: list[tuple[str, str]],
    merged: dict[str, str],
    names: dict[str, str],
) -> None:
    view = rename_view(transcript, people, metadata=METADATA, names=names, merged=merged)
    check_modal(view)
    assert named(sent(view)) == NOTHING


@given(TEXT, TEXT)
@MANY
def test_slack_takes_every_other_form(name: str, term: str) -> None:
    policy = replace(POLICY, vocabulary=(term,), languages=(term,))
    check_modal(settings_view(policy, name, methods=[*METHODS], metadata=METADATA, defaults=policy))
    check_modal(retry_view(policy, name, methods=[*METHODS], metadata=METADATA))
