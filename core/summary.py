"""What a message says about a transcript before its text: its facts, who spoke how much, and warnings. Pure.

Nothing here is escaped for any platform.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.fitting import Measure, line, units
from core.model import Transcript
from core.render import times
from core.render.languages import language_names
from core.render.layout import DRAFT_NOTICE, Share, shares
from core.render.safe import shown, shown_names

BELOW: Final = "The whole transcript is in the files below."
ONLY_BEGINNING: Final = "This is only the beginning."

_SPEAKERS: Final = 8
_NOTES: Final = 4
_NOTE: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Who spoke how much: those who spoke `most`, and how many more there are and how long they spoke."""

    most: tuple[Share, ...]
    others: int
    others_seconds: float

    @property
    def rest(self) -> str:
        """The others in words; empty if there are none."""
        if not self.others:
            return ""
        return f"and {self.others} others, {times.duration(self.others_seconds)} together"


def people(transcript: Transcript) -> tuple[Share, ...]:
    """Who spoke how much, by name as shown, most first. Nobody is known to speak for `None`."""
    names = shown_names(transcript.names, transcript.suggestions)
    found = shares(
        (None if said.speaker is None else shown(said.speaker, names), said)
        for said in transcript.utterances
        if not said.gap
    )
    return tuple(sorted(found, key=lambda share: -share.seconds))


def facts(transcript: Transcript, everybody: Sequence[Share], length: Measure = units) -> list[str]:
    """Length, languages and number of speakers, as far as they are known; each not too long by `length`."""
    found = [times.duration(transcript.seconds)]
    if languages := line(language_names(transcript.languages), 200, length):
        found.append(languages)
    count = sum(share.speaker is not None for share in everybody)
    return [*found, f"{count} speaker{'' if count == 1 else 's'}"] if count else found


def ranking(transcript: Transcript, everybody: Sequence[Share]) -> Ranking:
    """Who is listed; nobody where there is nobody to compare or to name."""
    if len(everybody) < 2 and not (transcript.names or transcript.suggestions):
        return Ranking(most=(), others=0, others_seconds=0.0)
    most = tuple(everybody if len(everybody) <= _SPEAKERS + 1 else everybody[:_SPEAKERS])
    rest = everybody[len(most) :]
    return Ranking(most=most, others=len(rest), others_seconds=sum(share.seconds for share in rest))


def notes(transcript: Transcript, length: Measure = units) -> list[tuple[str, str]]:
    """What must be known of the text before it is read: what kind of note, and the note, not too long by
    `length`."""
    found = [("Draft.", DRAFT_NOTICE)] if transcript.draft else []
    warnings = [text for warning in transcript.warnings if (text := line(warning, _NOTE, length))]
    found += [("Note:", text) for text in warnings[:_NOTES]]
    if len(warnings) > _NOTES:
        found.append(("Note:", f"{len(warnings) - _NOTES} more notes are in the files."))
    if transcript.unlabelled:
        found.append(("Note:", "The speakers are added here if a later try can tell them apart."))
    return found


def silence(transcript: Transcript) -> str:
    """What is said of a recording in which nobody says a word, after that."""
    return (
        f"It is {times.duration(transcript.seconds)} long. If somebody speaks in it, check that the right"
        " microphone was used, or try again with the language set."
    )
