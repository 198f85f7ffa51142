"""Replicate running thomasmol/whisper-diarization: words and speakers in one prediction.

The file goes to Replicate's own storage and is deleted after the prediction; a prediction that nobody waits
for any more is cancelled. Its input and output differ between versions, so the version is pinned and both are
kept to what all versions share.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from core.engines.credentials import ReplicateAccount, account_id, key_in
from core.engines.labelled_words import terms
from core.engines.lenient import blames_audio, fraction, in_order, label, rows, spoken
from core.engines.vendor import Vendor, awaited
from core.errors import AuthFailed, ErniError, Misconfigured, Rejected, Transient
from core.model import Audio, Hints, Recognition, Word
from core.ports import Capabilities, Diarizer, Engine, Hooks, Readiness, Report, Transcriber
from core.settings import Settings, load_settings
from core.webhooks import Forged, Verifier, check_time, header, job_in

logger = logging.getLogger(__name__)

_NAME = "Replicate"
_VENDOR = "replicate"
_MODEL = "thomasmol/whisper-diarization"
_MOST_BYTES = 100 * 2**20
_MOST_SPEAKERS = 50
_PROMPT_BYTES = 600  # Whisper keeps the last 224 tokens of a prompt, so a longer one loses its start
_TIDY_SECONDS = 5.0
_GOING_ON = frozenset({"starting", "processing"})
_OVER = frozenset({"succeeded", "failed", "canceled", "aborted"})
_TOKEN_REMEDY = "Set REPLICATE_API_TOKEN to a token from https://replicate.com/account/api-tokens."  # noqa: S105  (says where to find one)
_VERSION_REMEDY = (
    f"Set REPLICATE_VERSION to a version id, 64 hexadecimal digits, from "
    f"https://replicate.com/{_MODEL}/versions."
)


def create(settings: Settings) -> Engine:  # noqa: ARG001  (every engine is given them; the account has its own)
    """The engine for the account in the environment. Raises Misconfigured for a token or an address
    that can be none."""
    return ReplicateEngine(load_settings(ReplicateAccount))


class ReplicateEngine:
    """A transcriber that labels speakers, on one account.

    `first` and `longest` are seconds between two questions about a prediction.
    """

    name = _VENDOR
    draft = False

    def __init__(self, account: ReplicateAccount, *, first: float = 2.0, longest: float = 10.0) -> None:
        key = key_in(account.api_key, "REPLICATE_API_TOKEN")
        self._lacking = _lacking(bool(key), account.version)
        self._version = account.version
        self._vendor = Vendor(_NAME, account.base_url, {"Authorization": f"Bearer {key}"} if key else {})
        self._first, self._longest = first, longest
        self._hooks: Hooks | None = None
        self._tidying: set[asyncio.Task[None]] = set()
        self.capabilities = Capabilities(
            word_times=True,
            labels_speakers=True,
            max_bytes=_MOST_BYTES,
            upload="ogg",
            concurrency=account.concurrency,
            per_minute=account.per_minute,
            account=account_id(_VENDOR, account.api_key),
            price="replicate/whisper-diarization",
        )

    @property
    def transcriber(self) -> Transcriber:
        return self

    @property
    def diarizer(self) -> Diarizer | None:
        return None

    def use_hooks(self, hooks: Hooks) -> None:
        """Ask for webhooks where `hooks` has an address."""
        self._hooks = hooks

    async def check(self) -> Readiness:
        """Whether there are a token and a version; asks nobody."""
        return self._lacking or Readiness(usable=True, reason=f"{_MODEL} {self._version[:8]} on {_NAME}")

    async def close(self) -> None:
        """Finish tidying up at the vendor, which takes a few seconds at most, and end the connections."""
        await asyncio.gather(*self._tidying, return_exceptions=True)
        await self._vendor.close()

    async def transcribe(self, audio: Audio, hints: Hints, report: Report) -> Recognition:
        """See `core.ports.Transcriber`. Of the hints it takes one language, the vocabulary, and a number of
        speakers that is known exactly."""
        if self._lacking is not None:
            raise AuthFailed(f"{_NAME} is not set up: {self._lacking.reason}. {self._lacking.remedy}")
        report(0.0)
        wishes, warnings = _wishes(hints)
        file, url = await self._upload(audio)
        try:
            report(0.1)
            over = await self._predicted({"file": url, **wishes})
            found = await asyncio.to_thread(_recognition, over, audio.seconds, hints)
        finally:
            self._tidy("DELETE", f"/v1/files/{file}")
        report(1.0)
        return replace(found, warnings=warnings)

    async def _upload(self, audio: Audio) -> tuple[str, str]:
        with audio.path.open("rb") as content:
            name = f"audio{audio.path.suffix}"  # the file's own name may say whose recording it is
            answer = await self._vendor.call(
                "POST", "/v1/files", files={"content": (name, content, "application/octet-stream")}
            )
        urls = answer.get("urls") if isinstance(answer, Mapping) else None
        url = urls.get("get") if isinstance(urls, Mapping) else None
        if not isinstance(url, str) or not url or not isinstance(answer.get("id"), str):
            raise Transient(f"{_NAME} took a file without saying where it is.")
        return quote(answer["id"], safe=""), url

    async def _predicted(self, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        """A prediction that is over, cancelled if nobody waits for it any more."""
        body: dict[str, Any] = {"version": self._version, "input": wanted}
        hook = self._hooks.url(_VENDOR) if self._hooks else None
        if hook is not None:
            body |= {"webhook": hook, "webhook_events_filter": ["completed"]}
        try:
            answer = await self._vendor.call("POST", "/v1/predictions", body=body)
        except Rejected:
            # Nobody has looked at the audio yet: it is the version, or that it takes other input.
            raise Misconfigured(f"{_NAME} did not accept REPLICATE_VERSION. {_VERSION_REMEDY}") from None
        job = answer.get("id") if isinstance(answer, Mapping) else None
        if not isinstance(job, str) or not job:
            raise Transient(f"{_NAME} accepted a prediction without naming it.")
        # Its own address rather than `urls.get`, which would lead past a proxy, and without the key.
        place = f"/v1/predictions/{quote(job, safe='')}"

        async def ask() -> Mapping[str, Any] | None:
            try:
                found = await self._vendor.call("GET", place)
            except (Misconfigured, Rejected):
                raise Transient(f"{_NAME} does not know a prediction that it accepted.") from None
            status = str(found.get("status")) if isinstance(found, Mapping) else ""
            if status in _GOING_ON:
                return None
            if status not in _OVER:
                raise Transient(f"{_NAME} does not say how a prediction is doing.")
            return dict(found)

        try:
            return await awaited(
                ask, hooks=self._hooks, vendor=_VENDOR, job=job, first=self._first, longest=self._longest
            )
        except BaseException:
            self._tidy("POST", f"{place}/cancel")
            raise

    def _tidy(self, method: str, address: str) -> None:
        """Best effort, in a task of its own: this one may be being cancelled, or has a result to give."""
        task = asyncio.create_task(self._tidied(method, address))
        self._tidying.add(task)
        task.add_done_callback(self._tidying.discard)

    async def _tidied(self, method: str, address: str) -> None:
        try:
            async with asyncio.timeout(_TIDY_SECONDS):
                await self._vendor.call(method, address)
        except (ErniError, TimeoutError) as error:
            logger.info("could not tidy up at %s: %s", _NAME, type(error).__name__)


def webhook() -> Verifier | None:
    """The check of the vendor's webhooks; None where REPLICATE_WEBHOOK_SECRET is not set.

    Raises Misconfigured if it is no such secret.
    """
    secret = load_settings(ReplicateAccount).webhook_secret
    if secret is None or not secret.get_secret_value():
        return None
    try:
        key = base64.b64decode(secret.get_secret_value().removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise Misconfigured(
            "REPLICATE_WEBHOOK_SECRET must be the secret as Replicate gives it: whsec_ and Base64."
        ) from None

    def verify(headers: Mapping[str, str], body: bytes, now: float) -> str:
        name, stamp = header(headers, "webhook-id"), header(headers, "webhook-timestamp")
        signed = f"{name}.{stamp}.".encode("utf-8", "replace") + body
        right = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
        given = header(headers, "webhook-signature").split()
        if not any(hmac.compare_digest(right, one.encode("utf-8", "replace")) for one in given):
            raise Forged("Its signature is wrong.")
        check_time(stamp, now)
        return job_in(body, "id")

    return verify


def _lacking(has_key: bool, version: str) -> Readiness | None:
    if not has_key:
        return Readiness(usable=False, absent=True, reason="no token", remedy=_TOKEN_REMEDY)
    if not re.fullmatch(r"[0-9a-f]{64}", version):
        what = "REPLICATE_VERSION is no version id" if version else "no version"
        return Readiness(usable=False, reason=what, remedy=_VERSION_REMEDY)
    return None


def _wishes(hints: Hints) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The hints as input, as far as every version takes them, and what to say about the rest. What is left
    out means "find out"."""
    found: dict[str, Any] = {}
    speakers = hints.min_speakers
    if speakers is not None and speakers == hints.max_speakers and 1 <= speakers <= _MOST_SPEAKERS:
        found["num_speakers"] = speakers
    if len(hints.languages) == 1:
        found["language"] = hints.languages[0]
    taken, warnings = terms(hints.vocabulary, _NAME, most=_PROMPT_BYTES, most_bytes=_PROMPT_BYTES)
    if taken:
        found["prompt"] = ", ".join(taken) + "."
    return found, warnings


