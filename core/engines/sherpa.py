"""Diarization with sherpa-onnx, on the child process's side: synchronous, one recording at a time.

Who speaks in each ten seconds comes from pyannote's segmentation network (Plaquet and Bredin 2023), whose
local speakers are compared by voice embeddings and clustered. That comparison grows with the square of the
length, so long recordings are diarized in pieces whose speakers `core.engines.linking` puts together: memory
does not grow with length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from core.cutting import Piece
from core.engines import pcm
from core.engines.linking import Embedding, Turn, assemble, link, pieces
from core.errors import Misconfigured

_LONGEST = 1500.0  # seconds diarized at once: about 4,000 embeddings to compare
_OVERLAP = 10.0  # the network's window: a voice at a seam is heard whole on both sides
_THRESHOLD = 0.7  # cosine distance (complete linkage) at which sherpa-onnx tells voices apart
_SHORTEST = 0.1  # seconds; less is no speech and upsets the network
_VOICE_TURNS, _VOICE_SECONDS = 8, 8.0  # what a speaker's embedding is made of: that many turns, that long

Report = Callable[[float], None]
Floats = npt.NDArray[np.float32]


@dataclass(slots=True, kw_only=True)
class _Loaded:
    key: tuple[str, str, int]
    diarizer: Any
    config: Any
    extractor: Any = None
    embedding: Any = field(default=None)


_loaded: list[_Loaded] = []  # at most one: the child process exists to keep it


def load(segmentation: str, embedding: str, threads: int) -> None:
    """Load the two ONNX models unless they are loaded already. Raises Misconfigured if they are broken.

    sherpa-onnx ends the process on some broken files: a child that dies here says the same.
    """
    _load(segmentation, embedding, threads)


def _load(segmentation: str, embedding: str, threads: int) -> _Loaded:
    key = (segmentation, embedding, threads)
    if _loaded and _loaded[0].key == key:
        return _loaded[0]
    _loaded.clear()
    import sherpa_onnx  # type: ignore[import-untyped]  # noqa: PLC0415  (heavy; ships without hints)

    voice = sherpa_onnx.SpeakerEmbeddingExtractorConfig(model=embedding, num_threads=threads)
    config = sherpa_onnx.OfflineSpeakerDiarizationConfig(
        segmentation=sherpa_onnx.OfflineSpeakerSegmentationModelConfig(
            pyannote=sherpa_onnx.OfflineSpeakerSegmentationPyannoteModelConfig(model=segmentation),
            num_threads=threads,
        ),
        embedding=voice,
        clustering=sherpa_onnx.FastClusteringConfig(num_clusters=-1, threshold=_THRESHOLD),
        min_duration_on=0.2,
        min_duration_off=0.4,
    )
    try:
        diarizer = sherpa_onnx.OfflineSpeakerDiarization(config)
        rate = diarizer.sample_rate
    except Exception as error:  # noqa: BLE001  (the binding lets every native error through)
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise Misconfigured(f"The speaker models can't be loaded ({line}).") from None
    if rate != pcm.RATE:
        raise Misconfigured(f"The segmentation model wants {rate} samples a second instead of {pcm.RATE}.")
    _loaded.append(_Loaded(key=key, diarizer=diarizer, config=config, embedding=voice))
    return _loaded[0]


def diarize(
    *,
    path: str,
    segmentation: str,
    embedding: str,
    threads: int,
    min_speakers: int | None,
    max_speakers: int | None,
    report: Report,
) -> list[Turn]:
    """The speaker turns of the decoded audio `path`, possibly overlapping, in order of start.

    The number of speakers is found automatically and kept within the bounds where they are given, as far as
    the voices allow. Raises Misconfigured as `load` does.
    """
    models = _load(segmentation, embedding, threads)
    seconds = pcm.duration(path)
    if seconds < _SHORTEST:
        return []
    plan = pieces(seconds, longest=_LONGEST, overlap=_OVERLAP)
    least = min_speakers if len(plan) == 1 else None
    parts: list[tuple[Piece, list[Turn]]] = []
    voices: list[tuple[int, Embedding]] = []
    owners: list[tuple[int, str]] = []
    for number, piece in enumerate(plan):
        samples = pcm.read(path, piece.start, piece.end).astype(np.float32) / np.float32(32768)
        turns = _bounded(models, samples, least, max_speakers, _partly(report, number, len(plan)))
        for speaker in dict.fromkeys(speaker for _, _, speaker in turns):
            owners.append((number, speaker))
            if len(plan) > 1:
                voices.append((number, _voice(models, samples, turns, speaker)))
        shifted = [(start + piece.start, end + piece.start, speaker) for start, end, speaker in turns]
        parts.append((piece, shifted))
    if len(plan) > 1:
        people = link(voices, least=min_speakers, most=max_speakers)
    else:
        people = list(range(len(owners)))
    report(1.0)
    return assemble(parts, dict(zip(owners, people, strict=True)))


def _partly(report: Report, number: int, count: int) -> Report:
    return lambda fraction: report((number + fraction) / count)


def _bounded(
    models: _Loaded, samples: Floats, least: int | None, most: int | None, report: Report
) -> list[Turn]:
    """Turns of one piece; clustered again with a fixed number if the automatic one is out of bounds."""
    if least is not None and least == most:
        return _process(models, samples, least, report)
    turns = _process(models, samples, None, report)
    count = len({speaker for _, _, speaker in turns})
    if not turns or count == (wanted := max(least or 1, min(count, most or count))):
        return turns
    return _process(models, samples, wanted, report)


def _process(models: _Loaded, samples: Floats, speakers: int | None, report: Report) -> list[Turn]:
    models.config.clustering.num_clusters = speakers or -1
    models.config.clustering.threshold = _THRESHOLD
    models.diarizer.set_config(models.config)

    def progress(done: int, total: int) -> int:
        report(done / max(total, 1))
        return 0

    result = models.diarizer.process(samples, callback=progress)
    seconds = len(samples) / pcm.RATE
    return [
        (max(0.0, segment.start), min(segment.end, seconds), str(segment.speaker))
        for segment in result.sort_by_start_time()
        if min(segment.end, seconds) > max(0.0, segment.start)
    ]


def _voice(models: _Loaded, samples: Floats, turns: Sequence[Turn], speaker: str) -> Embedding:
    """The speaker's mean embedding, from the longest stretches in which nobody else talks."""
    if models.extractor is None:
        import sherpa_onnx  # noqa: PLC0415

        models.extractor = sherpa_onnx.SpeakerEmbeddingExtractor(models.embedding)
    alone = alone_spans(turns, speaker)
    longest = sorted(alone, key=lambda span: span[0] - span[1])[:_VOICE_TURNS]
    total = np.zeros(models.extractor.dim, dtype=np.float64)
    for start, end in longest:
        stop = min(end, start + _VOICE_SECONDS)
        stream = models.extractor.create_stream()
        stream.accept_waveform(pcm.RATE, samples[round(start * pcm.RATE) : round(stop * pcm.RATE)])
        stream.input_finished()
        if models.extractor.is_ready(stream):
            found = np.asarray(models.extractor.compute(stream), dtype=np.float64)
            norm = np.linalg.norm(found)
            if np.isfinite(norm) and norm > 0:
                total += found / norm * (stop - start)
    return total


def alone_spans(turns: Sequence[Turn], speaker: str) -> list[tuple[float, float]]:
    """Where `speaker` talks and nobody else does; where that is nowhere, simply where they talk."""
    own = [(start, end) for start, end, who in turns if who == speaker]
    others = sorted((start, end) for start, end, who in turns if who != speaker)
    spans: list[tuple[float, float]] = []
    for start, end in own:
        at = start
        for first, last in others:
            if last <= at or first >= end:
                continue
            if first > at:
                spans.append((at, first))
            at = max(at, last)
        if at < end:
            spans.append((at, end))
    return spans or own
