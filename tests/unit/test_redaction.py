"""What is kept out of logs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from core.redaction import Redactor, escape_controls


@given(st.text())
def test_escaped_text_is_one_harmless_line(text: str) -> None:
    escaped = escape_controls(text)
    assert len(escaped.splitlines()) <= 1
    escaped.encode()  # no lone surrogate is left
    assert not any(ord(character) < 32 for character in escaped)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert escape_controls(text) == text


@given(st.text(min_size=1), st.text(), st.text())
def test_no_learnt_secret_comes_through(secret: str, before: str, after: str) -> None:
    redact = Redactor()
    redact.learn(SecretStr(secret))
    result = redact(before + secret + after)
    assert secret not in result.replace("[redacted]", "")


def test_secrets_are_found_inside_settings() -> None:
    class Inner(BaseModel):
        key: SecretStr = SecretStr("inner-secret")

    class Outer(BaseModel):
        inner: Inner = Inner()
        several: tuple[SecretStr, ...] = (SecretStr("first-secret"), SecretStr("second-secret"))
        named: dict[str, SecretStr | None] = {"a": SecretStr("named-secret"), "b": None}
        name: str = "public"

    redact = Redactor()
    redact.learn(Outer())
    assert redact("inner-secret first-secret second-secret named-secret public") == (
        "[redacted] [redacted] [redacted] [redacted] public"
    )


def test_a_secret_that_holds_another_goes_as_a_whole() -> None:
    redact = Redactor()
    redact.learn(SecretStr("abc"), SecretStr("abcdef"))
    assert redact("abcdef") == "[redacted]"


def test_a_key_file_goes_line_by_line_too() -> None:
    redact = Redactor()
    redact.learn(SecretStr("-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END KEY-----"))
    assert redact("near MIIEvQIBADANBgkqhkiG9w0B") == "near [redacted]"


def test_an_empty_secret_changes_nothing() -> None:
    redact = Redactor()
    redact.learn(SecretStr(""))
    assert redact("all is well") == "all is well"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GET https://v.test/a?sig=x&y=z failed", "GET https://v.test/a?[redacted] failed"),
        ("see https://v.test/a#access_token=x.", "see https://v.test/a?[redacted]"),
        ("at rediss://:pw@db.test:6379/0", "at rediss://[redacted]@db.test:6379/0"),
        ("Authorization: Bearer abcdefghijklmnop123", "Authorization: Bearer [redacted]"),
        ("token xoxb-1234567890-abcdefghij", "token [redacted]"),
        ("key sk-proj-abcdefghijklmnop0123", "key [redacted]"),
        ("hf_abcdefghijklmnopqrst", "[redacted]"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "jwt [redacted]"),
    ],
)
def test_what_looks_like_a_secret_goes_unlearnt(text: str, expected: str) -> None:
    assert Redactor()(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a basic idea",
        "see https://v.test/path and mail@v.test",
        "why? because: 12:30",
        "job ab12cd34 took 1.5 s",
        "task-force hf-meeting sky-high",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert Redactor()(text) == text
