"""The `local` engine: faster-whisper hears words and sherpa-onnx tells voices apart, both on this machine.

Each runs in a child process of its own, at the same time as the other, and keeps its model loaded between
recordings. Needs no account and, once the weights are there, no network.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from core.child import Child, ChildDied, ChildFailed
from core.engines import machine
from core.engines.catalogue import SETS, choose_model
from core.engines.machine import Machine
from core.errors import Misconfigured, Transient
from core.model import Audio, Diarization, Hints, Recognition, SpeakerTurn, Word
from core.models import installed, models_dir, place_of, problems
from core.ports import Capabilities, Diarizer, Engine, Readiness, Report, Transcriber
from core.settings import Settings

_PACKAGES = {"faster_whisper": "faster-whisper", "sherpa_onnx": "sherpa-onnx"}
_EXTRA = "Install the extra: pip install 'erni-audio[local]'."
_OFFLINE = {"HF_HUB_OFFLINE": "1"}  # the libraries must not go and look for files themselves


def create(settings: Settings) -> Engine:
    """The engine for these settings. Raises Misconfigured for an unusable `ERNI_LOCAL_MODEL`."""
    return LocalEngine(settings)


class LocalEngine:
    """Both halves, their child processes and the choice of models."""

    name = "local"
    draft = False

    def __init__(self, settings: Settings) -> None:
        self._folder = models_dir(settings)
        self._wanted = settings.local_model
        self._speakers = settings.local_speakers
        for name in (self._wanted, self._speakers):
            if not name or Path(name).name != name or name.startswith("."):
                raise Misconfigured(
                    f"ERNI_LOCAL_MODEL and ERNI_LOCAL_SPEAKERS name a folder in {self._folder}, not {name!r}."
                )
        self._machine: Machine | None = None
        self._recogniser = LocalTranscriber(self)
        self._diarizer = LocalDiarizer(self)

    @property
    def transcriber(self) -> Transcriber:
        return self._recogniser

    @property
    def diarizer(self) -> Diarizer:
        return self._diarizer

    async def check(self) -> Readiness:
        """Whether packages and weights are there, and which model it takes; reads no weights."""
        absent = [name for module, name in _PACKAGES.items() if importlib.util.find_spec(module) is None]
        if absent:
            return Readiness(usable=False, reason=f"not installed: {', '.join(absent)}", remedy=_EXTRA)
        seen, model = await self.choose()
        found = await asyncio.to_thread(self._problems, model)
        if found:
            return Readiness(usable=False, reason=" ".join(found), remedy=self.remedy(model))
        where = "the GPU" if seen.gpu_memory_bytes else f"{seen.cores} processor cores"
        return Readiness(usable=True, reason=f"Whisper {model} on {where}")

    async def close(self) -> None:
        """End both child processes."""
        await asyncio.gather(self._recogniser.child.close(), self._diarizer.child.close())

    async def choose(self) -> tuple[Machine, str]:
        """The machine and the speech model for it: `ERNI_LOCAL_MODEL`, or the best that is there."""
        if self._machine is None:
            self._machine = await asyncio.to_thread(machine.probe)
        seen = self._machine
        if self._wanted != "auto":
            return seen, self._wanted
        there = await asyncio.to_thread(
            lambda: {
                name
                for name, item in SETS.items()
                if item.purpose == "speech" and installed(self._folder, name)
            }
        )
        return seen, choose_model(seen.memory_bytes, seen.cores, seen.gpu_memory_bytes, there)

    async def give_up_gpu(self) -> bool:
        """Plan without the GPU, which CTranslate2 can't use (no cuBLAS, say); whether one was planned."""
        seen, _ = await self.choose()
        self._machine = replace(seen, gpu_memory_bytes=None)
        return seen.gpu_memory_bytes is not None

    @property
    def speakers(self) -> str:
        """Name of the speaker models in use."""
        return self._speakers

    def _problems(self, model: str) -> tuple[str, ...]:
        away = [name for name in (model, self._speakers) if not _has_files(place_of(self._folder, name))]
        # One sentence rather than one a file.
        absent = (f"The weights of {' and '.join(away)} are not on this machine.",) if away else ()
        speech = () if model in away else problems(self._folder, model)
        speakers = () if self._speakers in away else problems(self._folder, self._speakers, "speakers")
        return absent + speech + speakers

    def remedy(self, *names: str) -> str:
        """How to get the weights named."""
        wanted = [name for name in (*names, self._speakers) if name in SETS]
        own = [name for name in (*names, self._speakers) if name not in SETS]
        steps = []
        if wanted:
            steps.append(
                f"Run `erni-audio models fetch {' '.join(dict.fromkeys(wanted))}`, or copy the files to "
                f"{self._folder} (MODELS_DIR)."
            )
        if own:
            steps.append(f"Put your model's files into {', '.join(str(self._folder / n) for n in own)}.")
        return " ".join(steps)

    async def place(self, model: str, *, speakers: bool = False) -> Path:
        """The folder of a model that is there. Raises Misconfigured saying what is missing."""
        purpose: Literal["speech", "speakers"] = "speakers" if speakers else "speech"
        found = await asyncio.to_thread(problems, self._folder, model, purpose)
        if found:
            raise Misconfigured(f"{' '.join(found)} {self.remedy(model)}")
        return place_of(self._folder, model)


