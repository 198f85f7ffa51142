"""Word errors that cutting adds: `python -m benchmarks.joins [--write]`.

Corpus speech of which the words and their times are known is put together to recordings of an hour. The real
planner cuts them, with pauses found in the real audio, or without any; a stand-in for a recogniser hears
exactly the words within each piece, except those that the cut goes through; the real join puts them together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from meeteval.wer.wer.siso import siso_word_error_rate  # type: ignore[import-untyped]  # ships no type hints
from scipy.io import wavfile  # type: ignore[import-untyped]  # ships no type hints

from benchmarks import machine
from benchmarks.tables import publish, table
from core.cutting import OVERLAP, Pause, Piece, plan, windows
from core.engines import pcm
from core.joining import join
from core.media import decode
from core.model import Audio, Word
from core.settings import Settings, load_settings
from core.uploads import Encoder

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"
LIMITS = (30.0, 60.0, 300.0, 1390.0)
SEEDS = range(5)

_SECONDS = 3600.0
_JITTER, _MOST_JITTER = 0.06, 0.2  # seconds: standard deviation, and the most, of a word's start
_GARBLED = 0.5  # of the words that a cut goes through; the others are not heard
_LONGEST_WORD = 0.2, 0.09  # seconds, and for each letter: the corpus has ends that include the pause after

Part = tuple[Piece, Sequence[Word]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A recording with its words in the order of their starts."""

    sound: npt.NDArray[np.int16]
    words: Sequence[Word]

    @property
    def seconds(self) -> float:
        return len(self.sound) / pcm.RATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Errors against the uncut recording. `cuts` are where pieces meet, `through` those that go through a
    word (where pieces overlap: at either end of the overlap)."""

    words: int = 0
    missed: int = 0
    added: int = 0
    changed: int = 0
    cuts: int = 0
    through: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})

    @property
    def errors(self) -> int:
        return self.missed + self.added + self.changed

    @property
    def rate(self) -> float:
        """Word error rate, 0 to 1 and more."""
        return self.errors / max(1, self.words)


def score(said: Sequence[Word], heard: Sequence[Word]) -> Score:
    """`heard` against `said`, by the fewest errors that turn one text into the other."""
    found = siso_word_error_rate(" ".join(w.text for w in said), " ".join(w.text for w in heard))
    return Score(
        words=len(said),
        missed=int(found.deletions),
        added=int(found.insertions),
        changed=int(found.substitutions),
    )


def hear(said: Sequence[Word], start: float, end: float, rng: random.Random) -> list[Word]:
    """What the stand-in hears of `said` between `start` and `end`: words that lie within, at times that are
    somewhat wrong; of words that `start` or `end` goes through a half, or nothing."""
    heard: list[Word] = []
    last = start
    for word in said:
        if word.end <= start or word.start >= end:
            continue
        text = word.text
        if word.start < start or word.end > end:
            if rng.random() >= _GARBLED:
                continue
            half = (len(text) + 1) // 2
            text = f"-{text[half:]}" if word.start < start else f"{text[:half]}-"
        off = max(-_MOST_JITTER, min(_MOST_JITTER, rng.gauss(0, _JITTER)))
        begins = min(max(word.start + off, last), end)
        last = begins
        heard.append(Word(start=begins, end=min(max(begins + 0.02, word.end + off), end), text=text))
    return heard


def fixed(seconds: float, longest: float, overlap: float) -> tuple[Piece, ...]:
    """Pieces of `longest` seconds, whatever is said, of which each begins `overlap` seconds before the last
    one's end."""
    pieces = []
    start = 0.0
    while True:
        end = min(seconds, start + longest)
        pieces.append(Piece(start=start, end=end, keep_from=start, keep_to=end))
        if end >= seconds:
            return tuple(pieces)
        start = end - overlap


def in_a_row(parts: Sequence[Part]) -> tuple[Word, ...]:
    """All words of one piece after those of the other."""
    return tuple(word for _, words in parts for word in words)


def by_time(parts: Sequence[Part]) -> tuple[Word, ...]:
    """Of each piece the words whose middle lies between the middles of its overlaps."""
    edges = [(before.end + after.start) / 2 for (before, _), (after, _) in pairwise(parts)]
    found: list[Word] = []
    for (_, words), low, high in zip(parts, [0.0, *edges], [*edges, float("inf")], strict=True):
        found += [word for word in words if low <= (word.start + word.end) / 2 < high]
    return tuple(found)


def through(pieces: Sequence[Piece], said: Sequence[Word]) -> int:
    """At how many cuts a word is cut."""
    edges = [{before.end, after.start} for before, after in pairwise(pieces)]
    return sum(any(w.start < at < w.end for at in places for w in said) for places in edges)


async def clips(folder: Path) -> list[Clip]:
    """The recordings of the corpus whose words are known."""
    settings = load_settings(Settings, _env_file=None, data_dir=folder)
    found = []
    for place in sorted([*CORPUS.glob("ami-*"), CORPUS / "pyannote-sample"]):
        [source] = place.glob("*.wav")
        (folder / place.name).mkdir()
        audio = await decode(
            source,
            folder / place.name,
            settings=settings,
            report=lambda _fraction: None,
            announced_name=source.name,
        )
        sound = pcm.read(audio.path, 0.0, audio.seconds)
        timed = place / "ref.words.seglst.json"
        rows = json.loads((timed if timed.exists() else place / "ref.seglst.json").read_text())
        words = [word for row in rows for word in _words(row)]
        inside = [word for word in words if word.start >= 0 and word.end <= audio.seconds]
        found.append(Clip(sound=sound, words=sorted(inside, key=lambda word: word.start)))
    return found


