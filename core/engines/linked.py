"""People across the pieces of a recording that an engine labelled piece by piece; the child process's side.

With weights, voices are compared by their embeddings. Without, by what a recording itself can teach: a
mixture of Gaussians over all its speech (Reynolds, Quatieri and Dunn 2000), against whose components each
voice's mean cepstra are compared sound for sound, with a Gaussian model of how means differ between people
and within one voice (Kenny 2005, much simplified); the latter is measured on the parts of each voice. The
median pitch is one dimension more.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from core.engines import pcm
from core.engines.linking import BRIEF, Embedding, Evidence, Floats, link, link_by_evidence
from core.engines.sherpa import alone_spans
from core.errors import Misconfigured

if TYPE_CHECKING:
    from core.engines.features import Speech

Span = tuple[float, float]
"""Start and end in seconds."""

_EACH = 64.0  # seconds heard of a voice at most
_ALL = 10_800.0  # and of all voices together: about 90 MB of cepstra
_STRETCH = 8.0  # seconds heard at once, about
_JOIN = 0.5  # seconds of pause within a stretch
_SHORTEST = 0.05  # seconds; enough for one frame

_COMPONENTS = 16
_ITERATIONS = 15
_FLOOR = 0.01  # added to every variance
_TINY = 1e-9
_FRAMES_EACH = 1000  # training frames that justify one more component
_TRAINING, _TRAINING_EACH = 60_000, 1500  # frames to train the mixture: in all, of one voice
_PART = 200  # frames of the parts by which a voice's own variation is measured
_USUAL_VARIATION, _USUAL_WEIGHT = 2.5, 5.0  # and what it is taken for where there is little to measure

# In units of a component's variance, found on real voices: how much a person's means vary from piece to
# piece, and people's from one another's.
_PIECES, _PEOPLE = 0.1, 0.07
# The same for median pitch, in square octaves; less sure the fewer frames are voiced.
_PITCH_PIECES, _PITCH_PEOPLE, _PITCH_FRAME = 0.02, 0.09, 0.2
_PITCH_LEAST = 5  # voiced frames


def people(
    *,
    path: str,
    voices: list[list[Any]],
    embedding: str | None,
    threads: int,
    least: int | None,
    most: int | None,
    report: Callable[[float], None],
) -> list[int]:
    """A person's number for each voice of decoded audio, numbered by first appearance in the list.

    A voice is [piece, [[start, end], ...]], one speaker of one piece, in seconds of the whole recording. With
    `embedding`, sherpa-onnx's model file, voices are compared by it. Voices of one piece are different people
    unless there would be more than `most`; where there are enough voices at least `least` people remain.
    Reads about a minute of each voice, less where there are very many: memory does not grow with length.

    Raises ValueError if the file is not 16 kHz mono 16-bit PCM, Misconfigured if the model can't be loaded.
    """
    # In an order of our own, so that the order in which an engine lists speakers decides nothing.
    order = sorted(range(len(voices)), key=lambda index: (voices[index][0], sorted(voices[index][1])))
    numbers = [int(voices[index][0]) for index in order]
    spans = _heard(numbers, [voices[index][1] for index in order], pcm.duration(path))
    seconds = np.array([sum(end - start for start, end in own) for own in spans])
    if embedding is not None:
        found = _embeddings(path, spans, embedding, threads, report)
        owners = link(
            list(zip(numbers, found, strict=True)), least=least, most=most, seconds=seconds.tolist()
        )
    else:
        known = _evidence(path, spans, threads, report)
        owners = link_by_evidence(numbers, known, brief=seconds < BRIEF, least=least, most=most)
    report(1.0)
    owner = dict(zip(order, owners, strict=True))
    names: dict[int, int] = {}
    return [names.setdefault(owner[index], len(names)) for index in range(len(voices))]


def _heard(
    numbers: Sequence[int], spans: Sequence[Sequence[Sequence[float]]], end: float
) -> list[list[Span]]:
    """What is listened to of each voice: its longest stretches in which nobody else of its piece talks."""
    each = min(_EACH, _ALL / max(1, len(numbers)))
    turns: dict[int, list[tuple[float, float, str]]] = {}
    for index, (number, own) in enumerate(zip(numbers, spans, strict=True)):
        turns.setdefault(number, []).extend(
            (max(0.0, first), min(last, end), str(index)) for first, last in _joined(own) if last > first
        )
    return [
        _longest(alone_spans(turns.get(number, []), str(index)), each) for index, number in enumerate(numbers)
    ]


def _joined(spans: Sequence[Sequence[float]]) -> list[Span]:
    """Single words are often all that says where somebody speaks: those of one stretch of speech together."""
    found: list[Span] = []
    for start, end in sorted((first, last) for first, last in spans):
        if found and start - found[-1][1] <= _JOIN:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def _longest(spans: Sequence[Span], seconds: float) -> list[Span]:
    """The longest of `spans`, `seconds` in all, in stretches that a network takes at once."""
    found: list[Span] = []
    for start, end in sorted(spans, key=lambda span: (span[0] - span[1], span[0])):
        length = min(end - start, seconds)
        seconds -= length
        cuts = np.linspace(start, start + length, max(1, round(length / _STRETCH)) + 1).tolist()
        found += [(a, b) for a, b in itertools.pairwise(cuts) if b - a >= _SHORTEST]
    return sorted(found)


def _embeddings(
    path: str, spans: Sequence[Sequence[Span]], model: str, threads: int, report: Callable[[float], None]
) -> list[Embedding]:
    """Each voice's mean embedding, zero for one too short to have one."""
    import sherpa_onnx  # type: ignore[import-untyped]  # noqa: PLC0415  (heavy; ships without hints)

    config = sherpa_onnx.SpeakerEmbeddingExtractorConfig(model=model, num_threads=threads)
    try:
        extractor = sherpa_onnx.SpeakerEmbeddingExtractor(config)
    except Exception as error:  # noqa: BLE001  (the binding lets every native error through)
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise Misconfigured(f"The speaker models can't be loaded ({line}).") from None
    found = [np.zeros(extractor.dim) for _ in spans]
    for index, own in enumerate(spans):
        for start, end in own:
            stream = extractor.create_stream()
            stream.accept_waveform(
                pcm.RATE, pcm.read(path, start, end).astype(np.float32) / np.float32(32768)
            )
            stream.input_finished()
            if extractor.is_ready(stream):
                vector = np.asarray(extractor.compute(stream), dtype=np.float64)
                norm = np.linalg.norm(vector)
                if np.isfinite(norm) and norm > 0:
                    found[index] += vector / norm * (end - start)
        report((index + 1) / len(spans))
    return found