def _recognition(over: Mapping[str, Any], limit: float, hints: Hints) -> Recognition:
    if over.get("status") != "succeeded":
        # What it says may quote addresses or names: it is read, never shown.
        if blames_audio(over.get("error")):
            raise Rejected(
                f"The recognition service {_NAME} could not read the audio of this recording. Convert it to "
                "MP3 or WAV and share it again."
            )
        raise Transient(f"{_NAME} did not finish a prediction ({over.get('status')}).")
    output = over.get("output")
    segments = output.get("segments") if isinstance(output, Mapping) else output
    if not isinstance(segments, list):
        raise Transient(f"{_NAME} answered without segments.")
    words = _words(segments, limit)
    named = output.get("language") if isinstance(output, Mapping) else None
    if not isinstance(named, str) or not re.fullmatch(r"[a-z]{2,3}", named):
        named = hints.languages[0] if len(hints.languages) == 1 else None
    return Recognition(words=words, languages=(named,) if named and words else ())


def _words(segments: list[Any], limit: float) -> tuple[Word, ...]:
    found: list[Word] = []
    for segment in rows(segments):
        speaker = label(segment.get("speaker"))
        before = len(found)
        for row in rows(segment.get("words")):
            found += spoken(
                row,
                "word" if "word" in row else "text",
                after=found[-1].end if found else 0.0,
                limit=limit,
                speaker=label(row.get("speaker")) or speaker,
                confidence=fraction(row.get("probability")),
            )
        if len(found) == before:
            after = found[-1].end if found else 0.0
            found += spoken(segment, "text", after=after, limit=limit, speaker=speaker)
    return in_order(found)