def _has_files(place: Path) -> bool:
    return place.is_dir() and any(path.suffix != ".lock" and path.name != ".lock" for path in place.iterdir())


async def _call(
    child: Child, function: str, arguments: Mapping[str, Any], report: Report | None, remedy: str
) -> Any:
    """A child's answer, with what can go wrong in it classified."""
    try:
        return await child.call(function, arguments, report=report)
    except ChildFailed as error:
        if error.kind == "Misconfigured":
            raise Misconfigured(f"{str(error).partition(': ')[2]} {remedy}") from None
        if error.kind == "MemoryError":
            raise Transient("There is not enough memory for local recognition.") from None
        raise
    except ChildDied as error:
        if function.endswith(":load") and error.signal_number != 9:
            raise Misconfigured(
                f"The weights are damaged: loading them ended the process. {remedy}"
            ) from None
        why = " It was killed, most likely for want of memory." if error.signal_number == 9 else ""
        raise Transient(f"The process of the local engine ended unexpectedly.{why}") from None


class LocalTranscriber:
    """faster-whisper in its child process."""

    capabilities = Capabilities(word_times=True)

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        self._model = ""
        self.child = Child(environment=_OFFLINE)

    @property
    def name(self) -> str:
        """With the model, once one was used."""
        return f"faster-whisper {self._model}".strip()

    async def transcribe(self, audio: Audio, hints: Hints, report: Report) -> Recognition:
        """The words of `audio.path`. Raises Rejected (no such language), Transient (memory, a crash) or
        Misconfigured (weights missing or damaged)."""
        device, model, loaded = await self._load()
        if device == "cpu" and await self._engine.give_up_gpu():
            _, model, loaded = await self._load()
        self._model = model
        found = await _call(
            self.child,
            "core.engines.whisper:transcribe",
            {
                **loaded,
                "path": os.fspath(audio.path),
                "languages": list(hints.languages),
                "vocabulary": list(hints.vocabulary),
            },
            report,
            self._engine.remedy(model),
        )
        return Recognition(
            words=tuple(
                Word(start=start, end=end, text=text, confidence=confidence)
                for start, end, text, confidence in found["words"]
            ),
            languages=tuple(found["languages"]),
        )

    async def _load(self) -> tuple[str, str, dict[str, Any]]:
        """Load the model that suits; its device, its name, and what to call it with."""
        seen, model = await self._engine.choose()
        place = await self._engine.place(model)
        threads, _ = machine.share_cores(seen.cores, gpu=seen.gpu_memory_bytes is not None)
        loaded = {"model_path": str(place), "threads": threads}
        device = await _call(
            self.child, "core.engines.whisper:load", loaded, None, self._engine.remedy(model)
        )
        return device, model, loaded


class LocalDiarizer:
    """sherpa-onnx in its child process."""

    name = "sherpa-onnx"
    capabilities = Capabilities(word_times=False, takes_languages=False, takes_vocabulary=False)

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        self.child = Child()

    async def diarize(self, audio: Audio, hints: Hints, report: Report) -> Diarization:
        """The speaker turns of `audio.path`. Raises Transient (memory, a crash) or Misconfigured."""
        seen, _ = await self._engine.choose()
        speakers = self._engine.speakers
        place = await self._engine.place(speakers, speakers=True)
        _, threads = machine.share_cores(seen.cores, gpu=seen.gpu_memory_bytes is not None)
        models = {
            "segmentation": str(place / "segmentation.onnx"),
            "embedding": str(place / "embedding.onnx"),
            "threads": threads,
        }
        remedy = self._engine.remedy()
        await _call(self.child, "core.engines.sherpa:load", models, None, remedy)
        turns = await _call(
            self.child,
            "core.engines.sherpa:diarize",
            {
                **models,
                "path": os.fspath(audio.path),
                "min_speakers": hints.min_speakers,
                "max_speakers": hints.max_speakers,
            },
            report,
            remedy,
        )
        return Diarization(
            turns=tuple(SpeakerTurn(start=start, end=end, speaker=speaker) for start, end, speaker in turns),
            overlapping=True,
        )
