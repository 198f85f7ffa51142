"""AssemblyAI: the file is uploaded, a job transcribes it, and both are deleted there afterwards."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from core.engines.credentials import AssemblyAIAccount, account_id, key_in
from core.engines.labelled_words import (
    OneCallEngine,
    OneCallTranscriber,
    Said,
    languages_of,
    not_understood,
    part,
    terms,
    words_of,
)
from core.engines.vendor import Vendor, awaited
from core.errors import ErniError, Misconfigured, QuotaExhausted, Rejected, Transient
from core.model import Audio, Hints, Recognition
from core.ports import Capabilities, Engine, Report
from core.settings import Settings, load_settings

logger = logging.getLogger(__name__)

_VARIABLE: Final = "ASSEMBLYAI_API_KEY"
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 10.0  # seconds between questions whether it is done
_FORGETTING: Final = 5.0  # seconds that deleting may take, also when the call is cancelled
_PATIENCE: Final = 300.0  # it may look at a large file before it answers
_UPLOADED: Final = 0.2  # share of the work, for progress displays

_NO_CREDIT: Final = ("account balance is negative", "insufficient funds")
# How failed jobs are worded; there are no codes.
_NO_SPEECH: Final = ("no spoken audio", "too short")
_BROKEN: Final = ("does not appear to contain audio", "transcoding failed", "unsupported", "corrupt")


def create(_settings: Settings) -> Engine:
    """The engine for the account in the environment. Raises Misconfigured for an unusable address or key, or
    if no model is named."""
    account = load_settings(AssemblyAIAccount)
    if not account.models:
        raise Misconfigured("ASSEMBLYAI_MODELS is empty. Name a speech model, such as universal-2.")
    key = key_in(account.api_key, _VARIABLE)
    vendor = Vendor("AssemblyAI", account.base_url, {"Authorization": key}, no_credit=_NO_CREDIT)
    capabilities = Capabilities(
        word_times=True,
        labels_speakers=True,
        max_seconds=10 * 3600,
        max_bytes=2_200_000_000,
        upload="ogg",
        concurrency=account.concurrency,
        per_minute=account.per_minute,
        account=account_id("assemblyai", account.api_key),
        price=f"assemblyai/{account.models[0]}+diarization",
    )
    transcriber = OneCallTranscriber(
        name=f"AssemblyAI {account.models[0]}",
        capabilities=capabilities,
        key=key,
        variable=_VARIABLE,
        hear=Transcripts(vendor, account.models).hear,
    )
    return OneCallEngine("assemblyai", transcriber, vendor)


class Transcripts:
    """Upload, job, answer and deletion."""

    def __init__(self, vendor: Vendor, models: tuple[str, ...]) -> None:
        self._vendor = vendor
        self._models = models

    async def hear(self, audio: Audio, hints: Hints, report: Report) -> Recognition:
        """The words of `audio.path`. Raises as `Vendor.call` does, Rejected if the file can't be decoded."""
        uploaded = await self._vendor.call(
            "POST",
            "v2/upload",
            upload=audio.path,
            headers={"Content-Type": "application/octet-stream"},
            patience=_PATIENCE,
            repeatable=True,  # a second copy costs nothing
        )
        report(_UPLOADED)
        body, warnings = self._job(part(uploaded, "upload_url", str, self._vendor.name), hints)
        try:
            job = part(
                await self._vendor.call("POST", "v2/transcript", body=body), "id", str, self._vendor.name
            )
        except Rejected:
            if hints != Hints():
                raise
            raise Misconfigured(
                f"{self._vendor.name} did not accept a plain request. Check ASSEMBLYAI_MODELS, which is "
                f"{','.join(self._models)}: models come and go."
            ) from None
        address = f"v2/transcript/{quote(job, safe='')}"
        try:
            answer = await awaited(
                lambda: self._finished(address),
                hooks=None,
                vendor="assemblyai",
                job=job,
                first=_FIRST_PAUSE,
                longest=_LONGEST_PAUSE,
            )
        finally:
            await self._forget(address)
        if answer["status"] == "error":
            return _failed(answer, self._vendor.name)
        words = await asyncio.to_thread(words_of, self._said(answer), audio.seconds, self._vendor.name)
        return Recognition(
            words=words,
            languages=languages_of([answer.get("language_code"), *hints.languages])[:1] if words else (),
            warnings=warnings,
        )

    def _job(self, audio_url: str, hints: Hints) -> tuple[dict[str, Any], tuple[str, ...]]:
        """What is asked for, and what to tell the reader about it."""
        body: dict[str, Any] = {
            "audio_url": audio_url,
            "speech_models": list(self._models),
            "speaker_labels": True,
        }
        warnings: tuple[str, ...] = ()
        least, most = hints.min_speakers, hints.max_speakers
        if least is not None and least == most:
            body["speakers_expected"] = least
        elif least is not None or most is not None:
            bounds = {"min_speakers_expected": least, "max_speakers_expected": most}
            body["speaker_options"] = {name: bound for name, bound in bounds.items() if bound is not None}
        if len(hints.languages) == 1:
            body["language_code"] = hints.languages[0]
        else:
            body["language_detection"] = True
        if len(hints.languages) > 1:
            body["language_detection_options"] = {
                "expected_languages": list(hints.languages),
                "fallback_language": "auto",
            }
        if hints.vocabulary:
            body["keyterms_prompt"], warnings = terms(
                hints.vocabulary,
                self._vendor.name,
                most=200 if "universal-2" in self._models else 1000,
                fits=lambda term: len(term.split()) <= 6,
            )
        return body, warnings

    async def _finished(self, address: str) -> Mapping[str, Any] | None:
        answer = await self._vendor.call("GET", address)
        status = part(answer, "status", str, self._vendor.name)
        if status in {"queued", "processing"}:
            return None
        if status not in {"completed", "error"}:
            raise not_understood(self._vendor.name)
        found: Mapping[str, Any] = answer
        return found

    async def _forget(self, address: str) -> None:
        """Delete transcript and upload there, best effort: they are gone from there in time anyway."""
        try:
            async with asyncio.timeout(_FORGETTING):
                await self._vendor.call("DELETE", address)
        except (ErniError, TimeoutError) as error:
            logger.warning("a transcript could not be deleted: %s", error or "no answer in time")

    def _said(self, answer: Mapping[str, Any]) -> Iterator[Said]:
        name = self._vendor.name
        utterances = answer.get("utterances")
        if not (isinstance(utterances, list) and utterances):
            if not answer.get("words") and not answer.get("text"):
                return  # nothing was said
            utterances = [answer]  # without speakers, the words are still there
        for utterance in utterances:
            for word in part(utterance, "words", list, name):
                yield Said(
                    text=part(word, "text", str, name),
                    start=_seconds(word.get("start")),
                    end=_seconds(word.get("end")),
                    confidence=word.get("confidence"),
                    speaker=word.get("speaker") or utterance.get("speaker"),
                )


def _seconds(milliseconds: object) -> float | None:
    return milliseconds / 1000 if isinstance(milliseconds, int | float) else None


def _failed(answer: Mapping[str, Any], name: str) -> Recognition:
    """What a failed job means. Its text is not passed on: it may hold addresses."""
    text = str(answer.get("error")).lower()
    if any(words in text for words in _NO_SPEECH):
        return Recognition(words=())
    if any(words in text for words in _NO_CREDIT):
        raise QuotaExhausted(f"The account at {name} has no credit left.")
    if any(words in text for words in _BROKEN):
        raise Rejected(
            f"The recognition service {name} can't read this recording. Convert it to MP3 or WAV and share "
            "it again; if that fails too, tell whoever runs the service."
        )
    raise Transient(f"{name} failed to recognise a recording.")
