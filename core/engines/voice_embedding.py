"""Embeddings of voices with sherpa-onnx: vectors that lie close together for one person's voice.

The network is the one that diarization uses (`embedding.onnx` of the speaker models). It runs in a child
process that ends with the call: recordings are few beside what loading costs.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from core.child import ONE_THREAD, Child, ChildDied, ChildFailed
from core.errors import Misconfigured, Transient
from core.identification import Span
from core.models import models_dir, place_of, problems
from core.settings import Settings

Piece: TypeAlias = tuple[Path, Span]
"""A stretch of a file of decoded audio."""

_PATIENCE = 300.0  # seconds that a child may take; comparing ten speakers takes about ten
_MISSING = "The voice models are not on this machine. Run `erni-audio models fetch speakers`."


class VoiceModel:
    """The embedding network of these settings, where it is installed."""

    def __init__(self, settings: Settings) -> None:
        self._folder = models_dir(settings)
        self._name = settings.local_speakers
        self._digest = ""

    @property
    def installed(self) -> bool:
        """Whether the package and the weights are there. Looks at sizes only."""
        if importlib.util.find_spec("sherpa_onnx") is None:
            return False
        return not problems(self._folder, self._name, "speakers")

    async def digest(self) -> str:
        """The SHA-256 of the network's file: embeddings of different networks can't be compared.

        Raises Misconfigured if it can't be read.
        """
        if not self._digest:
            try:
                self._digest = await asyncio.to_thread(_sha256, self.path)
            except OSError:
                raise Misconfigured(_MISSING) from None
        return self._digest

    async def embeddings(self, pieces: Sequence[Piece]) -> list[list[float] | None]:
        """One embedding for each stretch of decoded audio, None where it is too short.

        Raises Misconfigured (weights missing or damaged) or Transient (memory, a crash, a hang).
        """
        if not self.installed:
            raise Misconfigured(_MISSING)
        model = {"embedding": os.fspath(self.path)}
        async with Child() as child:
            await _call(child, "load", model)
            spans = [(os.fspath(path), start, end) for path, (start, end) in pieces]
            found: list[list[float] | None] = await _call(child, "embed", model | {"spans": spans})
        return found

    @property
    def path(self) -> Path:
        """Where the network's file is, or would be."""
        return place_of(self._folder, self._name) / "embedding.onnx"


async def find_speech_in(paths: Sequence[Path]) -> list[Piece]:
    """Where somebody speaks in files of decoded audio. Raises Misconfigured (no detector) or Transient."""
    async with Child(environment=ONE_THREAD) as child:
        return [
            (path, (start, end))
            for path in paths
            for start, end in await _call(child, "speech", {"path": os.fspath(path)})
        ]


async def _call(child: Child, function: str, arguments: dict[str, Any]) -> Any:
    try:
        return await child.call(f"{__name__}:{function}", arguments, timeout=_PATIENCE)
    except TimeoutError:
        raise Transient("Comparing voices took too long.") from None
    except ChildFailed as error:
        if error.kind == "Misconfigured":
            raise Misconfigured(str(error).partition(": ")[2]) from None
        if error.kind == "MemoryError":
            raise Transient("There is not enough memory to compare voices.") from None
        raise
    except ChildDied as error:
        if function == "load" and error.signal_number != 9:
            raise Misconfigured("The voice models are damaged: loading them ended the process.") from None
        raise Transient("The process that compares voices ended unexpectedly.") from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# the child's side

_loaded: list[Any] = []  # at most one: the child process exists to keep it


def load(embedding: str) -> None:
    """Load the network. Raises Misconfigured if it is broken; sherpa-onnx ends the process on some files."""
    import sherpa_onnx  # type: ignore[import-untyped]  # noqa: PLC0415  (heavy; ships without hints)

    config = sherpa_onnx.SpeakerEmbeddingExtractorConfig(model=embedding, num_threads=1)
    try:
        _loaded[:] = [sherpa_onnx.SpeakerEmbeddingExtractor(config)]
    except Exception as error:  # noqa: BLE001  (the binding lets every native error through)
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise Misconfigured(f"The voice models can't be loaded ({line}).") from None


def embed(embedding: str, spans: Sequence[tuple[str, float, float]]) -> list[list[float] | None]:
    """The embedding of each span (file, start, end), None for one too short or that gives nothing finite."""
    import numpy as np  # noqa: PLC0415

    from core.engines import pcm  # noqa: PLC0415

    if not _loaded:
        load(embedding)
    extractor = _loaded[0]
    found: list[list[float] | None] = []
    for path, start, end in spans:
        samples = pcm.read(path, start, end).astype(np.float32) / np.float32(32768)
        stream = extractor.create_stream()
        stream.accept_waveform(pcm.RATE, samples)
        stream.input_finished()
        vector = [float(value) for value in extractor.compute(stream)] if extractor.is_ready(stream) else []
        size = math.hypot(*vector)
        found.append(vector if 0 < size < math.inf else None)
    return found


def speech(path: str) -> list[Span]:
    """The stretches of speech of at least half a second, found as sensitively as the recording needs."""
    from core.engines.speech import find_speech, threshold_for  # noqa: PLC0415

    try:
        return find_speech(path, threshold=threshold_for(path), min_speech=0.5)
    except FileNotFoundError:
        raise Misconfigured(
            "Speech can't be told from noise here: install the extra `local` or `cloud`."
        ) from None
