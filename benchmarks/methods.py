"""How long the methods take: `python -m benchmarks.methods [--hours 1,4] [--methods ...] [--write]`.

Decoded recordings go through `core.hearing.listen`, with everything that a service has around it, to the
vendors' servers on this machine, which take as long as the real ones (`vendor_servers`). The clock is one to
one for all that this machine does and skips what is only waited for (`skipping`), so 4 hours of audio take
minutes here and no latency is scaled.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import _AsyncGeneratorContextManager  # what its base gives
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.io import wavfile  # type: ignore[import-untyped]  # ships no type hints

from benchmarks import machine
from benchmarks.overhead import SAMPLE
from benchmarks.skipping import Remembered, SkippingLoop, run
from benchmarks.tables import publish, table
from benchmarks.vendor_servers import Heard, Latency, fronted
from core.accounts import MemoryAccounts
from core.errors import ErniError
from core.hearing import Listener, listen
from core.media import decode
from core.methods import create_engines, listeners
from core.model import Audio, Hints, Transcript
from core.ports import Capabilities
from core.settings import Settings, load_settings
from core.studio import Studio

METHODS: dict[str, tuple[str, Mapping[str, str]]] = {
    "standard": ("standard", {}),
    "standard, text only": ("standard", {"OPENAI_TRANSCRIBE_MODEL": "gpt-transcribe"}),
    "standard, text only, larger account": (
        "standard",
        {
            "OPENAI_TRANSCRIBE_MODEL": "gpt-transcribe",
            "OPENAI_CONCURRENCY": "64",
            "OPENAI_PER_MINUTE": "5000",
        },
    ),
    "pyannoteai": ("pyannoteai", {}),
    "openai": ("openai", {}),
    "elevenlabs": ("elevenlabs", {}),
    "assemblyai": ("assemblyai", {}),
    "deepgram": ("deepgram", {}),
    "replicate": ("replicate", {}),
}
"""As the page calls it -> the method, and what is set for it."""

_TARGET = 0.15
_WARM_UP = 20.0  # seconds of audio that load what is imported with the first use


class OneAfterAnother(MemoryAccounts):
    """One request at a time, whoever it goes to."""

    def permit(
        self, account: str, *, concurrency: int, per_minute: int | None
    ) -> _AsyncGeneratorContextManager[None]:
        del concurrency, per_minute
        return super().permit("everybody" if account else "", concurrency=1, per_minute=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The requests that one engine was sent, and what its account allows."""

    heard: Sequence[Heard]
    concurrency: int
    per_minute: int | None

    @property
    def slowest(self) -> float:
        """Seconds of the slowest piece and its upload."""
        return max((one.seconds for one in self.heard), default=0.0)

    @property
    def least(self) -> float:
        """Seconds that all pieces take at least, within the account's limits and the bandwidth."""
        return max(
            self.slowest,
            sum(one.upload for one in self.heard),
            sum(one.recognition for one in self.heard) / self.concurrency,
            60.0 * (math.ceil(len(self.heard) / self.per_minute) - 1)
            if self.per_minute and self.heard
            else 0,
        )


def ideal(groups: Sequence[Group], *, in_turn: bool) -> float:
    """Seconds of the slowest single piece of all, with its upload; of both groups' slowest if one needs the
    other's result (`in_turn`)."""
    slowest = [group.slowest for group in groups]
    return sum(slowest) if in_turn else max(slowest, default=0.0)


