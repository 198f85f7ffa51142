"""Who speaks when, without any trained weights.

The agglomerative scheme of Ajmera and Wooters (2003): every speaker is a mixture of Gaussians, the speech is
realigned to the mixtures by Viterbi decoding, and the two speakers that one mixture of the same size explains
best become one for as long as that makes the speech likelier; no threshold is tuned. The result is a guess,
and the count of speakers is its weakest part: a number given by people helps.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from sklearn.mixture import GaussianMixture  # type: ignore[import-untyped]  # ships no type hints
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no type hints

from core.engines.agglomeration import first_labels, gaussians_of_groups, likelihood_ratio, spread
from core.engines.features import FRAMES_PER_SECOND, Speech, extract
from core.engines.mixtures import TRAINING_FRAMES, Blocks, Labels, fit_joint, realign, sample, train
from core.engines.speech import find_speech, threshold_for

Turn: TypeAlias = tuple[float, float, int]
"""Start and end in seconds, and the speaker's number: 0.. in order of first appearance."""

MOST_SPEAKERS = 32

_INITIAL = 8  # speakers assumed at first where their number is not known
_FRAMES_EACH = 400  # frames of speech that justify one more of them
_COMPONENTS = 4
_FINAL_COMPONENTS = 8
_PASSES_GIVEN = 4
_SAME_VOICE = -2.0
_UNKNOWN_PITCH_DIFFERENCE = 0.15  # octaves
_BRIDGED = 0.5  # seconds of silence within one turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many speakers there may be, both ends included."""

    least: int
    most: int


def bounds(min_speakers: int | None, max_speakers: int | None) -> Bounds:
    """The hints as bounds within 1 to `MOST_SPEAKERS`; where they contradict each other, the least wins."""
    least = min(max(1, min_speakers or 1), MOST_SPEAKERS)
    return Bounds(least=least, most=min(max(least, max_speakers or MOST_SPEAKERS), MOST_SPEAKERS))


def diarize(
    path: str,
    min_speakers: int | None = None,
    max_speakers: int | None = None,
    report: Callable[[float], None] = lambda _: None,
) -> list[Turn]:
    """Who speaks when in decoded audio, in order of start; turns never overlap. For a child process.

    Raises ValueError if the file is not 16 kHz mono 16-bit PCM.
    """
    regions = find_speech(path, threshold=threshold_for(path), report=lambda fraction: report(0.4 * fraction))
    speech = extract(path, regions, report=lambda fraction: report(0.4 + 0.3 * fraction))
    allowed = bounds(min_speakers, max_speakers)
    labels = speakers(speech, allowed, report=lambda fraction: report(0.7 + 0.3 * fraction))
    report(1.0)
    return [(round(start, 3), round(end, 3), number) for start, end, number in turns(speech, labels)]


def speakers(speech: Speech, allowed: Bounds, *, report: Callable[[float], None] = lambda _: None) -> Labels:
    """A speaker's number for every speech frame."""
    frames = len(speech.cepstra)
    if frames == 0 or allowed.most == 1:
        return np.zeros(frames, dtype=np.int64)
    with threadpool_limits(1):  # one child per processor: more threads would only wait for one another
        return _speakers(speech, allowed, report)


