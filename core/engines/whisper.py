"""Recognition with faster-whisper, on the child process's side: synchronous, one recording at a time.

The model stays loaded between calls. The recording is read in windows of half a minute, so memory does not
grow with its length.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.engines import pcm
from core.engines.packing import (
    Heard,
    Window,
    by_share,
    credible,
    joined,
    languages_heard,
    pack,
    restrict,
    sample,
    without_loops,
)
from core.engines.speech import find_speech
from core.errors import Misconfigured, Rejected, Transient

_SAMPLED = 8  # windows that are heard to tell the languages
_LISTENING = 0.05  # share of the work that finding speech is
_SURE = 0.9  # a language outside the sampled ones is believed from here
_LOOPING = 2.4  # Whisper's own bound for text that compresses too well

_SPACELESS = frozenset({"ja", "lo", "my", "th", "yue", "zh"})  # Whisper gives these word by word unspaced

Floats = npt.NDArray[np.float32]
Report = Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    path: str
    threads: int
    model: Any
    device: str


_loaded: list[_Loaded] = []  # at most one: the child process exists to keep it


def load(model_path: str, threads: int) -> str:
    """Load the CTranslate2 model in the folder `model_path` unless it is loaded already; return the device.

    Raises Misconfigured if the files are no such model, Transient if memory does not suffice.
    """
    return _load(model_path, threads).device


def _load(path: str, threads: int) -> _Loaded:
    if _loaded and (_loaded[0].path, _loaded[0].threads) == (path, threads):
        return _loaded[0]
    _loaded.clear()
    import ctranslate2  # type: ignore[import-untyped]  # noqa: PLC0415  (heavy; ships without hints)

    if ctranslate2.get_cuda_device_count() > 0:
        # A driver without cuBLAS or cuDNN, or a full GPU, only shows when loading and computing.
        with contextlib.suppress(RuntimeError, ValueError):
            model = _construct(path, "cuda", _compute_type(ctranslate2, "cuda"), threads)
            model.detect_language(np.zeros(pcm.RATE, dtype=np.float32))
            _loaded.append(_Loaded(path=path, threads=threads, model=model, device="cuda"))
            return _loaded[0]
    try:
        model = _construct(path, "cpu", _compute_type(ctranslate2, "cpu"), threads)
    except MemoryError:
        raise Transient("There is not enough memory to load the recognition model.") from None
    except Exception as error:  # noqa: BLE001  (three native libraries, each with errors of its own)
        raise Misconfigured(f"The weights can't be loaded ({_first_line(error)}).") from None
    _loaded.append(_Loaded(path=path, threads=threads, model=model, device="cpu"))
    return _loaded[0]


def _construct(path: str, device: str, compute_type: str, threads: int) -> Any:
    from faster_whisper import WhisperModel  # type: ignore[import-untyped]  # noqa: PLC0415  (likewise)

    return WhisperModel(
        path, device=device, compute_type=compute_type, cpu_threads=threads, local_files_only=True
    )


def _compute_type(ctranslate2: Any, device: str) -> str:
    """The fastest arithmetic that the device does well."""
    wanted = ("float16", "int8_float16", "int8") if device == "cuda" else ("int8", "int8_float32")
    supported = ctranslate2.get_supported_compute_types(device)
    return next((name for name in wanted if name in supported), "default")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def transcribe(
    *,
    path: str,
    model_path: str,
    threads: int,
    languages: Sequence[str],
    vocabulary: Sequence[str],
    report: Report,
) -> dict[str, Any]:
    """The words of the decoded audio `path`: `words` as [start, end, text, confidence], `languages`.

    `languages` (ISO 639-1) restricts detection, one of them switches it off. Raises Rejected for languages
    that the model does not know, and as `load` does.
    """
    model = _load(model_path, threads).model
    allowed = _known(languages, model.supported_languages)
    seconds = pcm.duration(path)
    speech = find_speech(
        path, min_silence=0.3, pad=0.4, report=lambda fraction: report(fraction * _LISTENING)
    )
    windows = pack(speech, quietest=lambda first, last: _quietest(path, first, last))
    spoken = _Languages(model, allowed)
    spoken.listen([_samples(path, windows[index]) for index in sample(len(windows), _SAMPLED)])
    total = sum(window.seconds for window in windows)
    done = 0.0
    words: list[Heard] = []
    shares: dict[str, float] = {}
    for window in windows:
        audio = _samples(path, window)
        language = spoken.of(audio)
        heard = list(_recognise(model, audio, window, language, vocabulary))
        if heard:
            shares[language] = shares.get(language, 0.0) + window.seconds
        words.extend(heard)
        done += window.seconds
        report(_LISTENING + (1 - _LISTENING) * done / total)
    report(1.0)
    words.sort(key=lambda word: word[0])
    return {
        "words": [(start, min(end, seconds), text, confidence) for start, end, text, confidence in words],
        "languages": by_share(shares),
    }


def _known(languages: Sequence[str], supported: Sequence[str]) -> tuple[str, ...]:
    known = tuple(code for code in languages if code in supported)
    if languages and not known:
        few = ", ".join(supported) if len(supported) < 5 else f"{len(supported)} others"
        raise Rejected(
            f"The recogniser does not know the language {', '.join(languages)}; it knows {few}. "
            "Ask whoever runs this service for a model that does, or correct the language setting."
        )
    return known


class _Languages:
    """Which language each window is in."""

    def __init__(self, model: Any, allowed: tuple[str, ...]) -> None:
        self._model = model
        self._allowed = allowed
        self._heard: tuple[str, ...] = allowed
        if not model.model.is_multilingual:
            self._heard = ("en",)

    def listen(self, samples: Sequence[Floats]) -> None:
        """Take note of what is spoken in these windows, unless it is known beforehand."""
        if len(self._heard) != 1:
            self._heard = languages_heard([self._probabilities(audio) for audio in samples])

    def of(self, audio: Floats) -> str:
        """The language of one window; a recording in one language is never switched by a cough."""
        if len(self._heard) == 1:
            return self._heard[0]
        everything = self._probabilities(audio)
        best = max(everything, key=lambda code: everything[code])
        if everything[best] >= _SURE:
            return best
        among = restrict(everything, self._heard)
        return max(among, key=lambda code: among[code]) if among else best

    def _probabilities(self, audio: Floats) -> dict[str, float]:
        _, _, probabilities = self._model.detect_language(audio)
        return restrict(dict(probabilities), self._allowed)


def _recognise(
    model: Any, audio: Floats, window: Window, language: str, vocabulary: Sequence[str]
) -> Iterator[Heard]:
    segments, _ = model.transcribe(
        audio,
        language=language,
        beam_size=5,
        word_timestamps=True,
        condition_on_previous_text=False,  # else one wrong loop spreads to everything after it
        hotwords=", ".join(vocabulary) or None,
        vad_filter=False,  # the windows hold speech only
    )
    for segment in segments:
        if not credible(no_speech=segment.no_speech_prob, log_probability=segment.avg_logprob):
            continue
        words = joined(
            [
                (float(word.start), float(word.end), word.word, min(1.0, max(0.0, float(word.probability))))
                for word in segment.words or ()
            ],
            spaced=language not in _SPACELESS,
        )
        kept: Sequence[int] = range(len(words))
        if segment.compression_ratio > _LOOPING:
            kept = without_loops([text for _, _, text, _ in words])
        for index in kept:
            start, end, text, confidence = words[index]
            yield *window.in_recording(start, end), text, confidence


def _samples(path: str, window: Window) -> Floats:
    pieces = [pcm.read(path, start, end) for start, end in window.pieces]
    return np.concatenate(pieces).astype(np.float32) / np.float32(32768)


def _quietest(path: str, first: float, last: float) -> float:
    """The middle of the quietest 0.2 s between two times."""
    step = pcm.RATE // 20
    audio = pcm.read(path, first, last).astype(np.float64)
    power = np.add.reduceat(audio**2, np.arange(0, max(len(audio), 1), step)) if len(audio) else audio
    if len(power) < 5:
        return last
    smooth = np.convolve(power, np.ones(4), mode="valid")
    return first + (int(np.argmin(smooth)) + 2) * step / pcm.RATE