def bound(groups: Sequence[Group], *, in_turn: bool) -> float:
    """Seconds below which no limit allows anything; `in_turn`: one group needs the other's result."""
    least = [group.least for group in groups]
    return sum(least) if in_turn else max(least, default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One recording through one method. `work` is what child processes took, by their module."""

    seconds: float
    transcript: Transcript
    groups: Sequence[Group]
    in_turn: bool
    refused: int
    work: Mapping[str, float]
    own: float

    @property
    def pieces(self) -> int:
        return sum(len(group.heard) for group in self.groups)


@dataclass(slots=True, kw_only=True)
class Measurement:
    """Runs recordings. `folder` is for files."""

    loop: SkippingLoop
    folder: Path
    remembered: Remembered
    latency: Latency = field(default_factory=Latency)

    async def through(self, audio: Audio, name: str, *, at_once: bool = True) -> Run:
        """`audio` by the method `name`, its pieces `at_once` or one after another."""
        method, extra = METHODS[name]
        async with fronted(self.latency, audio.seconds) as fronts:
            before = dict(os.environ)
            os.environ.update({"OPENAI_TRANSCRIBE_MODEL": "whisper-1", **fronts.environment, **extra})
            try:
                settings = load_settings(Settings, _env_file=None, data_dir=self.folder / "data")
                engines = create_engines(settings)
            finally:
                os.environ.clear()
                os.environ.update(before)
            kind = MemoryAccounts if at_once else OneAfterAnother
            accounts = kind(settings, forward=lambda: self.loop.ahead)
            [listener] = listeners((method,), engines)
            work = dict(self.remembered.seconds)
            began, processor = self.loop.time(), time.process_time()
            try:
                async with Studio(settings, accounts) as studio:
                    transcript = await listen(
                        audio,
                        content_key="benchmark",
                        hints=Hints(),
                        listeners=[listener],
                        longform=studio.longform(self.folder, "benchmark"),
                        detector=studio.detector,
                        progress=lambda _stage, _fraction: None,
                        fell_back=lambda _failed, _took_over: None,
                    )
                    seconds = self.loop.time() - began
            finally:
                for engine in engines.values():
                    await engine.close()
            return Run(
                seconds=seconds,
                transcript=transcript,
                groups=_groups(fronts.heard, listener),
                in_turn=not listener.transcriber.capabilities.word_times,
                refused=fronts.refused,
                work={
                    part: took - work.get(part, 0.0)
                    for part, took in self.remembered.seconds.items()
                    if took > work.get(part, 0.0)
                },
                own=time.process_time() - processor,
            )


def _groups(heard: Sequence[Heard], listener: Listener) -> list[Group]:
    paths = dict.fromkeys(one.path for one in heard)
    by_path = {path: [one for one in heard if one.path == path] for path in paths}

    def group(path: str, can: Capabilities) -> Group:
        return Group(heard=by_path[path], concurrency=can.concurrency, per_minute=can.per_minute)

    hears = listener.transcriber.capabilities
    if listener.diarizer is None:
        return [group(path, hears) for path in by_path]
    tells = listener.diarizer.capabilities
    return [group(path, tells if path == "/v1/diarize" else hears) for path in by_path]


def recording(path: Path, decoded: Path, seconds: float) -> Audio:
    """The sample meeting over and over, at another loudness each time."""
    rate, sound = wavfile.read(decoded)
    rng = np.random.default_rng(1)
    length = round(seconds * rate)
    parts: list[npt.NDArray[np.int16]] = []
    while sum(len(part) for part in parts) < length:
        parts.append((sound * rng.uniform(0.4, 1.0)).astype("<i2"))
    wavfile.write(path, rate, np.concatenate(parts)[:length])
    return Audio(path=path, seconds=seconds)


def row(label: str, name: str, audio: Audio, fast: Run, slow: Run | None) -> list[str]:
    """Of the page's table."""
    best, least = ideal(fast.groups, in_turn=fast.in_turn), bound(fast.groups, in_turn=fast.in_turn)
    after = slow.seconds if slow else fast.seconds
    return [
        label,
        name,
        str(fast.pieces),
        str(fast.refused),
        f"{fast.seconds:.0f}",
        f"1/{audio.seconds / fast.seconds:.1f}",
        f"{after:.0f}" if slow else "the same",
        f"{after / fast.seconds:.1f}",
        f"{best:.0f}",
        f"{100 * (fast.seconds / best - 1):+.0f} %",
        f"{least:.0f}",
        f"{100 * (fast.seconds / least - 1):+.0f} %",
        f"{fast.work.get('encoding', 0):.0f}",
        f"{fast.work.get('speech_presence', 0):.0f}",
        f"{fast.own:.0f}",
    ]


HEADER = (
    "audio",
    "method",
    "pieces",
    "refused",
    "seconds",
    "of the audio",
    "one after another, s",
    "times faster",
    "ideal, s",
    "over ideal",
    "bound, s",
    "over bound",
    "encoding, s",
    "detection, s",
    "loop, s",
)


async def measure(
    loop: SkippingLoop, folder: Path, hours: Sequence[float], methods: Sequence[str], latency: Latency
) -> list[list[str]]:
    """The rows of the page."""
    settings = load_settings(Settings, _env_file=None, data_dir=folder / "data")
    decoded = await decode(
        SAMPLE, folder, settings=settings, report=lambda _fraction: None, announced_name=SAMPLE.name
    )
    remembered = Remembered(loop, folder)
    (folder / "pieces").mkdir()
    restore = remembered.install()
    try:
        measurement = Measurement(loop=loop, folder=folder / "pieces", remembered=remembered, latency=latency)
        short = recording(folder / "short.wav", decoded.path, _WARM_UP)
        for name in methods:
            await measurement.through(short, name)
        rows = []
        for length in hours:
            audio = recording(folder / f"{length:g}h.wav", decoded.path, length * 3600)
            for name in methods:
                began = time.monotonic()
                try:
                    fast = await measurement.through(audio, name)
                except ErniError as error:
                    print(f"{length:g} h", name, error, file=sys.stderr, flush=True)
                    rows.append([f"{length:g} h", name, *["-"] * 2, "fails", *["-"] * (len(HEADER) - 5)])
                    continue
                slow = await measurement.through(audio, name, at_once=False) if fast.pieces > 1 else None
                rows.append(row(f"{length:g} h", name, audio, fast, slow))
                gaps = sum(said.gap for said in fast.transcript.utterances)
                words = sum(len(said.words) for said in fast.transcript.utterances)
                took = time.monotonic() - began
                print(*rows[-1], f"({words} words, {gaps} gaps, {took:.0f} s)", file=sys.stderr, flush=True)
                if fast.transcript.warnings:
                    print("  ", fast.transcript.warnings, file=sys.stderr, flush=True)
            audio.path.unlink()
        return rows
    finally:
        restore()


def report(rows: Sequence[Sequence[str]], described: str, latency: Latency) -> str:
    """The page of results."""
    low, high = latency.recognition
    setting = (
        f"Vendors' servers on this machine: {latency.bits_per_second / 1e6:.0f} Mbit/s to each service, "
        f"shared by what is sent to it at once; {low:g} to {high:g} s of recognition for a second of audio, "
        'drawn for each piece, from when its last byte is there; job interfaces say "running" until then. '
        f"{100 * latency.busy:.0f} % of requests are answered with 429 (Retry-After of 1 to 3 s), "
        f"{100 * latency.broken:.0f} % with 500. Accounts' limits are the default settings "
        "but where the row says otherwise."
    )
    return "\n".join(
        [
            "# Methods",
            "",
            f"Made by `python -m benchmarks.methods --write` on {described}.",
            "",
            setting,
            "",
            table(HEADER, rows),
            "",
            _EXPLANATION,
        ]
    )


_EXPLANATION = """\
**Seconds** go from decoded audio to the transcript (`core.hearing.listen`; decoding is in
[overhead.md](overhead.md)), by a clock that runs one to one while this machine is at work and skips what
everybody waits for. Nothing is scaled: latencies, pauses between questions, waits after 429 and 500, rate
limits and local work all count in full. What child processes were asked before on the same audio (encoding
the same piece, detecting speech) they are not asked again: the answer is copied, and the time that it took
the first time passes.

**Ideal** is the slowest single piece with its upload at full bandwidth: what infinitely many requests at
once and no local work would take. A model that gives text only hears the speakers' turns, so it has to wait
for them: there it is the slowest piece of each of the two, and their bounds add up. For methods that send one
piece, one after another is the same. **Bound** is what no client can beat with these accounts: also all bytes
through the bandwidth, all recognition in as many requests at once as the account allows, and no more of them
a minute than it allows. A turn a request is many requests, so the row with OpenAI's smallest paid account
(500 a minute, 16 at once: the defaults) is bound by it; the **larger account** allows 5,000 and 64.

**Encoding** and **detection** are seconds of child processes, two of each at once at most; **loop** is what
the process itself took, including the servers, which run in it. Before the first byte leaves, the piece is
encoded: for vendors that take 4 hours in one request, all of it."""


def main() -> int:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="replace the committed results")
    parser.add_argument("--hours", default="1,4", help="lengths of the recordings (default 1,4)")
    parser.add_argument("--methods", default="", help=f"of {', '.join(METHODS)}, separated by semicolons")
    options = parser.parse_args()
    chosen = [name.strip() for name in options.methods.split(";") if name.strip()] or list(METHODS)
    hours = [float(length) for length in options.hours.split(",")]
    described, latency = machine.describe(), Latency()
    with tempfile.TemporaryDirectory(prefix="erni-methods-") as folder:
        rows = run(lambda loop: measure(loop, Path(folder), hours, chosen, latency))
    publish("methods", report(rows, described, latency), write=options.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
