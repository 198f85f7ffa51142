"""Deepgram: one request with the file as its body, answered when all of it is heard."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from core.engines.credentials import DeepgramAccount, account_id, key_in
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

_VARIABLE: Final = "DEEPGRAM_API_KEY"
_PATIENCE: Final = 660.0  # it is silent while it listens, and gives up itself after ten minutes
_MOST_TERMS: Final = 100
_TERM_BYTES: Final = 500

# What Nova-3 can switch between within a recording (`language=multi`).
_CODES: Final = """
    af ar be bn bs bg ca zh hr cs da nl en et fi fr gl de el gu he hi hu id it ja kn ko lv lt mk ms mr no fa
    pl pt ro ru sr sk sl es sv tl ta te th tr uk vi xh zu
"""
_SWITCHING: Final = frozenset(_CODES.split())


def create(_settings: Settings) -> Engine:
    """The engine for the account in the environment. Raises Misconfigured for an unusable address or key."""
    account = load_settings(DeepgramAccount)
    key = key_in(account.api_key, _VARIABLE)
    vendor = Vendor("Deepgram", account.base_url, {"Authorization": f"Token {key}"})
    listen = Listen(vendor, account.model)
    capabilities = Capabilities(
        word_times=True,
        labels_speakers=True,
        max_seconds=3600,  # an hour at 0.15 s a second is done within the ten minutes that it gives itself
        max_bytes=2_000_000_000,
        upload="ogg",
        concurrency=account.concurrency,
        per_minute=account.per_minute,
        account=account_id("deepgram", account.api_key),
        price=f"deepgram/{account.model}+diarization",
        takes_vocabulary=listen.takes_vocabulary,
        takes_speakers=False,
    )
    name = f"Deepgram {account.model}"
    transcriber = OneCallTranscriber(
        name=name, capabilities=capabilities, key=key, variable=_VARIABLE, hear=listen.hear
    )
    return OneCallEngine("deepgram", transcriber, vendor)


class Listen:
    """The request and its answer."""

    def __init__(self, vendor: Vendor, model: str) -> None:
        self._vendor = vendor
        self._model = model
        self.takes_vocabulary = model.startswith("nova-3")

    async def hear(self, audio: Audio, hints: Hints, _report: Report) -> Recognition:
        """The words of `audio.path`. Raises as `Vendor.call` does."""
        params, warnings = self._params(hints)
        answer = await self._vendor.call(
            "POST",
            "v1/listen",
            params=params,
            upload=audio.path,
            headers={"Content-Type": content_type(audio.path)},
            patience=_PATIENCE,
        )
        name = self._vendor.name
        channel = _first(part(part(answer, "results", dict, name), "channels", list, name), name)
        # Without speech there may be no alternative, or one without words.
        alternatives = part(channel, "alternatives", list, name)
        best = _first(alternatives, name) if alternatives else {}
        items = part(best, "words", list, name) if best.get("words") or best.get("transcript") else []
        if not all(isinstance(item, Mapping) for item in items):
            raise not_understood(name)
        words = await asyncio.to_thread(words_of, map(_said, items), audio.seconds, name)
        return Recognition(
            words=words,
            languages=_languages(channel, best, items) or languages_of(hints.languages) if words else (),
            warnings=warnings,
        )

    def _params(self, hints: Hints) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
        """The query, and what to tell the reader about it."""
        params = [
            ("model", self._model),
            ("diarize_model", "latest"),  # `diarize=true` would stay on the first model for ever
            ("utterances", "true"),
            ("punctuate", "true"),
            ("smart_format", "true"),
            *self._language(hints.languages),
        ]
        if not self.takes_vocabulary:
            return params, ()
        # More than 500 tokens are refused. A token is at least a byte long, so this much always passes.
        taken, warnings = terms(hints.vocabulary, self._vendor.name, most=_MOST_TERMS, most_bytes=_TERM_BYTES)
        return [*params, *(("keyterm", term) for term in taken)], warnings

    def _language(self, languages: tuple[str, ...]) -> list[tuple[str, str]]:
        if len(languages) == 1:
            return [("language", languages[0])]
        if languages and self._model.startswith("nova-3") and _SWITCHING.issuperset(languages):
            return [("language", "multi"), *(("language_hint", code) for code in languages)]
        # Several values mean: the one of these that is spoken most.
        return [("detect_language", code) for code in languages] or [("detect_language", "true")]


def _first(items: list[Any], name: str) -> Mapping[str, Any]:
    if not items or not isinstance(items[0], Mapping):
        raise not_understood(name)
    return items[0]


def _said(item: Mapping[str, Any]) -> Said:
    return Said(
        text=item.get("punctuated_word") or item.get("word"),
        start=item.get("start"),
        end=item.get("end"),
        confidence=item.get("confidence"),
        speaker=item.get("speaker"),
    )


def _languages(
    channel: Mapping[str, Any], best: Mapping[str, Any], items: list[Mapping[str, Any]]
) -> tuple[str, ...]:
    """The languages it heard, the most spoken first; of one that was told to it, it says nothing."""
    spoken = best.get("languages")
    if not isinstance(spoken, list) or not spoken:
        spoken = [
            code for code, _ in Counter(map(str, (item.get("language", "") for item in items))).most_common()
        ]
    return languages_of([channel.get("detected_language"), *spoken])
