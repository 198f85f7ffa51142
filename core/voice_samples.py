"""From recordings of one person talking to a voiceprint, and why some recordings won't do."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from core.engines import pcm
from core.engines.credentials import PyannoteAIAccount
from core.engines.voice_embedding import Piece, VoiceModel, find_speech_in
from core.errors import ErniError, Misconfigured, Rejected
from core.identification import Span, length, likeness_of_halves, mean, pick
from core.media import decode
from core.model import Audio
from core.ports import Readiness
from core.registry import ENGINES, load
from core.settings import Settings, load_settings

SAME_VOICE = 0.3
"""Below this likeness samples are of two people: where sherpa-onnx's diarization tells voices apart."""

LEAST_SECONDS = 5.0
"""Speech without which no voice is known."""

_VENDOR_SECONDS = 29.5  # pyannoteAI takes 30
_SECONDS = 120.0  # more speech adds nothing to an embedding
_WINDOW, _SHORTEST_WINDOW = 6.0, 1.0


Stretch: TypeAlias = tuple[float, float, str, float]
"""Start and end in seconds, whose voice it is (a key asked for, or any other label), and confidence 0..1."""


class Identifier(Protocol):
    """A vendor that makes voiceprints and finds them in recordings: `core.engines.pyannoteai`."""

    async def check(self) -> Readiness: ...

    async def voiceprint(self, audio: Audio) -> str:
        """The print of the one voice in at most 30 s of audio."""
        ...

    async def identify(
        self, audio: Audio, voices: Mapping[str, str], *, threshold: float
    ) -> Sequence[Stretch]:
        """Who speaks when, as far as the likeness is at least `threshold` (0..1)."""
        ...

    async def close(self) -> None: ...


def pyannoteai(settings: Settings) -> Identifier | None:
    """The vendor, None where no key is set. Raises Misconfigured if it can't be used with these settings."""
    if load_settings(PyannoteAIAccount).api_key is None:
        return None
    found: Identifier = load(ENGINES["pyannoteai"])(settings)
    return found


async def connected(vendor: Identifier | None) -> Identifier:
    """The vendor, ready for use. Raises Misconfigured if it is not set up; closes it if it can't be used."""
    if vendor is None:
        raise Misconfigured("pyannoteAI is not set up: set PYANNOTEAI_API_KEY.")
    readiness = await vendor.check()
    if not readiness.usable:
        await vendor.close()
        raise Misconfigured(f"pyannoteAI can't be used: {readiness.reason} {readiness.remedy}".strip())
    return vendor


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """What samples of one person gave: `seconds` of speech, an embedding `vector` of the network `model` (its
    SHA-256), and a `vendor` voiceprint. `notes` are sentences for the operator."""

    samples: int
    seconds: float
    vector: tuple[float, ...] | None = None
    model: str = ""
    vendor: str | None = None
    vendor_seconds: float = 0.0
    notes: tuple[str, ...] = ()


async def listen_to(
    samples: Sequence[Path],
    work: Path,
    *,
    settings: Settings,
    vendor: Identifier | None,
) -> Sampled:
    """Decode the samples in the existing directory `work` and make of them what can be made here.

    Raises Rejected with a sentence about the samples, Misconfigured if nothing here can compare voices, and
    what the only way to compare them raises.
    """
    model = VoiceModel(settings)
    if not model.installed:
        if vendor is None:
            raise Misconfigured(
                "Nothing here can compare voices. Run `erni-audio models fetch speakers` to do it on this "
                "machine, or set PYANNOTEAI_API_KEY."
            )
        await connected(vendor)
    spoken = await find_speech_in(
        [await _decoded(sample, work / str(number), settings) for number, sample in enumerate(samples)]
    )
    seconds = length(span for _, span in spoken)
    if seconds < LEAST_SECONDS:
        found = f"{seconds:.1f} s of speech" if seconds else "no speech"
        raise Rejected(
            f"There is {found} in this. A voice needs at least {LEAST_SECONDS:.0f} s, better half a minute, "
            "of one person talking close to the microphone."
        )
    vector: tuple[float, ...] | None = None
    notes: list[str] = []
    if model.installed:
        vector = await _embedding(model, spoken)
    print_, print_seconds = None, 0.0
    if vendor is not None:
        try:
            print_, print_seconds = await _voiceprint(vendor, spoken, work)
        except ErniError as error:
            if vector is None:
                raise
            notes.append(f"pyannoteAI made no voiceprint ({error}), so it can't recognise this voice.")
    return Sampled(
        samples=len(samples),
        seconds=seconds,
        vector=vector,
        model=await model.digest() if vector is not None else "",
        vendor=print_,
        vendor_seconds=print_seconds,
        notes=tuple(notes),
    )


