"""What the benchmarks of methods and joins compute is what their pages say."""

from __future__ import annotations

import asyncio
import io
import random
import time
from itertools import pairwise

import av
import numpy as np
import pytest

from benchmarks import skipping
from benchmarks.fifty import family, role_of
from benchmarks.joins import by_time, fixed, hear, in_a_row, score, through
from benchmarks.made_up_talk import made_up_turns, made_up_words
from benchmarks.methods import Group, bound, ideal
from benchmarks.vendor_servers import Heard, ogg_seconds
from core.cutting import Piece
from core.model import Word


def heard(upload: float, recognition: float) -> Heard:
    return Heard(path="/", audio=10 * recognition, upload=upload, recognition=recognition)


def said(*texts: str) -> list[Word]:
    """A word every second, half a second long."""
    return [Word(start=number, end=number + 0.5, text=text) for number, text in enumerate(texts)]


def piece(start: float, end: float) -> Piece:
    return Piece(start=start, end=end, keep_from=start, keep_to=end)


def texts(words: tuple[Word, ...] | list[Word]) -> list[str]:
    return [word.text for word in words]


def test_ideal_is_the_slowest_piece_with_its_upload() -> None:
    fast = Group(heard=[heard(1, 10), heard(4, 8)], concurrency=8, per_minute=None)
    slow = Group(heard=[heard(2, 30)], concurrency=8, per_minute=None)
    assert fast.slowest == 12
    assert ideal([fast, slow], in_turn=False) == 32
    assert ideal([fast, slow], in_turn=True) == fast.slowest + 32
    assert ideal([], in_turn=False) == 0


@pytest.mark.parametrize(
    ("concurrency", "per_minute", "upload", "least"),
    [
        (100, None, 0.1, 10.1),  # the slowest piece
        (2, None, 0.1, 50.0),  # ten pieces of 10 s, two at once
        (100, 4, 0.1, 120.0),  # four, four and two, a minute apart
        (100, 10, 0.1, 10.1),  # all within the first minute
        (100, None, 3.0, 30.0),  # one line for all uploads
    ],
)
def test_bound_is_what_the_account_allows(
    concurrency: int, per_minute: int | None, upload: float, least: float
) -> None:
    group = Group(heard=[heard(upload, 10)] * 10, concurrency=concurrency, per_minute=per_minute)
    assert group.least == pytest.approx(least)
    assert bound([group, group], in_turn=False) == pytest.approx(least)
    assert bound([group, group], in_turn=True) == pytest.approx(2 * least)


def test_the_stand_in_hears_what_lies_within_and_spoils_what_is_cut() -> None:
    words = said("zero", "one", "two", "three")
    outcomes = {tuple(texts(hear(words, 1.25, 2.25, random.Random(seed)))) for seed in range(40)}
    assert outcomes == {(), ("-e",), ("tw-",), ("-e", "tw-")}
    assert texts(hear(words, 0, 4, random.Random(1))) == texts(words)
    found = hear(words, 0.75, 3.75, random.Random(1))
    assert texts(found) == ["one", "two", "three"]
    assert [word.start for word in found] == sorted(word.start for word in found)
    assert found != words[1:]


def test_errors_are_counted_by_kind() -> None:
    found = score(said("a", "b", "c", "d"), said("a", "x", "c", "d", "d"))
    assert (found.words, found.missed, found.added, found.changed) == (4, 0, 1, 1)
    assert found.rate == 0.5
    both = found + score(said("a", "b"), said("b"))
    assert (both.words, both.missed, both.errors) == (6, 1, 3)


def test_naive_pieces_have_the_limit_and_the_overlap() -> None:
    assert [(p.start, p.end) for p in fixed(70, 30, 0)] == [(0, 30), (30, 60), (60, 70)]
    assert [(p.start, p.end) for p in fixed(70, 30, 6)] == [(0, 30), (24, 54), (48, 70)]
    assert [(p.start, p.end) for p in fixed(30, 30, 6)] == [(0, 30)]


def test_naive_joins_double_or_halve_the_overlap() -> None:
    words = said(*"abcdefgh")
    parts = [(piece(0, 5), words[:5]), (piece(3, 8), words[3:])]
    assert texts(in_a_row(parts)) == list("abcdedefgh")
    assert texts(by_time(parts)) == list("abcdefgh")


def test_cuts_through_words_are_counted_once_each() -> None:
    words = said(*"abcdefgh")
    assert through([piece(0, 2.2), piece(2.2, 4.7), piece(4.7, 8)], words) == 1
    assert through([piece(0, 5.2), piece(3.2, 8)], words) == 1


def test_the_length_of_a_file_is_read_from_its_last_page() -> None:
    target = io.BytesIO()
    with av.open(target, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=16000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 32000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert ogg_seconds(b"--form\r\n" + target.getvalue() + b"\r\n--form--") == pytest.approx(2, abs=0.05)
    assert ogg_seconds(b"no audio") == 0


def test_made_up_talk_fills_the_recording_in_order() -> None:
    turns = made_up_turns(600)
    assert turns == made_up_turns(600)
    assert all(a.end < b.start for a, b in pairwise(turns))
    assert 560 < turns[-1].end < 600
    words = made_up_words(turns)
    assert [word.start for word in words] == sorted(word.start for word in words)
    assert len(words) == pytest.approx(2.5 * 600, rel=0.1)


def test_waiting_is_skipped_and_work_is_not() -> None:
    async def main(loop: skipping.SkippingLoop) -> tuple[float, float]:
        began = loop.time()
        await asyncio.gather(asyncio.sleep(3600), asyncio.sleep(1800))
        waited = loop.time() - began
        began = loop.time()
        async with asyncio.timeout(600):  # must not be skipped to while the thread is at work
            await asyncio.to_thread(time.sleep, 0.05)
        return waited, loop.time() - began

    waited, worked = skipping.run(main)
    assert waited == pytest.approx(3600, abs=30)
    assert 0.05 <= worked < 600


def test_processes_are_told_apart() -> None:
    assert role_of("/usr/bin/valkey-server unixsocket") == "store"
    assert role_of("python -P -c from core.child import serve").startswith("children")
    assert role_of("python -m benchmarks.lagged_service") == "service"
    assert family(0)[0] == 0
