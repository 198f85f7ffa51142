"""Names that people give to speakers count in the order in which they gave them."""

from __future__ import annotations

from bots.teams.incoming import Reference
from bots.teams.naming import named
from bots.teams.shares import Share, State

WHERE = Reference(
    service_url="https://t.example", conversation="19:c", kind="groupChat", tenant="t", bot="28:b"
)
STATE = State(share=Share(where=WHERE, message="1", file="f", user="u", name="a.mp3", at=1.0))


def test_what_was_said_last_counts_also_if_it_is_heard_first() -> None:
    early = ({"A": "Ada Early", "B": "Bo"}, {"C": "A"})
    late = ({"A": "Ada Late"}, {"C": "B"})
    in_order = named(named(STATE, *early, when=1.0), *late, when=2.0)
    swapped = named(named(STATE, *late, when=2.0), *early, when=1.0)
    for state in (in_order, swapped):
        assert state.names == {"A": "Ada Late", "B": "Bo"}
        assert state.merged == {"C": "B"}
        assert state.said == {"A": 2.0, "B": 1.0, "C": 2.0}


def test_the_same_once_more_changes_nothing() -> None:
    once = named(STATE, {"A": "Ada"}, {"B": "A"}, when=1.0)
    assert named(once, {"A": "Ada"}, {"B": "A"}, when=1.0) == once


def test_what_was_corrected_before_others_were_named_is_still_corrected() -> None:
    """Each label has a time of its own."""
    first = named(STATE, {"A": "Adda"}, {}, when=1.0)
    other = named(first, {"B": "Bo"}, {}, when=3.0)
    assert named(other, {"A": "Ada"}, {}, when=2.0).names == {"A": "Ada", "B": "Bo"}


def test_a_name_or_a_merge_is_taken_back_late() -> None:
    known = named(STATE, {"A": "Ada"}, {"B": "A"}, when=1.0)
    known = named(known, {"C": "Cy"}, {}, when=3.0)
    back = named(known, {"A": ""}, {"B": ""}, when=2.0)
    assert back.names == {"A": "", "C": "Cy"}
    assert back.merged == {}


def test_a_merge_that_would_go_round_in_circles_gives_way_to_the_later_one() -> None:
    in_order = named(named(STATE, {}, {"A": "B"}, when=1.0), {}, {"B": "A"}, when=2.0)
    swapped = named(named(STATE, {}, {"B": "A"}, when=2.0), {}, {"A": "B"}, when=1.0)
    assert in_order.merged == swapped.merged == {"B": "A"}
