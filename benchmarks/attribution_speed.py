"""Speed of attribution: `python -m benchmarks.attribution_speed [--whisperx FILE] [--words N] [--turns N]`.

100,000 words over 5,000 turns, with 5 speakers, gaps and overlaps, against what whisperX's
`assign_word_speakers` does on the same input. whisperX needs torch, so its two algorithms are written here
from their description, with the same data structures: up to 2025 a pandas frame of all turns that is
intersected whole with every segment and every word; since 2026 (pull request 1338) arrays sorted by start, of
which every query filters the part that starts before its end. `--whisperx whisperx/diarize.py` of a checkout
times the real function instead of the second.

The first algorithm takes minutes, so it runs on a share of the words (its time is proportional to their
number, as every word costs one pass over all turns) and its full time is extrapolated, which the table says.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import tracemalloc
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # its types are a package apart

from benchmarks.attribution_rules import segments
from core.attribution import attribute
from core.model import SpeakerTurn, Word

_BORROWED = (
    "device",
    "Pipeline",
    "load_audio",
    "SAMPLE_RATE",
    "TranscriptionResult",
    "AlignedTranscriptionResult",
    "ProgressCallback",
)

Segments = list[dict[str, Any]]
Assign = Callable[["pd.DataFrame", Segments], None]


def recording(words: int, turns: int, seed: int = 0) -> tuple[list[Word], list[SpeakerTurn]]:
    """A long meeting: every turn has about the same number of words; starts are sorted."""
    rng = random.Random(seed)
    spoken: list[Word] = []
    found: list[SpeakerTurn] = []
    now = 0.0
    for i in range(turns):
        start = now
        count = words * (i + 1) // turns - words * i // turns
        for k in range(count):
            end = now + rng.uniform(0.08, 0.45)
            final = k == count - 1 or rng.random() < 0.1
            text = rng.choice(("so", "we", "think", "remote", "controls", "budget", "and", "question"))
            spoken.append(Word(start=now, end=end, text=text + "." * final))
            now = end + (rng.uniform(0.1, 0.8) if rng.random() < 0.08 else 0.0)
        found.append(
            SpeakerTurn(start=start - 0.05, end=now + 0.05, speaker=f"SPEAKER_{rng.randrange(5):02}")
        )
        now += rng.uniform(-0.3, 0.6)
    spoken.sort(key=lambda word: word.start)
    return spoken, found


def as_segments(words: Sequence[Word]) -> Segments:
    return [
        {
            "start": words[group[0]].start,
            "end": words[group[-1]].end,
            "words": [{"word": words[i].text, "start": words[i].start, "end": words[i].end} for i in group],
        }
        for group in segments(words)
    ]


def by_frame(frame: pd.DataFrame, spoken: Segments) -> None:
    """The shape of whisperX until 2025: intersect all turns with each segment and each word in pandas."""
    for segment in spoken:
        for each in (segment, *segment["words"]):
            frame["shared"] = np.minimum(frame["end"], each["end"]) - np.maximum(
                frame["start"], each["start"]
            )
            hit = frame[frame["shared"] > 0]
            if len(hit):
                each["speaker"] = hit.groupby("speaker")["shared"].sum().sort_values(ascending=False).index[0]


def by_prefix(frame: pd.DataFrame, spoken: Segments) -> None:
    """The shape of whisperX since 2026: of the turns starting before the end, filter those still going on."""
    ordered = frame.sort_values("start", kind="stable")
    starts, ends = ordered["start"].to_numpy(), ordered["end"].to_numpy()
    speakers = ordered["speaker"].tolist()
    for segment in spoken:
        for each in (segment, *segment["words"]):
            stop = np.searchsorted(starts, each["end"], side="left")
            totals: dict[str, float] = {}
            for i in np.flatnonzero((starts[:stop] < each["end"]) & (ends[:stop] > each["start"])):
                shared = min(ends[i], each["end"]) - max(starts[i], each["start"])
                totals[speakers[i]] = totals.get(speakers[i], 0.0) + shared
            if totals:
                each["speaker"] = max(totals, key=totals.__getitem__)


def real_whisperx(path: Path) -> Assign:
    """The function from a checkout's `whisperx/diarize.py`, its imports of torch and pyannote stood in for:
    the function itself uses neither."""
    for name in ("torch", "pyannote.audio", "whisperx.audio", "whisperx.schema", "whisperx.log_utils"):
        stand_in = types.ModuleType(name)
        for wanted in _BORROWED:
            setattr(stand_in, wanted, object)
        vars(stand_in)["get_logger"] = lambda _name: None
        sys.modules.setdefault(name, stand_in)
    module = types.ModuleType("whisperx_diarize")
    exec(compile(path.read_text("utf-8"), str(path), "exec"), vars(module))  # the checkout the caller names

    def assign(frame: pd.DataFrame, spoken: Segments) -> None:
        vars(module)["assign_word_speakers"](frame, {"segments": spoken})

    return assign


def timed(work: Callable[[], object], *, rounds: int) -> tuple[float, float]:
    """Least processor seconds of some rounds (what else the machine does is not counted), and the peak in
    megabytes of one more round under tracemalloc."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return best, peak / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description="Time attribution against whisperX's algorithms.")
    parser.add_argument("--words", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=5_000)
    parser.add_argument(
        "--whisperx", type=Path, help="whisperx/diarize.py of a checkout: time the real function"
    )
    options = parser.parse_args()
    if options.whisperx and not options.whisperx.is_file():
        print(
            f"There is no file {options.whisperx}: name whisperx/diarize.py of a checkout.", file=sys.stderr
        )
        return 2
    words, turns = recording(options.words, options.turns)
    frame = pd.DataFrame([{"start": t.start, "end": t.end, "speaker": t.speaker} for t in turns])
    print(f"{len(words)} words, {len(turns)} turns, {words[-1].end / 3600:.1f} h\n")
    print("| algorithm | processor seconds | words per second | peak MB | |\n|---|---:|---:|---:|---|")

    def row(name: str, seconds: float, peak: float, note: str = "") -> None:
        print(f"| {name} | {seconds:.2f} | {len(words) / seconds:,.0f} | {peak:.0f} | {note} |", flush=True)

    seconds, peak = timed(lambda: attribute(words, turns, overlapping=True), rounds=3)
    row("ours", seconds, peak, "a path through the whole recording, utterances built and overlaps marked")
    prefix = real_whisperx(options.whisperx) if options.whisperx else by_prefix
    note = "the real function" if options.whisperx else "written from its description"
    seconds, peak = timed(lambda: prefix(frame, as_segments(words)), rounds=1)
    row("whisperX since 2026, sorted arrays", seconds, peak, note)
    part = as_segments(words)[: max(1, len(as_segments(words)) // 100)]
    share = sum(len(segment["words"]) for segment in part) / len(words)
    seconds, peak = timed(lambda: by_frame(frame, part), rounds=1)
    row(
        "whisperX until 2025, whole frame per word",
        seconds / share,
        peak,
        f"extrapolated from {share:.1%} of the words",
    )
    crowd = [SpeakerTurn(start=i / 1e4, end=words[-1].end - i / 1e4, speaker=f"s{i}") for i in range(20_000)]
    seconds, peak = timed(lambda: attribute(words, crowd, overlapping=True), rounds=1)
    row("ours, 20,000 speakers all at once", seconds, peak, "the worst case that turns can make")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