def _words(row: dict[str, str]) -> list[Word]:
    """Those of a line of the reference, spread over its time if it holds several."""
    texts, start, end = row["words"].split(), float(row["start_time"]), float(row["end_time"])
    step = (end - start) / max(1, len(texts))
    fixed_part, per_letter = _LONGEST_WORD
    return [
        Word(
            start=start + number * step,
            end=start + number * step + min(step, fixed_part + per_letter * len(text)),
            text=text,
        )
        for number, text in enumerate(texts)
    ]


def compose(parts: Sequence[Clip], seed: int, path: Path) -> tuple[Audio, list[Word]]:
    """An hour of `parts` in random order, each at another loudness, as a file at `path`."""
    rng = random.Random(seed)
    sounds: list[npt.NDArray[np.int16]] = []
    words: list[Word] = []
    at = 0.0
    while at < _SECONDS:
        for clip in rng.sample(parts, len(parts)):
            sounds.append((clip.sound * rng.uniform(0.4, 1.0)).astype(np.int16))
            words += [replace(word, start=word.start + at, end=word.end + at) for word in clip.words]
            at += clip.seconds
    wavfile.write(path, pcm.RATE, np.concatenate(sounds))
    return Audio(path=path, seconds=at), words


Way = tuple[Sequence[Piece], Callable[[Sequence[Part]], tuple[Word, ...]]]


async def ways(audio: Audio, longest: float, encoder: Encoder) -> dict[str, Way]:
    """How a recording may be cut and put together."""
    places = windows(audio.seconds, longest)
    found = await encoder.pauses(audio, [(place.earliest, place.latest) for place in places])
    with_pauses = plan(audio.seconds, longest, [Pause(at=at, length=length) for at, length in found])
    overlapping = fixed(audio.seconds, longest, 2 * OVERLAP)
    meeting = [replace(each, start=each.keep_from, end=each.keep_to) for each in with_pauses]
    return {
        "in pauses": (with_pauses, join),
        "pauses, no overlap": (meeting, in_a_row),
        "without pauses": (plan(audio.seconds, longest, []), join),
        "fixed times": (fixed(audio.seconds, longest, 0.0), in_a_row),
        "fixed overlap": (overlapping, in_a_row),
        "overlap, halved": (overlapping, by_time),
    }


async def measure() -> list[list[str]]:
    """The rows of the page."""
    scores: dict[tuple[str, float], Score] = {}
    encoder = Encoder(1)
    with tempfile.TemporaryDirectory(prefix="erni-joins-") as name:
        folder = Path(name)
        try:
            parts = await clips(folder)
            for seed in SEEDS:
                audio, said = compose(parts, seed, folder / "hour.wav")
                for longest in LIMITS:
                    for way, (pieces, together) in (await ways(audio, longest, encoder)).items():
                        rng = random.Random(f"{seed} {longest} {way}")
                        heard = [(piece, hear(said, piece.start, piece.end, rng)) for piece in pieces]
                        found = score(said, together(heard))
                        found += Score(cuts=len(pieces) - 1, through=through(pieces, said))
                        scores[way, longest] = scores.get((way, longest), Score()) + found
        finally:
            await encoder.close()
    return [
        [
            way,
            f"{longest:.0f} s",
            str(found.cuts),
            str(found.through),
            f"{100 * found.rate:.3f}",
            str(found.missed),
            str(found.added),
            str(found.changed),
            f"{found.errors / found.cuts:.3f}",
        ]
        for (way, longest), found in scores.items()
    ]


HEADER = (
    "cut",
    "limit",
    "cuts",
    "through a word",
    "WER added, %",
    "missed",
    "added",
    "changed",
    "errors a cut",
)

_EXPLANATION = f"""\
The AMI clips and the telephone call of the corpus, in random order to {len(SEEDS)} recordings of an hour,
with their words in the order of their starts. **In pauses**: as the service does it, by `core.cutting`,
`core.joining` and the pauses that `core.engines.pauses` finds in the audio; pieces overlap by
{2 * OVERLAP:.0f} s. **Pauses, no overlap**: the same cuts, but the pieces meet there, which shows how often a
pause in the audio is none in somebody's word. **Without pauses**: the same planner where there is no pause
anywhere. **Fixed times**: pieces of exactly the limit, one after another. **Fixed overlap**: each begins
{2 * OVERLAP:.0f} s before the last one ends, all words are kept. **Overlap, halved**: the same, and of each
piece the words up to the middle of the overlap. **Through a word**: cuts where a word is cut, by either piece
if they overlap.

The stand-in for a recogniser hears every word that lies within a piece, in order, at a time that is off by
{_JITTER} s (standard deviation, {_MOST_JITTER} s at most), independently in every piece. Of words that an
edge of a piece goes through it hears a half with the rest gone, or nothing. So without a cut it makes no
error, and all that is counted is the cutting's. Word ends of the corpus that include the pause after the
word are brought forward ({_LONGEST_WORD[0]} s and {_LONGEST_WORD[1]} s a letter at most). A real recogniser
also errs otherwise near the edges of pieces, for want of context; that is not in here."""


def report(rows: Sequence[Sequence[str]], described: str) -> str:
    """The page of results."""
    return "\n".join(
        [
            "# Word errors that cutting adds",
            "",
            f"Made by `python -m benchmarks.joins --write` on {described}.",
            "",
            table(HEADER, rows),
            "",
            _EXPLANATION,
        ]
    )


def main() -> int:
    """Measure and show; exit status 1 without the corpus."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="replace the committed results")
    options = parser.parse_args()
    if not CORPUS.is_dir():
        print(f"The recordings are not here: {CORPUS}")
        return 1
    described = machine.describe()
    publish("joins", report(asyncio.run(measure()), described), write=options.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
