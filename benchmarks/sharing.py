"""What platforms have in common in whose stand-ins people share recordings: `slack_load` and `teams_load`.

Each runs in a process of its own and speaks with its benchmark (`platforms`) in lines of JSON: first it says
with which settings a service is to be started; then it reads where that service is, says when people begin to
share and when they have, and in the end what came of it.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import random
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

import av

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "meeting.m4a"

TOLD_TWICE = 0.25
"""Of what a platform tells the service: that is delivered twice under the same id."""

_PATIENCE = 420.0  # seconds without news after which what is missing counts as lost
_AFTERWARDS = 10.0  # seconds in which a second answer would show
_EVERY = 0.01

Shared = TypeVar("Shared")


def times(rate: float, minutes: float, seed: int) -> list[float]:
    """When people share, in seconds from the beginning: `rate` a minute on average, at random."""
    chance = random.Random(seed)
    count = round(rate * minutes)
    gaps = [chance.expovariate(1) for _ in range(count)]
    scale = 60 * minutes / sum(gaps)
    return list(accumulate(scale * gap for gap in gaps))


def made_recording(seconds: float) -> bytes:
    """The sample meeting over and over, as the phones of today record: AAC in MP4, here at 24 kbit/s."""
    into = io.BytesIO()
    with av.open(into, "w", format="mp4") as target:
        stream = target.add_stream("aac", rate=16000, layout="mono", bit_rate=24000)
        done = 0
        while done < seconds * 16000:
            for part in _samples():
                if done >= seconds * 16000:
                    break
                part.pts = done
                done += part.samples
                target.mux(stream.encode(part))
        target.mux(stream.encode(None))
    return into.getvalue()


def _samples() -> Iterator[av.AudioFrame]:
    with av.open(str(SAMPLE)) as source:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=16000)
        for frame in source.decode(audio=0):
            yield from resampler.resample(frame)


def another(recording: bytes, number: int) -> bytes:
    """The same sound in other bytes, so that it is recognised anew: a box that players skip."""
    return recording + struct.pack(">I4sQ", 16, b"free", number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a share: seconds to the first reply and to the transcript (None: never came), how many
    messages and files are there once too often, whether the answer is that it failed, and whether the files
    are those that there should be."""

    replied: float | None
    transcribed: float | None
    surplus: int
    failed: bool
    complete: bool

    @property
    def lost(self) -> bool:
        return self.transcribed is None or not self.complete


class Lateness:
    """By how much this process is late itself, which acknowledgements are measured with, in `seconds`."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(_EVERY)
            self.seconds.append(max(0.0, time.monotonic() - began - _EVERY))


async def at_their_times(when: Sequence[float], share: Callable[[int], Awaitable[None]]) -> None:
    """Call `share` with the number of each share when it is due, one after another."""
    began = time.monotonic()
    for number, at in enumerate(when):
        await asyncio.sleep(max(0.0, began + at - time.monotonic()))
        await share(number)


async def settle(
    shared: Iterable[Shared],
    look: Callable[[Shared], Outcome],
    news: Callable[[], int],
    let_go: Callable[[Shared], None],
) -> None:
    """Wait until every share is answered, or nothing has happened for too long.

    `look` tells how a share is, `news` how much has happened so far; `let_go` is called with each share that
    is answered, since nobody fetches its recording any more, and there are many.
    """
    waiting = list(shared)
    seen, changed = 0, time.monotonic()
    while waiting and time.monotonic() - changed < _PATIENCE:
        await asyncio.sleep(1.0)
        if (now := news()) > seen:
            seen, changed = now, time.monotonic()
        for each in list(waiting):
            found = look(each)
            if found.failed or not found.lost:
                let_go(each)
                waiting.remove(each)
    await asyncio.sleep(_AFTERWARDS)


def tell(**said: object) -> None:
    """Say something to the benchmark."""
    print(json.dumps(said), flush=True)


async def answer() -> str:
    """What the benchmark says."""
    line: str = await asyncio.to_thread(sys.stdin.readline)
    return line.strip()


def arguments(description: str) -> argparse.ArgumentParser:
    """What every stand-in is told on its command line."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--rate", type=float, default=200, help="shares a minute")
    parser.add_argument("--minutes", type=float, default=3, help="for which people share")
    parser.add_argument("--seconds", type=float, default=900, help="length of a recording")
    parser.add_argument("--seed", type=int, default=1)
    return parser
