"""Speakers as mixtures of diagonal Gaussians, and the likeliest sequence of speakers under them."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]  # ships no type hints
from sklearn.mixture import GaussianMixture  # type: ignore[import-untyped]  # ships no type hints

from core.engines.features import Speech

Labels: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float32]
Scores: TypeAlias = npt.NDArray[np.float64]

TRAINING_FRAMES = 15_000
_FRAMES_PER_COMPONENT = 40
_ITERATIONS = 8
_FLOOR = 0.01  # added to every variance
_BLOCK = 10  # frames that share a label: 100 ms
_SWITCH, _SWITCH_AFTER_SILENCE = 60.0, 20.0  # nats
_SMALLEST = 150  # frames; a speaker with no more is dropped
_BLOCKS_AT_ONCE = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Runs of at most ten frames that never straddle two regions.

    `starts` are their first frames, `lengths` their frames, `switch` what a change of speaker costs there.
    """

    starts: Labels
    lengths: Labels
    switch: Scores

    @classmethod
    def of(cls, speech: Speech) -> Blocks:
        """The blocks of all speech frames."""
        runs = [np.arange(first, last, _BLOCK) for first, last in itertools.pairwise(speech.offsets)]
        starts = np.concatenate(runs).astype(np.int64)
        switch = np.where(np.isin(starts, speech.offsets), _SWITCH_AFTER_SILENCE, _SWITCH)
        return cls(starts=starts, lengths=np.diff(starts, append=speech.offsets[-1]), switch=switch)


def sample(members: npt.NDArray[Any], most: int) -> npt.NDArray[Any]:
    """At most `most` of the rows, evenly spread, so that a run is repeatable."""
    if len(members) <= most:
        return members
    return members[np.linspace(0, len(members) - 1, most).round().astype(np.int64)]


def fit(frames: Floats, components: int) -> GaussianMixture:
    """A mixture of `components` Gaussians, fewer where there are not 40 frames for each."""
    return _fitted(frames, max(1, min(components, len(frames) // _FRAMES_PER_COMPONENT)))


def fit_joint(frames: Floats, first: GaussianMixture, second: GaussianMixture) -> GaussianMixture:
    """A mixture with the components of both, which it starts from."""
    return _fitted(
        frames,
        first.n_components + second.n_components,
        weights_init=np.concatenate([first.weights_, second.weights_]) / 2,
        means_init=np.concatenate([first.means_, second.means_]),
        precisions_init=np.concatenate([first.precisions_, second.precisions_]),
    )


def _fitted(frames: Floats, components: int, **start: Any) -> GaussianMixture:
    model = GaussianMixture(
        components,
        covariance_type="diag",
        reg_covar=_FLOOR,
        max_iter=_ITERATIONS,
        init_params="kmeans",
        random_state=0,
        **start,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopping early is the recipe
        return model.fit(frames)


def train(speech: Speech, labels: Labels, components: Sequence[int]) -> list[GaussianMixture]:
    """A mixture for each speaker 0.. that occurs in `labels`, with `components[speaker]` Gaussians."""
    return [
        fit(speech.cepstra[sample(np.flatnonzero(labels == label), TRAINING_FRAMES)], wanted)
        for label, wanted in enumerate(components)
    ]


def realign(
    speech: Speech, blocks: Blocks, models: Sequence[GaussianMixture], *, least: int
) -> tuple[Labels, list[int]]:
    """Every frame's speaker under `models`, and which of the models they are, in order.

    Speakers left with 150 frames or fewer are dropped, the smallest first, as long as `least` remain; one
    left with no frame at all is dropped in any case.
    """
    scores = _scores(speech, blocks, models)
    kept = list(range(len(models)))
    while True:
        path = viterbi(scores[:, kept], blocks.switch)
        frames = np.bincount(path, weights=blocks.lengths, minlength=len(kept))
        smallest = int(frames.argmin())
        if frames[smallest] > (_SMALLEST if len(kept) > least else 0) or len(kept) == 1:
            return np.repeat(path, blocks.lengths), kept
        del kept[smallest]


def _scores(speech: Speech, blocks: Blocks, models: Sequence[GaussianMixture]) -> Scores:
    scores = np.empty((len(blocks.starts), len(models)))
    for first in range(0, len(scores), _BLOCKS_AT_ONCE):
        rows = slice(first, first + _BLOCKS_AT_ONCE)
        starts = blocks.starts[rows]
        frames = speech.cepstra[starts[0] : starts[-1] + blocks.lengths[rows][-1]]
        for column, model in enumerate(models):
            scores[rows, column] = np.add.reduceat(model.score_samples(frames), starts - starts[0])
    return scores


def viterbi(scores: Scores, switch: Scores) -> Labels:
    """The likeliest path through `scores` (blocks x speakers, nats) if changing the speaker at block t costs
    `switch[t]`."""
    count, width = scores.shape
    if width == 1:
        return np.zeros(count, dtype=np.int64)
    back = np.empty((count, width), dtype=np.int16)
    best = scores[0].copy()
    stay = np.arange(width, dtype=np.int16)
    for step in range(1, count):
        leader = best.argmax()
        jump = best[leader] - switch[step]
        jumps = best < jump
        back[step] = np.where(jumps, leader, stay)
        best = np.where(jumps, jump, best) + scores[step]
    path = np.empty(count, dtype=np.int64)
    path[-1] = best.argmax()
    for step in range(count - 1, 0, -1):
        path[step - 1] = back[step, path[step]]
    return path
