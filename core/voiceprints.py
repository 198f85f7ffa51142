"""What is kept of a person's voice, and when it may be."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from core.errors import Rejected
from core.identification import cosine, mean
from core.settings import Settings
from core.voice_samples import SAME_VOICE, Sampled

LONGEST_NAME = 100

_Number = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """The mean direction of a voice in one network's space, from `seconds` of speech."""

    vector: Annotated[tuple[_Number, ...], Field(min_length=1, max_length=4096)]
    seconds: Annotated[_Number, Field(gt=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One person's voice. `embeddings` are by the SHA-256 of the network that made them; `vendor` is
    pyannoteAI's voiceprint, from `vendor_seconds` of speech."""

    id: str
    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    added_at: datetime
    samples: Annotated[int, Field(ge=0)]
    seconds: Annotated[_Number, Field(ge=0)]
    embeddings: Mapping[str, Embedding] = field(default_factory=dict)
    vendor: str | None = None
    vendor_seconds: Annotated[_Number, Field(ge=0)] = 0.0


def refusal(settings: Settings) -> str:
    """Why voiceprints may not be kept under these settings, and what to set; empty if they may."""
    if not settings.voices:
        return (
            "Recognising voices is turned off. Voiceprints are biometric data: ask the people first, then "
            "set ERNI_VOICES=true and ERNI_ENCRYPTION_KEY."
        )
    if settings.encryption_key is None or not settings.encryption_key.get_secret_value():
        return (
            "Voiceprints are only kept encrypted: set ERNI_ENCRYPTION_KEY to a key. `erni-audio doctor "
            "--new-key` makes one."
        )
    return ""


def same_name(name: str) -> str:
    """What two spellings of one name have in common."""
    return unicodedata.normalize("NFC", name).casefold()


def joined(known: Voice | None, name: str, sampled: Sampled) -> Voice:
    """`known`, or a new voice called `name`, with the new samples in it.

    Raises Rejected if they are of somebody else.
    """
    voice = known or Voice(id=uuid.uuid4().hex, name=name, added_at=datetime.now(UTC), samples=0, seconds=0.0)
    embeddings = dict(voice.embeddings)
    if sampled.vector is not None:
        parts = [(sampled.vector, sampled.seconds)]
        if old := embeddings.get(sampled.model):
            if cosine(old.vector, sampled.vector) < SAME_VOICE:
                raise Rejected(
                    "This does not sound like the earlier samples of that person. If it is, remove the voice "
                    "and add it again from the new samples; else choose another name."
                )
            parts.append((old.vector, old.seconds))
        together = mean(parts) or sampled.vector
        seconds = sum(seconds for _, seconds in parts)
        embeddings[sampled.model] = Embedding(vector=together, seconds=seconds)
    # A vendor's print can't be averaged: the one from more speech is kept.
    better = sampled.vendor is not None and sampled.vendor_seconds >= voice.vendor_seconds
    return replace(
        voice,
        samples=voice.samples + sampled.samples,
        seconds=voice.seconds + sampled.seconds,
        embeddings=embeddings,
        vendor=sampled.vendor if better else voice.vendor,
        vendor_seconds=sampled.vendor_seconds if better else voice.vendor_seconds,
    )
