"""What counts as the same word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.evaluation.wording import Normalizer, Unit, basic, tokens, unit_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, World!", "hello world"),
        ("I don't — really", "i don't really"),
        ("don\u2019t DON\uff07T", "don't don't"),
        ("'Kay, the dogs' 'quoted'", "kay the dogs quoted"),
        ("wi-fi and/or C++", "wi fi and or c"),
        ("3.5 cost $1,000 at 10:30.", "3.5 cost 1,000 at 10:30"),
        ("ﬁne ①", "fine 1"),
        ("[laughter] yes <unk> [loud noise] no", "yes no"),
        ("a < b and c > d", "a b and c d"),
        ("Straße ÉCOLE İ", "straße école i̇"),
        ("soft\u00adhyphen zero\u200bwidth", "softhyphen zerowidth"),
        ("naïve = nai\u0308ve", "naïve naïve"),
        ("ok 👍🏽 …", "ok"),
        ("हिन्दी", "हिन्दी"),
        ("   ", ""),
    ],
)
def test_basic(text: str, words: str) -> None:
    assert tokens(text, Normalizer.BASIC, Unit.WORD) == words.split()


def test_none_leaves_everything_as_it_is() -> None:
    assert tokens("Hello, [x] World!", Normalizer.NONE, Unit.WORD) == ["Hello,", "[x]", "World!"]


def test_characters_leave_spaces_out() -> None:
    assert tokens("今天 天气。", Normalizer.BASIC, Unit.CHARACTER) == ["今", "天", "天", "气"]


@pytest.mark.parametrize(
    ("texts", "unit"),
    [
        (["hello there"], Unit.WORD),
        (["안녕하세요 여러분"], Unit.WORD),
        (["今天天气很好"], Unit.CHARACTER),
        (["きょうはいい天気"], Unit.CHARACTER),
        (["สวัสดีครับ"], Unit.CHARACTER),
        (["ok", "今天天气很好 iPhone"], Unit.WORD),
        (["今天天气很好", "ok"], Unit.CHARACTER),
        (["123"], Unit.WORD),
        ([], Unit.WORD),
    ],
)
def test_the_unit_follows_the_script(texts: list[str], unit: Unit) -> None:
    assert unit_of(texts) is unit


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = " ".join(tokens(text, Normalizer.BASIC, Unit.WORD))
    assert " ".join(tokens(once, Normalizer.BASIC, Unit.WORD)) == once


@given(st.text(alphabet="[<]>' .a"))
def test_marks_never_survive(text: str) -> None:
    assert not set(basic(text)) & set("[]<>")