async def _decoded(sample: Path, work: Path, settings: Settings) -> Path:
    work.mkdir(mode=0o700)
    try:
        audio = await decode(
            sample, work, settings=settings, report=lambda _fraction: None, announced_name=sample.name
        )
    except Rejected as error:
        raise Rejected(f"{sample.name}: {error.user_message}") from None
    return audio.path


async def _embedding(model: VoiceModel, spoken: Sequence[Piece]) -> tuple[float, ...]:
    """The mean over windows of all samples. Raises Rejected if they seem to be of two people."""
    pieces = _best(spoken, seconds=_SECONDS, longest=_WINDOW)
    wanted = [(path, span) for path, span in pieces if span[1] - span[0] >= _SHORTEST_WINDOW] or pieces
    windows: list[tuple[Sequence[float], float]] = [
        (vector, end - start)
        for (_, (start, end)), vector in zip(wanted, await model.embeddings(wanted), strict=True)
        if vector is not None
    ]
    found = mean(windows)
    if found is None:
        raise Rejected("The voice in this can't be made out. Record it again, closer to the microphone.")
    if likeness_of_halves(windows) < SAME_VOICE:
        raise Rejected(
            "More than one person seems to talk in this. Give samples in which only this person does."
        )
    return found


async def _voiceprint(vendor: Identifier, spoken: Sequence[Piece], work: Path) -> tuple[str, float]:
    await connected(vendor)
    best = _best(spoken, seconds=_VENDOR_SECONDS, longest=_VENDOR_SECONDS)
    target = work / "voice.wav"
    _, seconds = await cut(best, target)
    return await vendor.voiceprint(Audio(path=target, seconds=seconds)), seconds


def _best(spoken: Sequence[Piece], *, seconds: float, longest: float) -> list[Piece]:
    """The longest stretches over all files: they are laid end to end to be picked from."""
    laid, at = [], 0.0
    for _, (start, end) in spoken:
        laid.append((at, at + end - start))
        at += end - start + 1.0
    chosen = pick(laid, seconds=seconds, longest=longest)
    return [
        (path, (first + start - begin, last + start - begin))
        for first, last in chosen
        for (path, (start, _)), (begin, finish) in zip(spoken, laid, strict=True)
        if begin <= first < finish
    ]


async def cut(pieces: Sequence[Piece], target: Path, *, gap: float = 0.0) -> tuple[list[Span], float]:
    """Write stretches of decoded audio one after another to the WAV file `target`, with `gap` seconds of
    silence after each; where each of them is in it, and its length in seconds."""
    return await asyncio.to_thread(_cut, pieces, target, gap)


def _cut(pieces: Sequence[Piece], target: Path, gap: float) -> tuple[list[Span], float]:
    places: list[Span] = []
    frames = 0
    with wave.open(str(target), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(pcm.RATE)
        for path, (start, end) in pieces:
            samples = pcm.read(path, start, end)
            file.writeframes(samples.astype("<i2").tobytes())
            file.writeframes(bytes(2 * round(gap * pcm.RATE)))
            places.append((frames / pcm.RATE, (frames + len(samples)) / pcm.RATE))
            frames += len(samples) + round(gap * pcm.RATE)
    return places, frames / pcm.RATE
