"""ElevenLabs Scribe: one request with the file, answered when all of it is heard."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any, Final

from core.engines.credentials import ElevenLabsAccount, account_id, key_in
from core.engines.labelled_words import (
    OneCallEngine,
    OneCallTranscriber,
    Said,
    content_type,
    languages_of,
    not_understood,
    part,
    terms,
    words_of,
)
from core.engines.vendor import Vendor
from core.model import Audio, Hints, Recognition
from core.ports import Capabilities, Engine, Report
from core.settings import Settings, load_settings

_VARIABLE: Final = "ELEVENLABS_API_KEY"
_MOST_SPEAKERS: Final = 32
_MOST_TERMS: Final = 1000
_LEAST_PATIENCE: Final = 600.0  # it is silent while it listens
_BARRED: Final = str.maketrans(dict.fromkeys("<>{}[]\\", " "))


def create(_settings: Settings) -> Engine:
    """The engine for the account in the environment. Raises Misconfigured for an unusable address or key."""
    account = load_settings(ElevenLabsAccount)
    key = key_in(account.api_key, _VARIABLE)
    vendor = Vendor("ElevenLabs", account.base_url, {"xi-api-key": key})
    scribe = Scribe(vendor, account.model)
    capabilities = Capabilities(
        word_times=True,
        labels_speakers=True,
        max_seconds=10 * 3600,
        max_bytes=3_000_000_000,
        upload="ogg",
        concurrency=account.concurrency,
        per_minute=account.per_minute,
        account=account_id("elevenlabs", account.api_key),
        price=f"elevenlabs/{account.model}",
        takes_vocabulary=scribe.takes_vocabulary,
    )
    name = f"ElevenLabs {account.model}"
    transcriber = OneCallTranscriber(
        name=name, capabilities=capabilities, key=key, variable=_VARIABLE, hear=scribe.hear
    )
    return OneCallEngine("elevenlabs", transcriber, vendor)


class Scribe:
    """The request and its answer."""

    def __init__(self, vendor: Vendor, model: str) -> None:
        self._vendor = vendor
        self._model = model
        self.takes_vocabulary = not model.startswith("scribe_v1")

    async def hear(self, audio: Audio, hints: Hints, _report: Report) -> Recognition:
        """The words of `audio.path`. Raises as `Vendor.call` does."""
        fields, warnings = self._fields(hints)
        with audio.path.open("rb") as file:
            answer = await self._vendor.call(
                "POST",
                "v1/speech-to-text",
                data=fields,
                files={"file": (f"audio{audio.path.suffix}", file, content_type(audio.path))},
                patience=max(_LEAST_PATIENCE, audio.seconds / 4),
            )
        said = map(self._said, self._spoken(answer))
        words = await asyncio.to_thread(words_of, said, audio.seconds, self._vendor.name)
        return Recognition(
            words=words,
            languages=languages_of([answer.get("language_code"), *hints.languages])[:1] if words else (),
            warnings=warnings,
        )

    def _fields(self, hints: Hints) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The form's fields, and what to tell the reader about them."""
        fields: dict[str, Any] = {
            "model_id": self._model,
            "diarize": "true",
            "timestamps_granularity": "word",
            "tag_audio_events": "false",
        }
        warnings: tuple[str, ...] = ()
        if hints.max_speakers is not None:  # a bound, so a minimum is of no use
            fields["num_speakers"] = str(min(hints.max_speakers, _MOST_SPEAKERS))
        if len(hints.languages) == 1:
            fields["language_code"] = hints.languages[0]
        elif hints.languages:
            warnings = (f"{self._vendor.name} takes one language, not several, and found it out by itself.",)
        if hints.vocabulary and self.takes_vocabulary:
            # One field for each: as a JSON list they count as one term, which is too long.
            taken, left_out = terms(
                [term.translate(_BARRED) for term in hints.vocabulary],
                self._vendor.name,
                most=_MOST_TERMS,
                fits=lambda term: len(term) < 50 and len(term.split()) <= 5,
            )
            fields["keyterms"] = taken
            warnings += left_out
        return fields, warnings

    def _spoken(self, answer: object) -> list[Mapping[str, Any]]:
        """What is a word among the words, spaces and sounds of an answer."""
        items = part(answer, "words", list, self._vendor.name)
        if not all(isinstance(item, Mapping) for item in items):
            raise not_understood(self._vendor.name)
        return [item for item in items if item.get("type", "word") == "word"]

    @staticmethod
    def _said(item: Mapping[str, Any]) -> Said:
        logprob = item.get("logprob")
        known = isinstance(logprob, int | float) and logprob <= 0
        return Said(
            text=item.get("text"),
            start=item.get("start"),
            end=item.get("end"),
            confidence=math.exp(logprob) if known and logprob is not None else None,
            speaker=item.get("speaker_id"),
        )
