"""Pieces as one text: nothing doubled, nothing lost."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from core.cutting import Pause, Piece, plan
from core.joining import join, shifted
from core.model import Word

VOCABULARY = ("so", "the", "plan", "is", "to", "ship", "on", "Friday,", "no", "yes", "and", "why?", "ok.")


@st.composite
def speech(draw: st.DrawFn) -> list[Word]:
    """Words in a row, with and without pauses."""
    words, at = [], 0.0
    for _ in range(draw(st.integers(min_value=1, max_value=400))):
        at += draw(st.sampled_from([0.0, 0.02, 0.05, 0.3, 1.0]))
        length = draw(st.floats(min_value=0.08, max_value=0.7))
        words.append(Word(start=at, end=at + length, text=draw(st.sampled_from(VOCABULARY))))
        at += length
    return words


def heard(piece: Piece, words: list[Word]) -> list[Word]:
    """What a recogniser makes of a piece: a word that the edge cuts is misheard or not heard at all."""
    found = []
    for number, word in enumerate(words):
        if word.start >= piece.start and word.end <= piece.end:
            found.append(word)
        elif word.end > piece.start and word.start < piece.end and number % 2:
            start, end = max(word.start, piece.start), min(word.end, piece.end)
            found.append(Word(start=start, end=end, text="<cut>"))
    return found


def pauses_in(words: list[Word]) -> list[Pause]:
    return [
        Pause(at=(one.end + two.start) / 2, length=two.start - one.end)
        for one, two in itertools.pairwise(words)
        if two.start - one.end >= 0.16
    ]


@settings(deadline=None)
@given(speech(), st.booleans())
def test_joined_pieces_are_the_whole(words: list[Word], pausing: bool) -> None:
    seconds = words[-1].end
    pieces = plan(seconds, 60.0, pauses_in(words) if pausing else [])
    joined = join([(piece, heard(piece, words)) for piece in pieces])
    assert list(joined) == words


def test_where_they_agree_on_nothing_the_middle_decides() -> None:
    left, right = (
        Piece(start=0, end=13, keep_from=0, keep_to=10),
        Piece(start=7, end=20, keep_from=10, keep_to=20),
    )
    ours = [Word(start=8, end=8.5, text="alpha"), Word(start=11, end=11.5, text="beta")]
    theirs = [Word(start=8, end=8.5, text="gamma"), Word(start=11, end=11.5, text="delta")]
    assert [word.text for word in join([(left, ours), (right, theirs)])] == ["alpha", "delta"]


def test_times_of_the_same_word_may_differ() -> None:
    left, right = (
        Piece(start=0, end=13, keep_from=0, keep_to=10),
        Piece(start=7, end=20, keep_from=10, keep_to=20),
    )
    ours = [
        Word(start=9, end=9.3, text="we"),
        Word(start=9.4, end=9.9, text="Ship"),
        Word(start=12.8, end=13, text="fr"),
    ]
    theirs = [
        Word(start=9.3, end=9.8, text="ship"),
        Word(start=10.1, end=10.4, text="it"),
        Word(start=12.7, end=13.2, text="Friday"),
    ]
    assert [word.text for word in join([(left, ours), (right, theirs)])] == ["we", "Ship", "it", "Friday"]


def test_a_missing_piece_leaves_the_others_alone() -> None:
    parts = [Piece(start=n * 10, end=n * 10 + 10, keep_from=n * 10, keep_to=n * 10 + 10) for n in (0, 2)]
    words = [(part, [Word(start=part.start + 1, end=part.start + 2, text="x")]) for part in parts]
    assert [word.start for word in join(words)] == [1, 21]
    assert join([]) == ()


def test_shifted() -> None:
    assert shifted([Word(start=1, end=2, text="x")], 10) == (Word(start=11, end=12, text="x"),)


def test_a_word_that_is_said_again_later_is_no_seam() -> None:
    left = Piece(start=0, end=13, keep_from=0, keep_to=10)
    right = Piece(start=7, end=20, keep_from=10, keep_to=20)
    ours, theirs = (
        [Word(start=7.2 + n, end=7.6 + n, text=text) for n, text in enumerate(said)]
        for said in (["the", "cat", "sat", "on", "a", "mat"], ["x", "y", "z", "w", "v", "the"])
    )
    texts = [word.text for word in join([(left, ours), (right, theirs)])]
    assert texts == ["the", "cat", "sat", "w", "v", "the"]
