"""Which speaker says which word: words with times and speaker turns become utterances. Pure.

The words are explained by the cheapest path through a lattice of speakers (Viterbi), not one by one. A path
pays for words outside their speaker's turns, and for changes of speaker that no pause, no sentence end and no
edge of a turn supports; it pays for one mouth saying two words at once. So a turn edge that is off by a
quarter of a second moves to the sentence end nearby, and a two-word reply inside somebody's long turn stays
its own. Each word considers at most `CANDIDATES` speakers near it, found by binary search, so the cost is
O((words + turns) log turns) for any input.

The weights were searched at random on synthetic conversations, then four of them were set by hand, so that
interjections survive; `benchmarks/results/attribution.md` says how and what they reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from core.channels import merge_channels, merge_speakers
from core.lattice import labels
from core.model import SpeakerTurn, Utterance, Word
from core.segmentation import cut, into_utterances, repaired, spoken_ends
from core.speech import Speech

__all__ = [
    "attribute",
    "into_utterances",
    "label_speakers",
    "merge_channels",
    "merge_speakers",
    "speaker_labels",
]

_BLURRED = 0.5
_SPOKEN_OVER = 0.1


def attribute(
    words: Sequence[Word], turns: Sequence[SpeakerTurn], *, overlapping: bool = False
) -> tuple[Utterance, ...]:
    """Give every word its speaker and group the words into utterances.

    Every word is kept exactly once, in the order of the text (words whose times are out of order by more
    than half a second are sorted by time). Speakers that the words carry already are not evidence and are
    replaced. The speaker is None where nobody is known to speak: without turns, or further than
    `core.lattice.REACH` from all of them.

    `overlapping` says whether the diarizer reports overlapping speech; if it does not, turns that overlap by
    less than half a second are taken for blurred edges when overlaps are marked.

    Broken times never raise: see `core.segmentation.repaired`; broken turns are ignored.
    """
    sound = repaired(words)
    speech = Speech(turns)
    names: list[str | None] = [*speech.speakers, None]  # NOBODY, which is -1, means the last
    labelled = [
        Word(start=word.start, end=word.end, text=word.text, confidence=word.confidence, speaker=names[label])
        for word, label in zip(sound, labels(sound, speech), strict=True)
    ]
    utterances = cut(labelled, range(1, len(labelled)))
    return _marked(utterances, speech, _SPOKEN_OVER if overlapping else _BLURRED)


def _marked(utterances: Sequence[Utterance], speech: Speech, least: float) -> tuple[Utterance, ...]:
    """Mark the utterances during whose words two speakers' turns overlap for `least` seconds or more."""
    words = [word for utterance in utterances for word in utterance.words]
    if not words:
        return ()
    contested = speech.contested(np.array([word.start for word in words]), np.array(spoken_ends(words)))
    firsts = np.cumsum([0, *(len(utterance.words) for utterance in utterances[:-1])])
    seconds = np.add.reduceat(contested, firsts).tolist()
    return tuple(
        replace(utterance, overlap=True) if over >= least and not utterance.overlap else utterance
        for utterance, over in zip(utterances, seconds, strict=True)
    )


def speaker_labels(utterances: Sequence[Utterance]) -> dict[str, str]:
    """The labels to show: "Speaker 1", "Speaker 2", ... in order of first appearance, by raw label."""
    raw = dict.fromkeys(utterance.speaker for utterance in utterances if utterance.speaker is not None)
    return {label: f"Speaker {number}" for number, label in enumerate(raw, start=1)}


def label_speakers(
    utterances: Sequence[Utterance], labels: Mapping[str, str] | None = None
) -> tuple[Utterance, ...]:
    """Rename speakers, in utterances and words, by `labels` (default: `speaker_labels(utterances)`). Unknown
    speakers stay None; a label that is not in the mapping stays as it is."""
    names = speaker_labels(utterances) if labels is None else labels
    return tuple(
        replace(
            utterance,
            speaker=_renamed(utterance.speaker, names),
            words=tuple(replace(word, speaker=_renamed(word.speaker, names)) for word in utterance.words),
        )
        for utterance in utterances
    )


def _renamed(label: str | None, names: Mapping[str, str]) -> str | None:
    return None if label is None else names.get(label, label)
