"""Answers that are good for a while."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from core.fresh import Fresh


@dataclass
class Asking:
    """Somebody who is asked, at a time that the test sets."""

    now: float = 0.0
    asked: list[str] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def get(self, fresh: Fresh[str], key: str) -> str:
        async def answer() -> str:
            self.asked.append(key)
            if key == "nobody":
                raise LookupError(key)
            return key.upper()

        return await fresh.get(key, answer)


async def test_what_is_fresh_is_not_asked_for_again() -> None:
    clock = Asking()
    fresh = Fresh[str](10.0, clock)
    for clock.now in (0.0, 9.9, 10.0, 19.9):
        assert await clock.get(fresh, "a") == "A"
    assert clock.asked == ["a", "a"]


async def test_a_failure_is_not_remembered() -> None:
    clock = Asking()
    fresh = Fresh[str](10.0, clock)
    for _ in range(2):
        with pytest.raises(LookupError):
            await clock.get(fresh, "nobody")
    assert clock.asked == ["nobody", "nobody"]


async def test_what_was_dropped_is_asked_for_again() -> None:
    clock = Asking()
    fresh = Fresh[str](10.0, clock)
    fresh.drop("a")
    await clock.get(fresh, "a")
    fresh.drop("a")
    await clock.get(fresh, "a")
    assert clock.asked == ["a", "a"]


async def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.fresh._MOST", 3)
    clock = Asking()
    fresh = Fresh[str](10.0, clock)
    for key in "abcda":
        assert await clock.get(fresh, key) == key.upper()
    assert clock.asked == ["a", "b", "c", "d", "a"]
    await clock.get(fresh, "d")
    assert len(clock.asked) == 5
