"""What a reader gets to see, before any format: the header's facts, and speech in sections and paragraphs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from core.model import Recording, Transcript, Utterance, Word
from core.render import times
from core.render.languages import language_names
from core.render.safe import clean, shown, shown_names, visible
from core.render.words import cells, ends_sentence, join_words

DRAFT_NOTICE: Final = (
    "A simple recogniser made this text: expect wrong and missing words and mixed-up speakers, and check it"
    " against the recording before you rely on it."
)
NO_SPEECH: Final = "No speech was found in this recording."
OVERLAPPING: Final = "(overlapping)"
FORMAT_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How long one speaker talks: seconds, and the part of all talking time from 0 to 1 and in whole per
    cent, which add up to 100. `speaker` is a label or a name."""

    speaker: str | None
    seconds: float
    fraction: float
    percent: int

    @property
    def shown_percent(self) -> str:
        """`61%`; what rounds to nothing but is something is `<1%`."""
        return "<1%" if self.percent == 0 and self.seconds > 0 else f"{self.percent}%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """Words between two pauses. `start` is seconds; `overlap`: somebody else talks at the same time."""

    start: float
    words: tuple[Word, ...]
    overlap: bool

    @property
    def text(self) -> str:
        return join_words(self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What one speaker says until somebody else does. `speaker` is as shown to people."""

    speaker: str
    paragraphs: tuple[Paragraph, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A transcript laid out for reading. Every text is clean, but escaped for no format."""

    title: str
    draft: bool
    facts: tuple[tuple[str, str], ...]
    shares: tuple[Share, ...]
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]


def lay_out(transcript: Transcript, recording: Recording) -> Page:
    """The page that txt, md and docx show."""
    languages = language_names(transcript.languages)
    names = shown_names(transcript.names, transcript.suggestions)
    facts = [
        ("Date", times.date(recording.shared_at)),
        ("Length", times.duration(transcript.seconds)),
        ("Languages" if "," in languages else "Language", languages or "not known"),
    ]
    return Page(
        title=title_of(recording),
        draft=transcript.draft,
        facts=tuple(facts),
        shares=shares((shown(said.speaker, names), said) for said in transcript.utterances),
        warnings=tuple(filter(visible, map(clean, transcript.warnings))),
        sections=tuple(_sections(transcript, names)),
    )


def title_of(recording: Recording) -> str:
    """The recording's name as a heading."""
    name = clean(recording.name)
    return name if visible(name) else "Recording"


def in_order(utterances: Iterable[Utterance]) -> list[Utterance]:
    """By start; those that start together stay as they came."""
    return sorted(utterances, key=lambda said: times.milliseconds(said.start))


def shares(said: Iterable[tuple[str | None, Utterance]]) -> tuple[Share, ...]:
    """Talking time per speaker, in order of appearance; where one speaker's utterances overlap they count
    once. Whole per cent are shared out by largest remainder, so that they add up."""
    spans: dict[str | None, list[tuple[int, int]]] = {}
    for speaker, utterance in said:
        span = (times.milliseconds(utterance.start), times.milliseconds(utterance.end))
        spans.setdefault(speaker, []).append(span)
    spoken = {speaker: _covered(found) for speaker, found in spans.items()}
    total = sum(spoken.values())
    exact = {speaker: 100 * length / total if total else 0.0 for speaker, length in spoken.items()}
    percent = {speaker: math.floor(value) for speaker, value in exact.items()}
    missing = 100 - sum(percent.values()) if total else 0
    for speaker in sorted(exact, key=lambda label: percent[label] - exact[label])[:missing]:
        percent[speaker] += 1
    return tuple(
        Share(
            speaker=speaker,
            seconds=length / 1000,
            fraction=round(length / total, 4) if total else 0.0,
            percent=percent[speaker],
        )
        for speaker, length in spoken.items()
    )


def _covered(spans: Iterable[tuple[int, int]]) -> int:
    """The length of the union."""
    covered, reached = 0, 0
    for start, end in sorted(spans):
        covered += max(0, end - max(start, reached))
        reached = max(reached, end)
    return covered


def _sections(transcript: Transcript, names: Mapping[str, str]) -> Iterator[Section]:
    speaker: str | None = None
    said: list[tuple[Word, bool]] = []
    for utterance in in_order(transcript.utterances):
        words = [(word, utterance.overlap) for word in utterance.words if visible(clean(word.text))]
        if not words:
            continue
        name = shown(utterance.speaker, names)
        if speaker is not None and name != speaker:
            yield Section(speaker=speaker, paragraphs=tuple(_paragraphs(said)))
            said = []
        speaker = name
        said += words
    if speaker is not None:
        yield Section(speaker=speaker, paragraphs=tuple(_paragraphs(said)))


def _paragraphs(said: Sequence[tuple[Word, bool]]) -> Iterator[Paragraph]:
    """Cut at pauses; the longer a paragraph gets, the shorter a pause will do."""
    begin, length, reached = 0, 0, 0
    for index, (word, overlap) in enumerate(said):
        start = times.milliseconds(word.start)
        if index > begin:
            before, overlapped = said[index - 1]
            wanted = _wanted_pause(length, ended=ends_sentence(before.text.rstrip()))
            if overlap != overlapped or start - reached >= wanted:
                yield _paragraph(said[begin:index])
                begin, length = index, 0
        length += cells(word.text) + 1
        reached = max(reached, times.milliseconds(word.end))
    yield _paragraph(said[begin:])


def _wanted_pause(length: int, *, ended: bool) -> float:
    """Milliseconds of silence that begin a new paragraph after `length` columns of text."""
    if ended:
        return 1200 if length < 480 else 400 if length < 720 else -math.inf
    return 2000 if length < 900 else 300 if length < 1400 else -math.inf


def _paragraph(said: Sequence[tuple[Word, bool]]) -> Paragraph:
    return Paragraph(start=said[0][0].start, words=tuple(word for word, _ in said), overlap=said[0][1])
