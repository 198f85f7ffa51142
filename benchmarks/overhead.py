"""What everything but recognition costs: `python -m benchmarks.overhead [--hours N] [--write]`.

Recordings of 1 minute to 4 hours are dropped into the inbox of the real service (its own process, its own
Valkey, its decoder in a child process). Only recognition is replaced, by `quick_engine`: as many words and
speaker turns as a talk of that length has, at next to no cost. The floor is `ffmpeg` decoding the same file
to the same 16 kHz mono WAV.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median

import av

from benchmarks.machine import describe
from benchmarks.service import SETTLE_SECONDS, Peaks, Service, Trouble
from benchmarks.tables import megabytes, publish, seconds, table
from benchmarks.tracing import Span

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "meeting.m4a"
_PATIENCE = 600.0
_WORDS_OF_4_HOURS = 36_000
_EXPLANATION = (
    "*Noticed* comes before the overhead above: how long after it was complete the file was first looked "
    "into. *Rest* is what happens between the stages: claims, heartbeats, working directories, audit."
)

COLUMNS: dict[str, tuple[str, ...]] = {
    "hash at the door": ("door hash",),
    "submit": ("submit",),
    "fetch": ("fetch",),
    "hash again": ("hash",),
    "decode": ("decode",),
    "attribution": ("attribute", "label"),
    "store result": ("pack", "commit"),
    "load result": ("unpack",),
    "render": ("render",),
}
"""Columns of the table of stages, and the traced calls behind each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Of one recording, in seconds. `total` runs from the first look into the complete file until its
    outputs are in place, less recognition; `noticed` is how long after it was complete that first look came.
    `waits` is the time between two hands: submitted or committed until a worker began."""

    total: float
    noticed: float
    stages: dict[str, float]
    placing: float
    waits: float

    @property
    def rest(self) -> float:
        """What no column accounts for: coordination, working directories, audit."""
        return self.total - sum(self.stages.values()) - self.placing - self.waits


def costs(dropped: float, spans: Sequence[Span]) -> Costs:
    """What the traced stages of one recording add up to. Raises ValueError if it was not delivered."""

    def total(*names: str) -> float:
        return sum(span.seconds for span in spans if span.name in names)

    first = min(span.began for span in spans if span.name == "door hash")
    last = max((span.ended for span in spans if span.name == "deliver"), default=None)
    if last is None:
        raise ValueError("this recording was not delivered")
    waits, since = 0.0, 0.0
    for span in sorted(spans, key=lambda span: span.began):
        if span.name in ("submit", "commit", "again"):
            since = span.ended
        elif span.name == "begin":
            waits += max(0.0, span.began - since)
    return Costs(
        total=last - first - total("transcribe"),
        noticed=first - dropped - SETTLE_SECONDS,
        stages={column: total(*names) for column, names in COLUMNS.items()},
        placing=total("deliver") - total("render"),
        waits=waits,
    )


def middle(found: Sequence[Costs]) -> Costs:
    """The median of every figure."""
    return Costs(
        total=median(each.total for each in found),
        noticed=median(each.noticed for each in found),
        stages={column: median(each.stages[column] for each in found) for column in COLUMNS},
        placing=median(each.placing for each in found),
        waits=median(each.waits for each in found),
    )


def make_recording(path: Path, length: float, skip: int) -> None:
    """`length` seconds of the sample meeting over and over, beginning at its packet `skip`, never re-encoded.

    A different `skip` makes different bytes.
    """
    with av.open(str(SAMPLE)) as source:
        stream = source.streams.audio[0]
        rate = stream.codec_context.sample_rate
        packets = [bytes(packet) for packet in source.demux(stream) if packet.size]
        with av.open(str(path), "w", format="ipod") as target:
            output = target.add_stream_from_template(stream)
            samples = stream.codec_context.frame_size or 1024
            for i in range(round(length * rate / samples)):
                packet = av.Packet(packets[(i + skip) % len(packets)])
                packet.time_base = Fraction(1, rate)
                packet.pts = packet.dts = i * samples
                packet.duration = samples
                packet.stream = output
                target.mux(packet)


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """What ffmpeg took: seconds and peak bytes."""

    seconds: float
    peak: int | None


def floor(source: Path, into: Path, runs: int) -> Floor | None:
    """Decode with ffmpeg, the median of `runs`; None where it is not installed."""
    program = shutil.which("ffmpeg")
    if program is None:
        return None
    took: list[float] = []
    peaks: list[int] = []
    command = [program, "-nostdin", "-v", "error", "-y", "-i", str(source), "-ac", "1", "-ar", "16000"]
    for _ in range(runs):
        began = time.monotonic()
        process = subprocess.Popen([*command, str(into)])
        with Peaks(process.pid, {}, every=0.005) as memory:
            process.wait()
            took.append(time.monotonic() - began)
        if process.returncode:
            raise Trouble(f"ffmpeg ended with status {process.returncode}.")
        peaks += memory.bytes.values()
        into.unlink()
    return Floor(seconds=median(took), peak=max(peaks, default=None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Of one length; `peaks` by process, in bytes, `idle` that of the service before the first recording."""

    label: str
    runs: int
    megabytes: float
    costs: Costs
    floor: Floor | None
    idle: int | None
    peaks: dict[str, int]


