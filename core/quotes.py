"""Who is who in a transcript: the speakers to be named, by what they say, and what people answer. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from core.fitting import NAME
from core.model import Transcript, Utterance
from core.relabelling import circles
from core.render import times
from core.render.layout import Share, shares
from core.render.safe import clean, visible
from core.render.words import join_words

TITLE: Final = "Who is who?"
INTRO: Final = "Choose who it is or type a name. The message and its files are then changed."
NOBODY: Final = "The speakers of this recording could not be told apart, so there is nobody to name."
APART: Final = "Tell apart again"
APART_HINT: Final = "Speakers who were taken for the same person by mistake."

QUOTE: Final = 120
"""Characters of a quote that are shown."""

_QUOTES: Final = 3
_TELLING: Final = 12  # characters from which something tells who is speaking


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was said of one speaker: a name that was typed (`own`), or a choice. `kind` is `person` (a name or
    the id of somebody), `same` (the label of another speaker), `nobody` (take the name away), or empty."""

    own: str = ""
    kind: Literal["", "person", "same", "nobody"] = ""
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What can't be understood of an answer: in what was typed (`own`) or in what was chosen."""

    where: Literal["own", "choice"]
    text: str


def speakers(transcript: Transcript) -> list[Share]:
    """The speakers by label, those who talk most first."""
    found = shares((said.speaker, said) for said in transcript.utterances if not said.gap)
    return sorted((each for each in found if each.speaker is not None), key=lambda each: -each.seconds)


def quotes(transcript: Transcript, labels: Collection[str]) -> dict[str, list[tuple[float, str]]]:
    """What tells most about who is speaking, for each label: the longest, said alone rather than over
    somebody; in order, each with its start in seconds."""
    said: dict[str, list[Utterance]] = {label: [] for label in labels}
    for utterance in transcript.utterances:
        if utterance.speaker in said and not utterance.gap:
            said[utterance.speaker].append(utterance)
    return {label: _telling(found) for label, found in said.items()}


def merged_away(transcript: Transcript, merged: Mapping[str, str]) -> list[str]:
    """The labels of a transcript as it was recognised whose merge can be taken back."""
    labels = dict.fromkeys(said.speaker for said in transcript.utterances)
    return [label for label in labels if label is not None and label in merged]


def read_answers(
    answers: Mapping[str, Answer],
) -> tuple[dict[str, str], dict[str, str]] | dict[str, Complaint]:
    """Names by label and merges by label, as `core.relabelling.relabel` takes them, or complaints by label.
    A name that was typed counts more than a choice."""
    names: dict[str, str] = {}
    merged: dict[str, str] = {}
    problems: dict[str, Complaint] = {}
    for label, answer in answers.items():
        own = clean(answer.own)
        if visible(own):
            names[label] = "" if own == label else own
            if own.casefold() in {each.casefold() for each in answers if each != label}:
                problems[label] = Complaint(
                    where="own",
                    text="Another speaker is called that. For one person, choose “Same person as”.",
                )
            elif len(own) > NAME:
                problems[label] = Complaint(where="own", text=f"Please write at most {NAME} characters.")
        elif answer.kind == "same" and answer.value in answers:
            merged[label] = answer.value
        elif answer.kind == "person" and visible(answer.value):
            names[label] = clean(answer.value)
        elif answer.kind == "nobody":
            names[label] = ""
    for label in circles(merged):
        problems[label] = Complaint(
            where="choice", text="These speakers point at one another. Leave one of them as it is."
        )
    return problems or (names, merged)


def _telling(said: Sequence[Utterance]) -> list[tuple[float, str]]:
    ranked = sorted(said, key=lambda each: (each.overlap, -_size(each)))[:_QUOTES]
    telling = [each for place, each in enumerate(ranked) if place == 0 or _size(each) >= _TELLING]
    telling.sort(key=lambda each: times.milliseconds(each.start))
    texts = [(each.start, join_words(each.words)) for each in telling]
    return [(start, text) for start, text in texts if visible(text)]


def _size(said: Utterance) -> int:
    return sum(len(word.text) for word in said.words)
