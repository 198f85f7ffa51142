"""Where somebody speaks: the silero VAD that ships inside faster-whisper, streamed over a file.

Runs the network with onnxruntime directly: importing `faster_whisper` would load CTranslate2 and a hub
client, and its own function wants the whole recording in memory.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from core.engines import pcm

_WINDOW = 512  # samples that one probability stands for
_CONTEXT = 64  # samples before the window that the network sees as well
_BLOCK = 1000 * _WINDOW  # 32 s: large enough for speed, small enough for memory
_HYSTERESIS = 0.15
_THRESHOLD, _QUIET_THRESHOLD = 0.5, 0.35
_QUIET_LEVEL = 3277  # of 32768: -20 dB
_LOUD_SHARE = 0.999  # of the samples are below what counts as the loudest

Floats: TypeAlias = npt.NDArray[np.float32]

Span: TypeAlias = tuple[float, float]
"""Start and end in seconds."""


def find_speech(
    path: str | PathLike[str],
    *,
    threshold: float = _THRESHOLD,
    min_silence: float = 0.2,
    min_speech: float = 0.0,
    pad: float = 0.06,
    report: Callable[[float], None] | None = None,
) -> list[Span]:
    """The stretches of speech in decoded audio (16 kHz mono 16-bit PCM WAV), in order, never overlapping.

    Speech begins at a probability of at least `threshold` (0..1) and ends when it stays below
    `threshold - 0.15` for `min_silence` seconds; stretches shorter than `min_speech` seconds are dropped, the
    others grow by `pad` seconds on both sides, neighbours sharing a shorter gap evenly. Memory is bounded for
    any length of recording. Raises ValueError for any other kind of file.
    """
    seconds = pcm.duration(path)
    probabilities = speech_probabilities(path, report=report)
    step = _WINDOW / pcm.RATE
    spans = hysteresis(probabilities, threshold=threshold, min_silence=math.ceil(min_silence / step))
    kept = [
        (first * step, min(last * step, seconds))
        for first, last in spans
        if (last - first) * step >= min_speech
    ]
    return pad_spans(kept, pad=pad, seconds=seconds)


def threshold_for(path: str | PathLike[str]) -> float:
    """A threshold that suits the recording: 0.5, or 0.35 where even its loudest moments are quiet.

    Microphones far away make speech quiet, and silero then misses much of it (seen: a quarter). Raises
    ValueError if the file is not 16 kHz mono 16-bit PCM.
    """
    counts = np.zeros(32769, dtype=np.int64)
    for block in pcm.blocks(path, _BLOCK):
        counts += np.bincount(np.abs(block.astype(np.int32)), minlength=len(counts))
    loudest = int(np.searchsorted(np.cumsum(counts), _LOUD_SHARE * counts.sum()))
    return _QUIET_THRESHOLD if loudest < _QUIET_LEVEL else _THRESHOLD


def speech_probabilities(
    path: str | PathLike[str], *, report: Callable[[float], None] | None = None
) -> Iterator[float]:
    """The probability of speech in each 32 ms of the file. Reports the finished fraction per 32 s block."""
    session = _session()
    total = max(1.0, pcm.duration(path) * pcm.RATE)
    hidden = cell = np.zeros((1, 1, 128), dtype=np.float32)
    context: Floats = np.zeros(_CONTEXT, dtype=np.float32)
    done = 0
    for block in pcm.blocks(path, _BLOCK):
        audio: Floats = np.zeros(len(block) + -len(block) % _WINDOW, dtype=np.float32)
        audio[: len(block)] = block
        audio /= 32768
        windows = _with_context(audio, context)
        output, hidden, cell = session.run(None, {"input": windows, "h": hidden, "c": cell})
        yield from np.asarray(output, dtype=np.float64).ravel().tolist()
        context = audio[-_CONTEXT:]
        done += len(block)
        if report is not None:
            report(min(1.0, done / total))


def hysteresis(
    probabilities: Iterable[float], *, threshold: float, min_silence: int
) -> Iterator[tuple[int, int]]:
    """Stretches of speech as half-open ranges of indices into `probabilities`.

    A stretch ends where the probability first falls below `threshold - 0.15`, provided that it does not reach
    `threshold` again within the next `min_silence` values.
    """
    release = max(threshold - _HYSTERESIS, 0.01)
    begin: int | None = None
    quiet: int | None = None
    index = -1
    for index, probability in enumerate(probabilities):
        if probability >= threshold:
            begin = index if begin is None else begin
            quiet = None
        elif begin is not None:
            if quiet is None and probability < release:
                quiet = index
            if quiet is not None and index - quiet >= min_silence:
                yield begin, quiet
                begin = quiet = None
    if begin is not None:
        yield begin, index + 1 if quiet is None else quiet


def pad_spans(spans: Iterable[Span], *, pad: float, seconds: float) -> list[Span]:
    """`spans` grown by `pad` on both sides within 0..`seconds`; a gap too short for both is halved."""
    padded: list[Span] = []
    previous_end: float | None = None
    for start, end in spans:
        begin = max(0.0, start - pad)
        if previous_end is not None and padded[-1][1] > begin:
            begin = (previous_end + start) / 2
            padded[-1] = (padded[-1][0], begin)
        padded.append((begin, min(seconds, end + pad)))
        previous_end = end
    return padded


def _with_context(audio: Floats, context: Floats) -> Floats:
    windows = audio.reshape(-1, _WINDOW)
    before = np.vstack([context[None, :], windows[:-1, -_CONTEXT:]])
    return np.hstack([before, windows])


def vad_model() -> Path | None:
    """The network's file inside the installed faster-whisper, None where that is not installed."""
    spec = importlib.util.find_spec("faster_whisper")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        found = sorted(Path(folder, "assets").glob("silero_vad_v*.onnx"))
        if found:
            return found[-1]
    return None


@cache
def _session() -> Any:
    # Imported late because it is heavy and only child processes get here; it ships without type hints.
    import onnxruntime  # type: ignore[import-untyped]  # noqa: PLC0415

    model = vad_model()
    if model is None:
        raise FileNotFoundError("the silero VAD of faster-whisper is not installed")
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(model), sess_options=options, providers=["CPUExecutionProvider"])
