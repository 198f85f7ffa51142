"""Talking to OpenAI's API, or to a server that speaks its protocol, through the official SDK, whose errors
are turned into ours.

The SDK takes seconds to import, so that happens with the first request and beside the event loop.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import math
import re
import wave
from array import array
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from core.engines.credentials import OpenAIAccount
from core.engines.lenient import Row, seconds
from core.engines.openai_answers import has_times, is_transcript
from core.engines.openai_models import SpeechModel, form
from core.engines.vendor import retry_after
from core.errors import AuthFailed, ErniError, Misconfigured, QuotaExhausted, Rejected, Transient
from core.model import Hints

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI, OpenAIError

logger = logging.getLogger(__name__)

_CONNECT = 15.0  # seconds
_MEDIA_TYPES = {
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "mp4": "audio/mp4",
    "mpeg": "audio/mpeg",
    "mpga": "audio/mpeg",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
    "webm": "audio/webm",
}

_NO_CREDIT = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_NO_MODEL = frozenset({"model_not_found", "deprecated_model"})
_NO_PARAMETER = frozenset({"unknown_parameter", "unsupported_parameter", "unrecognized_parameter"})
_FROM_THE_TABLE = frozenset({"response_format", "timestamp_granularities", "chunking_strategy", "keywords"})
_PASSING = frozenset({408, 409, 425, 429})
_TOO_LONG = re.compile(r"\b(longer|too long|duration|maximum)\b.*\bseconds\b", re.IGNORECASE | re.DOTALL)


class Refused(Exception):
    """The server does not take a request as it is. `settled` is what that means for a recording; `stumbled`:
    it failed (500) rather than refused; `too_short`: there is too little audio to hold a word."""

    def __init__(self, settled: ErniError, *, stumbled: bool = False, too_short: bool = False) -> None:
        super().__init__(str(settled))
        self.settled = settled
        self.stumbled = stumbled
        self.too_short = too_short


class Server:
    """The server of an account. `variable` is the setting that names the model, for messages. Raises
    Misconfigured for an address that is none."""

    def __init__(self, account: OpenAIAccount, variable: str) -> None:
        self.key = account.api_key.get_secret_value() if account.api_key else ""
        self._variable = variable
        self._base_url = account.base_url.strip() or OpenAIAccount.model_fields["base_url"].default
        self.host = _host(self._base_url)
        self._client: AsyncOpenAI | None = None
        self._opening = asyncio.Lock()

    @property
    def official(self) -> bool:
        """Whether it is OpenAI's own, in whatever region."""
        return self.host == "api.openai.com" or self.host.endswith(".api.openai.com")

    async def transcription(
        self, suffix: str, file: IO[bytes], asked: Mapping[str, Any], *, patience: float
    ) -> Row:
        """The answer to one request for a transcription, an object. `suffix` says what kind of file it is,
        `asked` are the other fields, `patience` is the longest silence in seconds.

        Raises Refused, Transient, AuthFailed, QuotaExhausted or Misconfigured.
        """
        client = await self._opened()
        from openai import OpenAIError, Timeout  # noqa: PLC0415  (imported by now)

        try:
            raw = await client.audio.transcriptions.with_raw_response.create(
                file=(f"audio.{suffix}", file, _MEDIA_TYPES.get(suffix, "application/octet-stream")),
                timeout=Timeout(patience, connect=_CONNECT),
                **asked,
            )
        except OpenAIError as error:
            raise self._meaning(error, asked["model"]) from None
        try:
            answer = await asyncio.to_thread(json.loads, raw.content)
        except ValueError:
            raise Transient(f"{self._title} answered with something that is no JSON.") from None
        if not isinstance(answer, dict) or not is_transcript(answer):
            raise Transient(f"{self._title} answered without a transcript.")
        return answer

    async def can(self, model: SpeechModel, *, patience: float) -> bool:
        """Whether the server answers what `model` is asked, here about a second of sound, with the times that
        belong to it. Raises as `transcription` does, but Refused only if the server failed (500): whether it
        could do it is unknown then."""
        asked, _ = form(model, Hints())
        try:
            answer = await self.transcription("wav", io.BytesIO(_tone()), asked, patience=patience)
        except Refused as refusal:
            if refusal.stumbled:
                raise
            return False
        return has_times(answer) or not model.timed

    async def close(self) -> None:
        """Close all connections. Safe to repeat; the next request opens them again."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @property
    def _title(self) -> str:
        return "OpenAI" if self.official else "The server at OPENAI_BASE_URL"

    async def _opened(self) -> AsyncOpenAI:
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(self._open)
            return self._client

    def _open(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI, DefaultAsyncHttpx2Client  # noqa: PLC0415  (takes seconds)

        client = AsyncOpenAI(
            # The SDK insists on a key; servers of one's own need none.
            api_key=self.key or "none",
            base_url=self._base_url,
            # Who calls repeats a piece, and lets all workers wait where the vendor asks for it.
            max_retries=0,
            # A redirect would carry recordings to wherever it points.
            http_client=DefaultAsyncHttpx2Client(follow_redirects=False),
        )
        _ = client.audio.transcriptions  # imported with its first use: here, beside the event loop
        return client

    def _meaning(self, error: OpenAIError, model: str) -> ErniError | Refused:
        """What an error of the SDK means."""
        from openai import APIConnectionError, APIStatusError, APITimeoutError  # noqa: PLC0415  (imported by now)

        if isinstance(error, APIStatusError):
            return self._refusal(error, model)
        if isinstance(error, APITimeoutError):
            return Transient(f"{self._title} did not answer in time.")
        if isinstance(error, APIConnectionError):
            return Transient(f"{self._title} can't be reached or broke off.")
        return Transient(f"The request to {self._title} failed ({type(error).__name__}).")

    def _refusal(self, error: APIStatusError, model: str) -> ErniError | Refused:
        status, code = error.status_code, error.code or ""
        if status == 402 or code in _NO_CREDIT or error.type in _NO_CREDIT:
            return QuotaExhausted("The account behind OPENAI_API_KEY has no credit left.")
        if code in _NO_MODEL or status in {404, 405, 410}:
            return Misconfigured(
                f"{self._title} has no model {model} for this account, or does not transcribe ({status}). "
                f"Correct {self._variable} or OPENAI_BASE_URL."
            )
        if status in {401, 403}:
            return AuthFailed(
                f"{self._title} does not accept OPENAI_API_KEY, or the key lacks a permission ({status})."
            )
        if status in _PASSING or status < 400 or (status >= 500 and status != 501):
            passing = Transient(f"{self._title} answered {status}.", retry_after=_wait(error))
            return Refused(passing, stumbled=True) if status == 500 else passing
        shown = code if re.fullmatch(r"[\w.-]{1,64}", code) else "none"
        logger.warning("%s refused a request: status %d, code %s", self.host, status, shown)
        return Refused(self._rejection(error, model), too_short=code == "audio_too_short")

    def _rejection(self, error: APIStatusError, model: str) -> ErniError:
        service = "The recognition service OpenAI" if self.official else "The recognition service"
        field = (error.param or "").removesuffix("[]")
        if field in _FROM_THE_TABLE or error.code in _NO_PARAMETER:
            return Misconfigured(
                f"{self._title} refuses {field or 'a field'} for {model}. Say in OPENAI_MODELS what it does."
            )
        if field in {"language", "languages"}:
            return Rejected(
                f"{service} does not know the language that is set. Correct the language setting, or ask "
                "whoever runs this service for another model."
            )
        if _TOO_LONG.search(error.message):
            return Rejected(f"{service} takes no recordings of this length. Tell whoever runs this service.")
        return Rejected(
            f"{service} did not accept this recording. Convert it to MP3 or WAV and share it again; if that "
            "fails too, tell whoever runs this service."
        )


def _tone() -> bytes:
    """A second of a soft tone as a WAV file: sound, but nothing said."""
    samples = array("h", (round(2000 * math.sin(2 * math.pi * 440 * at / 16000)) for at in range(16000)))
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples.tobytes())
    return target.getvalue()


def _host(address: str) -> str:
    try:
        parts = urlsplit(address)
        sound = parts.scheme in {"http", "https"} and parts.port != 0  # asking for the port checks it
    except ValueError:
        sound = False
    if not sound or not parts.hostname:
        raise Misconfigured("OPENAI_BASE_URL is no address such as https://api.openai.com/v1.")
    return parts.hostname


def _wait(error: APIStatusError) -> float | None:
    """Seconds that the answer asks to wait, None if it names none."""
    headers = error.response.headers
    exact = seconds(headers.get("retry-after-ms"))
    return (
        exact / 1000
        if exact is not None and 0 <= exact <= 86_400_000
        else retry_after(headers.get("retry-after"))
    )
