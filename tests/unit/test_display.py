"""What people see of progress: parts of the way, time left, bars and lines."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from core.commands.display import Bars, Lines
from core.model import Stage
from core.pace import Pace, overall

ORDER = list(Stage)
fractions = st.none() | st.floats(0, 1)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(a=st.tuples(st.sampled_from(ORDER), fractions), b=st.tuples(st.sampled_from(ORDER), fractions))
def test_a_later_stage_is_never_behind_an_earlier_one(
    a: tuple[Stage, float | None], b: tuple[Stage, float | None]
) -> None:
    assert 0 <= overall(*a) <= 1
    if ORDER.index(a[0]) < ORDER.index(b[0]) or (a[0] == b[0] and (a[1] or 0) <= (b[1] or 0)):
        assert overall(*a) <= overall(*b)


def test_fractions_beyond_their_range_stay_within_the_stage() -> None:
    assert overall(Stage.RECOGNISING, 7) == overall(Stage.RECOGNISING, 1)
    assert overall(Stage.RECOGNISING, -1) == overall(Stage.RECOGNISING, 0)


def test_the_time_left_follows_from_the_pace_of_recognition() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.update(Stage.DECODING, 0.5)
    clock.now += 50
    assert pace.seconds_left() is None  # decoding says nothing about recognition
    pace.update(Stage.RECOGNISING, 0.0)
    clock.now += 20
    assert pace.seconds_left() is None
    pace.update(Stage.RECOGNISING, 0.25)
    assert pace.seconds_left() == pytest.approx(60)
    clock.now += 15
    assert pace.seconds_left() == pytest.approx(45)  # it counts down between two reports
    clock.now += 300
    assert pace.seconds_left() is None  # late: nobody can tell


def test_a_stage_that_has_just_begun_gives_no_estimate() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.update(Stage.RECOGNISING, 0.0)
    clock.now += 0.1
    pace.update(Stage.RECOGNISING, 0.5)
    assert pace.seconds_left() is None


def test_lines_come_at_each_stage_and_from_time_to_time() -> None:
    clock, stream = Clock(), io.StringIO()
    with Lines(stream, clock) as lines:
        lines.progress("1", "a.wav", Stage.QUEUED, None)
        lines.progress("1", "a.wav", Stage.DECODING, 0.0)
        for step in range(101):
            lines.progress("1", "a.wav", Stage.RECOGNISING, step / 100)
            clock.now += 1
        lines.progress("1", "a.wav", Stage.WRITING, None)
        lines.end("1", "✓ a.wav")
    said = stream.getvalue().splitlines()
    assert said[:2] == ["a.wav: decoding", "a.wav: recognising"]
    assert said[-1] == "✓ a.wav"
    assert 4 <= len(said) <= 14
    assert said[2].startswith("a.wav: recognising, ")
    assert said[2].endswith(" left")


def test_names_can_neither_drive_the_terminal_nor_forge_a_line() -> None:
    stream = io.StringIO()
    with Lines(stream) as lines:
        lines.progress("1", "a\x1b[2J\n✓ b.wav", Stage.DECODING, 0.0)
        lines.end("1", "✗ a\n✓ c.wav")
    assert "\x1b" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 2


def drawn(bars: Bars, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=100, height=height, force_terminal=False)
    with console.capture() as capture:
        console.print(bars.picture())
    return [line.rstrip() for line in capture.get().splitlines() if line.strip()]


def terminal(height: int = 24) -> Console:
    return Console(file=io.StringIO(), width=100, height=height, force_terminal=True, _environ={})


def test_a_bar_shows_name_stage_share_and_time_left() -> None:
    clock = Clock()
    bars = Bars(terminal(), clock)
    bars.progress("1", "[bold]meeting[/].m4a", Stage.RECOGNISING, 0.0)
    clock.now += 30
    bars.progress("1", "[bold]meeting[/].m4a", Stage.RECOGNISING, 0.5)
    (line,) = drawn(bars, 24)
    assert line.startswith("[bold]meeting[/].m4a recognising ")
    assert " 53% " in line
    assert line.endswith("0:30 left")


def test_many_recordings_fit_the_terminal_and_the_rest_is_counted() -> None:
    bars = Bars(terminal(height=10))
    for number in range(300):
        stage = Stage.RECOGNISING if number < 20 else Stage.QUEUED
        bars.progress(str(number), f"{number}.wav", stage, 0.1)
    lines = drawn(bars, 10)
    assert len(lines) == 7
    assert lines[-1] == "294 more waiting"


def test_what_is_over_leaves_its_line_and_no_bar() -> None:
    console = terminal()
    with Bars(console) as bars:
        bars.progress("1", "a.wav", Stage.RECOGNISING, 0.5)
        bars.end("1", "✓ a.wav [red]as it is[/]")
        with bars.aside():
            pass
        assert drawn(bars, 24) == []
    assert isinstance(console.file, io.StringIO)
    assert "✓ a.wav [red]as it is[/]\n" in console.file.getvalue()