def measure(label: str, length: float, runs: int, home: Path) -> Result:
    """`runs` recordings of `length` seconds, one after another, through a service that nobody used before."""
    source = home / "source.m4a"
    make_recording(source, length, 0)
    lowest = floor(source, home / "floor.wav", runs)
    found = []
    with Service(home / "service", METHODS="quick") as service:
        roles = {"core.child": "decoder", "valkey": "store", "redis": "store"}
        with Peaks(service.process.pid, roles) as memory:
            time.sleep(0.5)
            idle = memory.bytes.get("")
            for run in range(runs):
                if run:
                    make_recording(source, length, run)
                found.append(costs(*service.transcribe(source, f"recording{run}.m4a", _PATIENCE)))
    return Result(
        label=label,
        runs=runs,
        megabytes=source.stat().st_size / 1e6,
        costs=middle(found),
        floor=lowest,
        idle=idle,
        peaks=memory.bytes,
    )


def report(results: Sequence[Result], machine: str) -> str:
    """The page of results."""
    first = results[0]
    text = [
        "# Overhead of everything but recognition",
        "",
        "Made by `python -m benchmarks.overhead --write` on " + machine + ".",
        "",
        "From the first look into the complete file until all outputs (md, srt, json) are in place, through "
        "the real service with its own Valkey (`appendfsync always`); recognition is `quick_engine` (2.5 "
        "words a second, a speaker turn every 8 s), and its time is not counted. Nor is the time for which a "
        "file must not change before it counts as complete (`FOLDER_SETTLE_SECONDS`, 2 s unless set, "
        f"{SETTLE_SECONDS} s here). *ffmpeg* is plain `ffmpeg -i FILE -ac 1 -ar 16000 OUT.wav` on the same "
        "file" + ("." if first.floor else "; **it is not installed on this machine, so there is no floor.**"),
        "",
        "## Seconds and peak memory",
        "",
        table(
            [
                "m4a",
                "runs",
                "file MB",
                "overhead s",
                "ffmpeg s",
                "times ffmpeg",
                "of real time",
                "service MB idle",
                "service MB peak",
                "decoder MB",
                "ffmpeg MB",
                "store MB",
            ],
            [_main_row(each) for each in results],
        ),
        "",
        "Memory is the highest resident size (VmHWM) of each process; seconds are medians of the runs. "
        + growth(results),
        "",
        "## Where the seconds go",
        "",
        table(
            ["m4a", "noticed", *COLUMNS, "place outputs", "queue waits", "rest"],
            [_stage_row(each) for each in results],
        ),
        "",
        _EXPLANATION,
    ]
    return "\n".join(text)


def growth(results: Sequence[Result]) -> str:
    """By how much memory grows from 4 minutes to 4 hours, and what with; empty where either is missing."""
    short, long = (
        next((each for each in results if each.label == label), None) for label in ("4 minutes", "4 hours")
    )
    if short is None or long is None or not {"", "decoder"} <= short.peaks.keys() & long.peaks.keys():
        return ""
    decoder = long.peaks["decoder"] - short.peaks["decoder"]
    service = long.peaks[""] - short.peaks[""]
    peaks = (short.floor.peak if short.floor else None, long.floor.peak if long.floor else None)
    floor_grew = peaks[1] - peaks[0] if peaks[0] is not None and peaks[1] is not None else None
    return (
        f"From 4 minutes to 4 hours the decoder grows by {megabytes(decoder)} MB: no sound is held, but the "
        "table of all packets that an m4a file has, which the demuxer reads at once"
        + (f" (ffmpeg grows by {megabytes(floor_grew)} MB for the same reason)" if floor_grew else "")
        + f". The service grows by {megabytes(service)} MB, about {service / _WORDS_OF_4_HOURS:,.0f} bytes "
        "for each of the 36,000 words that the engine hands over: its words and turns, the utterances, the "
        "outputs, and, for as long as it runs, the paths that attribution considers."
    )


def _main_row(each: Result) -> list[str]:
    lowest = each.floor
    length = LENGTHS[each.label][0]
    return [
        each.label,
        str(each.runs),
        f"{each.megabytes:.1f}",
        seconds(each.costs.total),
        seconds(lowest.seconds) if lowest else "not installed",
        f"{each.costs.total / lowest.seconds:.1f}" if lowest else "-",
        f"1/{length / each.costs.total:.0f}",
        megabytes(each.idle),
        megabytes(each.peaks.get("")),
        megabytes(each.peaks.get("decoder")),
        megabytes(lowest.peak if lowest else None),
        megabytes(each.peaks.get("store")),
    ]


def _stage_row(each: Result) -> list[str]:
    found = each.costs
    figures = [found.noticed, *found.stages.values(), found.placing, found.waits, found.rest]
    return [each.label, *map(seconds, figures)]


LENGTHS: dict[str, tuple[float, int]] = {
    "1 minute": (60, 5),
    "4 minutes": (240, 3),
    "1 hour": (3600, 2),
    "4 hours": (4 * 3600, 1),
}
"""Seconds of audio, and how many recordings."""


def main() -> int:
    """Measure and show; exit status 1 if a recording was not transcribed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="replace the committed results")
    parser.add_argument("--hours", type=float, default=4, help="longest recording to measure (default 4)")
    options = parser.parse_args()
    machine = describe()
    results = []
    for label, (length, runs) in LENGTHS.items():
        if length <= 3600 * options.hours:
            print(f"{label} …", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(prefix="erni-overhead-") as home:
                try:
                    results.append(measure(label, length, runs, Path(home)))
                except Trouble as error:
                    print(error, file=sys.stderr)
                    return 1
    publish("overhead", report(results, machine), write=options.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