def _speakers(speech: Speech, allowed: Bounds, report: Callable[[float], None]) -> Labels:
    blocks = Blocks.of(speech)
    if allowed.least == allowed.most:
        labels = first_labels(speech, allowed.least)
        for done in range(_PASSES_GIVEN):
            report((done + 1) / (_PASSES_GIVEN + 1))
            labels = _final_pass(speech, blocks, labels, allowed)
        return labels
    first = min(_INITIAL, allowed.most, len(speech.cepstra) // _FRAMES_EACH)
    labels = first_labels(speech, max(allowed.least, first))
    report(0.2)
    labels = _merge_while_likelier(speech, blocks, labels, allowed, report)
    labels = _merge_same_voices(speech, labels, allowed)
    return _final_pass(speech, blocks, labels, allowed)


def _merge_while_likelier(
    speech: Speech, blocks: Blocks, labels: Labels, allowed: Bounds, report: Callable[[float], None]
) -> Labels:
    components = [_COMPONENTS] * (int(labels.max()) + 1)
    total = len(components)
    while True:
        for _ in range(2):
            models = train(speech, labels, components)
            realigned, kept = realign(speech, blocks, models, least=allowed.least)
            if len(kept) < min(allowed.least, len(components)):
                return labels
            labels, components = realigned, [components[old] for old in kept]
        report(0.2 + 0.8 * (1 - len(components) / total))
        if len(components) <= allowed.least:
            return labels
        gain, first, second = max(_gains(speech, labels, components))
        if gain <= 0 and len(components) <= allowed.most:
            return labels
        components[first] += components.pop(second)
        labels = _joined(labels, first, second)


def _gains(speech: Speech, labels: Labels, components: list[int]) -> Iterator[tuple[float, int, int]]:
    """For each pair of speakers, by how many nats one mixture explains both better than one for each."""
    models = train(speech, labels, components)
    members = [np.flatnonzero(labels == label) for label in range(len(models))]
    for first, second in itertools.combinations(range(len(models)), 2):
        share = min(1.0, TRAINING_FRAMES / (len(members[first]) + len(members[second])))
        one, two = (
            speech.cepstra[sample(members[label], round(share * len(members[label])))]
            for label in (first, second)
        )
        both = np.concatenate([one, two])
        joint = fit_joint(both, models[first], models[second])
        yield _total(joint, both) - _total(models[first], one) - _total(models[second], two), first, second


def _total(model: GaussianMixture, frames: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
    return float(model.score_samples(frames).sum())


def _merge_same_voices(speech: Speech, labels: Labels, allowed: Bounds) -> Labels:
    """Merge speakers whose spectra and pitch hardly differ, by a fixed rule fitted on many recordings."""
    while (count := int(labels.max()) + 1) > allowed.least:
        groups = gaussians_of_groups(speech.cepstra, labels, count)
        pitches = [_median_pitch(speech, labels, label) for label in range(count)]
        spreads = spread(groups)
        lowest, first, second = min(
            (
                _difference(
                    float(likelihood_ratio(groups, spreads, one, np.array([two]))[0]),
                    float(groups.counts[one]),
                    float(groups.counts[two]),
                    abs(pitches[one] - pitches[two]),
                ),
                one,
                two,
            )
            for one, two in itertools.combinations(range(count), 2)
        )
        if lowest > _SAME_VOICE and count <= allowed.most:
            break
        labels = _joined(labels, first, second)
    return labels


def _difference(ratio: float, frames: float, other_frames: float, pitch: float) -> float:
    """How surely two groups of frames are different voices; `pitch` is in octaves, NaN if unknown."""
    pitch = _UNKNOWN_PITCH_DIFFERENCE if np.isnan(pitch) else min(0.6, pitch)
    apart = np.log(max(0.0, ratio) * (1 / frames + 1 / other_frames) + 0.1)
    return float(-22.93 + 3.88 * apart + 2.14 * np.log(min(frames, other_frames)) + 9.87 * pitch)


def _median_pitch(speech: Speech, labels: Labels, label: int) -> float:
    pitch = speech.pitch[labels == label]
    pitch = pitch[~np.isnan(pitch)]
    return float(np.median(pitch)) if len(pitch) else float("nan")


def _final_pass(speech: Speech, blocks: Blocks, labels: Labels, allowed: Bounds) -> Labels:
    models = train(speech, labels, [_FINAL_COMPONENTS] * (int(labels.max()) + 1))
    realigned, kept = realign(speech, blocks, models, least=allowed.least)
    # People said how many there are: rather coarser turns than one speaker fewer.
    return realigned if len(kept) >= min(allowed.least, len(models)) else labels


def _joined(labels: Labels, first: int, second: int) -> Labels:
    """`second` becomes `first`, and numbers above it move down. `first` is the lower one."""
    labels = np.where(labels == second, first, labels)
    return labels - (labels > second)


def turns(speech: Speech, labels: Labels) -> Iterator[Turn]:
    """The frames' speakers as turns; the same speaker's pauses of up to 0.5 s are bridged."""
    names: dict[int, int] = {}
    open_turn: Turn | None = None
    for start, end, label in _runs(speech, labels):
        number = names.setdefault(label, len(names))
        if open_turn is not None and open_turn[2] == number and start - open_turn[1] <= _BRIDGED:
            open_turn = (open_turn[0], end, number)
            continue
        if open_turn is not None:
            yield open_turn
        open_turn = (start, end, number)
    if open_turn is not None:
        yield open_turn


def _runs(speech: Speech, labels: Labels) -> Iterator[tuple[float, float, int]]:
    for (start, end), (first, last) in zip(speech.regions, itertools.pairwise(speech.offsets), strict=True):
        changes = first + 1 + np.flatnonzero(np.diff(labels[first:last]))
        edges = [first, *changes.tolist(), last]
        for one, two in itertools.pairwise(edges):
            yield (
                start + (one - first) / FRAMES_PER_SECOND,
                end if two == last else start + (two - first) / FRAMES_PER_SECOND,
                int(labels[one]),
            )
