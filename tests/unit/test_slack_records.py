"""Reading what Slack sends, whatever that is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bots.slack.records import Conversation, Message, Person, Place, SlackFile

KEYS = [
    *("id", "name", "title", "mimetype", "size", "mode", "shares", "public", "private", "ts", "thread_ts"),
    *("files", "metadata", "profile", "display_name", "transcription", "preview", "content", "duration_ms"),
    *("channels", "ims", "created", "is_external", "url_private", "is_im", "C1", "user"),
]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)


@given(JSON)
def test_nothing_that_slack_could_send_raises(payload: Any) -> None:
    file = SlackFile.from_payload(payload)
    assert 0 <= file.size < 1e15
    assert all(float(place.ts) >= 0 for place in file.shares)
    assert isinstance(file.title_or_name, str)
    Message.from_payload(payload)
    Person.from_payload(payload)
    Conversation.from_payload(payload)


def test_shares_of_all_kinds_are_found() -> None:
    file = SlackFile.from_payload(
        {
            "id": "F1",
            "channels": ["C1"],
            "ims": ["D9"],
            "shares": {
                "public": {"C1": [{"ts": "1.000100"}, {"ts": "2.000100", "thread_ts": "1.000000"}]},
                "private": {"G2": [{"ts": "3.000100"}, {"no": "ts"}, {"ts": "not a stamp"}], "G3": "odd"},
            },
        }
    )
    assert file.shares == (
        Place(channel="C1", ts="1.000100", public=True),
        Place(channel="C1", ts="2.000100", thread_ts="1.000000", public=True),
        Place(channel="G2", ts="3.000100"),
    )
    assert file.conversations == {"C1", "G2", "D9"}


@pytest.mark.parametrize(
    ("payload", "stub", "gone", "hidden", "external"),
    [
        ({"mode": "hosted", "file_access": "visible"}, False, False, False, False),
        ({"mode": "file_access", "file_access": "check_file_info", "created": 0}, True, False, False, False),
        ({"mode": "tombstone"}, False, True, False, False),
        ({"mode": "hidden_by_limit"}, False, False, True, False),
        ({"mode": "external", "is_external": True}, False, False, False, True),
        ({"mode": "external"}, False, False, False, True),
    ],
)
def test_what_is_no_ordinary_file(
    payload: dict[str, Any], stub: bool, gone: bool, hidden: bool, external: bool
) -> None:
    file = SlackFile.from_payload(payload)
    assert (file.is_stub, file.is_gone, file.is_hidden, file.is_external) == (stub, gone, hidden, external)


def test_the_address_of_an_external_file_is_the_foreign_one() -> None:
    drive = {"is_external": True, "external_type": "gdrive", "url_private": "https://drive.google.com/x"}
    assert SlackFile.from_payload(drive).external_url == "https://drive.google.com/x"
    remote = drive | {"external_url": "https://drive.google.com/y"}
    assert SlackFile.from_payload(remote).external_url == "https://drive.google.com/y"


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ({"profile": {"display_name": "ada", "real_name": "Ada L."}, "name": "al"}, "ada"),
        ({"profile": {"display_name": "", "real_name": "Ada L."}, "name": "al"}, "Ada L."),
        ({"profile": {"display_name": " "}, "name": "al"}, "al"),
        ({}, ""),
    ],
)
def test_people_are_called_as_they_chose(user: dict[str, Any], name: str) -> None:
    assert Person.from_payload(user).name == name


def test_numbers_may_be_texts() -> None:
    file = SlackFile.from_payload({"size": "123", "created": "1700000000", "duration_ms": True})
    assert (file.size, file.created, file.seconds) == (123, 1700000000.0, None)
