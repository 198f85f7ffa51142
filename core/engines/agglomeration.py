"""First grouping of speech by speaker: agglomerative clustering of short chunks, one Gaussian each.

Chunks are merged by the generalised likelihood ratio less the Bayesian information criterion's reward for
the parameters saved (Chen and Gopalakrishnan, 1998). The matrix of distances is quadratic in the chunks, so a
long recording is first clustered window by window, and the windows' clusters then once more together.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from core.engines.features import DIMENSIONS, FRAMES_PER_SECOND, Speech

Floats: TypeAlias = npt.NDArray[np.float64]
Labels: TypeAlias = npt.NDArray[np.int64]

CHUNK_SECONDS = 2.0
_SHORTEST = 1 * FRAMES_PER_SECOND  # frames of a chunk that is worth a Gaussian of its own
_FLOOR = 0.01  # added to every variance
_PARAMETERS = DIMENSIONS + DIMENSIONS * (DIMENSIONS + 1) // 2
_WINDOW = 600  # chunks clustered together at first: 20 minutes of speech
_FRAMES_AT_ONCE = 50_000
_TOGETHER = 1200  # clusters that the windows leave in all


@dataclass(slots=True, kw_only=True)
class Gaussians:
    """Statistics of n Gaussians: frame counts (n), sums (n x d), sums of outer products (n x d x d)."""

    counts: Floats
    sums: Floats
    products: Floats

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, rows: slice | Labels) -> Gaussians:
        return Gaussians(counts=self.counts[rows], sums=self.sums[rows], products=self.products[rows])

    def pooled(self, labels: Labels, groups: int) -> Gaussians:
        """The statistics of each of `groups` groups of rows."""
        found = Gaussians(
            counts=np.zeros(groups),
            sums=np.zeros((groups, DIMENSIONS)),
            products=np.zeros((groups, DIMENSIONS, DIMENSIONS)),
        )
        np.add.at(found.counts, labels, self.counts)
        np.add.at(found.sums, labels, self.sums)
        np.add.at(found.products, labels, self.products)
        return found


def gaussians_of(cepstra: npt.NDArray[np.float32], parts: Sequence[tuple[int, int]]) -> Gaussians:
    """One Gaussian for each half-open range of frames."""
    found = Gaussians(
        counts=np.zeros(len(parts)),
        sums=np.zeros((len(parts), DIMENSIONS)),
        products=np.zeros((len(parts), DIMENSIONS, DIMENSIONS)),
    )
    for row, (first, last) in enumerate(parts):
        frames = cepstra[first:last].astype(np.float64)
        found.counts[row] = len(frames)
        found.sums[row] = frames.sum(axis=0)
        found.products[row] = frames.T @ frames
    return found


def gaussians_of_groups(cepstra: npt.NDArray[np.float32], labels: Labels, groups: int) -> Gaussians:
    """One Gaussian for each label 0..`groups`-1, from the frames that carry it."""
    edges = [*range(0, len(cepstra), _FRAMES_AT_ONCE), len(cepstra)]
    found = gaussians_of(cepstra[:0], [(0, 0)] * groups)
    for first, last in itertools.pairwise(edges):
        for label in range(groups):
            frames = cepstra[first:last][labels[first:last] == label].astype(np.float64)
            found.counts[label] += len(frames)
            found.sums[label] += frames.sum(axis=0)
            found.products[label] += frames.T @ frames
    return found


def spread(of: Gaussians) -> Floats:
    """For each Gaussian, the frames times the log determinant of its covariance, halved."""
    counts = np.maximum(of.counts, 1)
    mean = of.sums / counts[:, None]
    covariance = of.products / counts[:, None, None] - mean[:, :, None] * mean[:, None, :]
    covariance += _FLOOR * np.eye(DIMENSIONS)
    factors = np.linalg.cholesky(covariance)
    logs = 2 * np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    return np.asarray(0.5 * of.counts * logs)


def likelihood_ratio(of: Gaussians, spreads: Floats, row: int, others: npt.NDArray[np.int64]) -> Floats:
    """How much likelier (nats) the frames of `row` and each of `others` are as two Gaussians than as one."""
    joint = Gaussians(
        counts=of.counts[row] + of.counts[others],
        sums=of.sums[row] + of.sums[others],
        products=of.products[row] + of.products[others],
    )
    found: Floats = spread(joint) - spreads[row] - spreads[others]
    return found


def merge_down(of: Gaussians, groups: int) -> Labels:
    """Merge the closest pair until `groups` are left (or as few as there are); a label 0.. for each row.

    Takes memory quadratic and time cubic at worst in the rows: see `cluster` for how those are bounded.
    """
    size = len(of)
    work = of[np.arange(size)]
    spreads = spread(work)
    distances = np.full((size, size), np.inf)
    everyone = np.arange(size)
    for row in range(size - 1):
        others = everyone[row + 1 :]
        distances[row, others] = _distance(work, spreads, row, others)
    label = np.arange(size)
    alive = np.ones(size, dtype=bool)
    for _ in range(size - max(1, groups)):
        keep, gone = divmod(int(distances.argmin()), size)
        work.counts[keep] += work.counts[gone]
        work.sums[keep] += work.sums[gone]
        work.products[keep] += work.products[gone]
        spreads[keep] = spread(work[np.array([keep])])[0]
        label[label == gone] = keep
        alive[gone] = False
        distances[gone, :] = distances[:, gone] = np.inf
        others = everyone[alive & (everyone != keep)]
        fresh = _distance(work, spreads, keep, others)
        after = others > keep
        distances[keep, others[after]] = fresh[after]
        distances[others[~after], keep] = fresh[~after]
    compact: Labels = np.unique(label, return_inverse=True)[1].astype(np.int64)
    return compact


def _distance(of: Gaussians, spreads: Floats, row: int, others: npt.NDArray[np.int64]) -> Floats:
    saved = 0.5 * _PARAMETERS * np.log(of.counts[row] + of.counts[others])
    return np.asarray(likelihood_ratio(of, spreads, row, others) - saved)


def cluster(of: Gaussians, groups: int) -> Labels:
    """As `merge_down`, but bounded for any number of rows: windows of neighbours first, then all together."""
    size = len(of)
    if size <= _WINDOW:
        return merge_down(of, groups)
    windows = -(-size // _WINDOW)
    each = max(groups, _TOGETHER // windows)
    labels = np.zeros(size, dtype=np.int64)
    found = 0
    for window in np.array_split(np.arange(size), windows):
        local = merge_down(of[window], each)
        labels[window] = local + found
        found += int(local.max()) + 1
    together: Labels = merge_down(of.pooled(labels, found), groups)
    return together[labels]


def chunks(speech: Speech) -> list[tuple[int, int]]:
    """Frame ranges that cut each region into equal chunks of about two seconds."""
    found: list[tuple[int, int]] = []
    for first, last in itertools.pairwise(speech.offsets):
        pieces = max(1, round((last - first) / FRAMES_PER_SECOND / CHUNK_SECONDS))
        edges = np.linspace(first, last, pieces + 1).round().astype(int).tolist()
        found += itertools.pairwise(edges)
    return found


def first_labels(speech: Speech, groups: int) -> Labels:
    """A speaker 0..`groups`-1 for every frame; chunks under a second take their predecessor's."""
    parts = chunks(speech)
    firm = np.array([last - first >= _SHORTEST for first, last in parts])
    if not firm.any():
        return np.zeros(len(speech.cepstra), dtype=np.int64)
    firm_parts = [part for part, ok in zip(parts, firm, strict=True) if ok]
    labels = cluster(gaussians_of(speech.cepstra, firm_parts), groups)
    # The chunk before, counted among the firm ones; what comes before the first firm one takes its label.
    inherited = labels[np.maximum(0, np.cumsum(firm) - 1)]
    return np.repeat(inherited, [last - first for first, last in parts])