def _evidence(
    path: str, spans: Sequence[Sequence[Span]], threads: int, report: Callable[[float], None]
) -> Evidence:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # noqa: PLC0415  (not always there)

    from core.engines.features import extract  # noqa: PLC0415  (needs scipy, which embeddings don't)

    regions = [span for own in spans for span in own]
    with threadpool_limits(max(1, threads)):
        speech = extract(path, regions, report=lambda fraction: report(0.8 * fraction))
        edges = np.cumsum([0, *(len(own) for own in spans)])
        frames = [(speech.offsets[a], speech.offsets[b]) for a, b in itertools.pairwise(edges.tolist())]
        return evidence_of(speech, frames)


def evidence_of(speech: Speech, voices: Sequence[tuple[int, int]]) -> Evidence:
    """What the frames of each voice, from the first to before the second number, say about its person."""
    counts, shifts, variation = _statistics(speech.cepstra, voices)
    size, components, dimensions = shifts.shape
    variance = _PIECES + variation / np.maximum(counts, _TINY)
    precision = np.repeat(np.where(counts > 0, 1 / variance, 0.0), dimensions, axis=1)
    means = _mean(counts, shifts).reshape(size, components * dimensions)
    pitch, sure = _pitches(speech, voices)
    return Evidence(
        precision=np.hstack([precision, sure[:, None]]),
        weighted=np.hstack([precision * means, (sure * pitch)[:, None]]),
        prior=np.append(np.full(components * dimensions, _PEOPLE), _PITCH_PEOPLE),
    )


def _statistics(
    cepstra: npt.NDArray[np.float32], voices: Sequence[tuple[int, int]]
) -> tuple[Floats, Floats, float]:
    """Each voice's frames per component, the sum of their distances from its mean in standard deviations, and
    the variance of one frame's that explains how the means of a voice's parts differ."""
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]  # noqa: PLC0415  (the same)
    from sklearn.mixture import GaussianMixture  # type: ignore[import-untyped]  # noqa: PLC0415  (not always there)

    some = max(1, min(_TRAINING_EACH, _TRAINING // max(1, len(voices))))
    training = [cepstra[a:b][:: max(1, (b - a) // some)] for a, b in voices if b > a]
    amount = sum(map(len, training))
    components = min(_COMPONENTS, max(1, amount // _FRAMES_EACH))
    counts = np.zeros((len(voices), components))
    shifts = np.zeros((len(voices), components, cepstra.shape[1]))
    if amount < 2:
        return counts, shifts, _USUAL_VARIATION
    mixture = GaussianMixture(
        components,
        covariance_type="diag",
        max_iter=_ITERATIONS,
        reg_covar=_FLOOR,
        init_params="k-means++",
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nothing is gained by the last few steps
        mixture.fit(np.concatenate(training))
    spread, freedom = 0.0, 0.0
    for index, (first, last) in enumerate(voices):
        frames = cepstra[first:last]
        parts = (
            np.array_split(frames, min(len(frames), max(2, round(len(frames) / _PART))))
            if len(frames)
            else []
        )
        for heard, shifted in (found := [_heard_by(mixture, part) for part in parts]):
            counts[index] += heard
            shifts[index] += shifted
        mean = _mean(counts[index], shifts[index])
        for heard, shifted in found:
            distances = ((_mean(heard, shifted) - mean) ** 2).mean(axis=1)
            spread += float(heard @ distances)
            freedom += float((1 - heard / np.maximum(counts[index], _TINY)).sum())
    return counts, shifts, (spread + _USUAL_WEIGHT * _USUAL_VARIATION) / (freedom + _USUAL_WEIGHT)


def _heard_by(mixture: Any, frames: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    shares = mixture.predict_proba(frames)
    counts = shares.sum(axis=0)
    return counts, (shares.T @ frames - counts[:, None] * mixture.means_) / np.sqrt(mixture.covariances_)


def _mean(counts: Floats, shifts: Floats) -> Floats:
    """Along the last axis but one; 0 where nothing was heard."""
    return shifts / np.maximum(counts, _TINY)[..., None]


def _pitches(speech: Speech, voices: Sequence[tuple[int, int]]) -> tuple[Floats, Floats]:
    """Each voice's median pitch in octaves above the recording's mean, and its precision, 0 if unknown."""
    pitch, sure = np.zeros(len(voices)), np.zeros(len(voices))
    for index, (first, last) in enumerate(voices):
        voiced = speech.pitch[first:last][~np.isnan(speech.pitch[first:last])]
        if len(voiced) >= _PITCH_LEAST:
            pitch[index] = np.median(voiced)
            sure[index] = 1 / (_PITCH_PIECES + _PITCH_FRAME / len(voiced))
    return pitch - (pitch @ sure) / max(float(sure.sum()), _TINY), sure
