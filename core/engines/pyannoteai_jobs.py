"""pyannoteAI's jobs: audio goes to its temporary storage (kept for 48 hours at most), a job is submitted, and
asked about until it is over or its webhook comes.

A job can't be taken back: who is cancelled, or dies, after submitting pays for a job that nobody reads.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from core.engines.credentials import PyannoteAIAccount, key_in
from core.engines.lenient import blames_audio
from core.engines.vendor import Vendor, awaited
from core.errors import AuthFailed, Misconfigured, Rejected, Transient
from core.model import Audio
from core.ports import Hooks

NAME = "pyannoteAI"
VENDOR = "pyannoteai"
REMEDY = "Set PYANNOTEAI_API_KEY to a key from https://dashboard.pyannote.ai."
_GOING_ON = frozenset({"pending", "created", "running"})
_OVER = frozenset({"succeeded", "failed", "canceled"})


class Jobs:
    """The jobs of one account. `first` and `longest` are seconds between two questions about one; `hooks` is
    where their webhooks come in, if any do. Raises Misconfigured for a key or an address that can be none."""

    def __init__(self, account: PyannoteAIAccount, *, first: float, longest: float) -> None:
        key = key_in(account.api_key, "PYANNOTEAI_API_KEY")
        self.allowed = bool(key)
        self.hooks: Hooks | None = None
        self._vendor = Vendor(NAME, account.base_url, {"Authorization": f"Bearer {key}"} if key else {})
        # Its own client without the key: storage refuses a request that is signed twice, wherever it lies.
        self._storage = Vendor(f"The storage of {NAME}", account.base_url, {})
        self._plain = account.base_url.startswith("http://")
        self._first, self._longest = first, longest

    async def close(self) -> None:
        """End the connections. Safe to repeat."""
        await self._vendor.close()
        await self._storage.close()

    async def upload(self, audio: Audio) -> str:
        """Put the file where the vendor's jobs can read it; its address there."""
        if not self.allowed:
            raise AuthFailed(f"There is no key for {NAME}. {REMEDY}")
        url = f"media://erni/{uuid.uuid4().hex}"
        answer = await self._vendor.call("POST", "/v1/media/input", body={"url": url}, repeatable=True)
        place = answer.get("url") if isinstance(answer, Mapping) else None
        # Recordings leave in the clear only where the API itself is spoken to so.
        allowed = ("https://", "http://") if self._plain else ("https://",)
        if not isinstance(place, str) or not place.startswith(allowed):
            raise Transient(f"{NAME} named no place to upload to.")
        try:
            await self._storage.call("PUT", place, upload=audio.path)
        except (AuthFailed, Misconfigured, Rejected):
            # Its place was refused, not our key: it expired or is gone, and the next one may do.
            raise Transient(f"The storage of {NAME} did not take the upload.") from None
        return url

    async def run(self, kind: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The output of a job once it has succeeded.

        Raises Rejected if the audio is at fault, Misconfigured if the request is, Transient, AuthFailed or
        QuotaExhausted.
        """
        hook = self.hooks.url(VENDOR) if self.hooks else None
        if hook is not None:
            # Without the output, which would be said twice and may be too big for our server.
            body = {**body, "webhook": hook, "webhookStatusOnly": True}
        try:
            answer = await self._vendor.call("POST", f"/v1/{kind}", body=body)
        except Rejected:
            # Nobody has looked at the audio yet.
            raise Misconfigured(
                f"{NAME} did not accept a request for {kind}. Check PYANNOTEAI_MODEL, "
                "PYANNOTEAI_TRANSCRIPTION_MODEL and that ERNI_PUBLIC_URL starts with https://."
            ) from None
        job = answer.get("jobId") if isinstance(answer, Mapping) else None
        if not isinstance(job, str) or not job:
            raise Transient(f"{NAME} accepted a job without naming it.")

        async def ask() -> Mapping[str, Any] | None:
            try:
                found = await self._vendor.call("GET", f"/v1/jobs/{quote(job, safe='')}")
            except (Misconfigured, Rejected):
                raise Transient(f"{NAME} does not know a job that it accepted.") from None
            status = str(found.get("status")) if isinstance(found, Mapping) else ""
            if status in _GOING_ON:
                return None
            if status not in _OVER:
                raise Transient(f"{NAME} does not say how a job is doing.")
            return dict(found)

        over = await awaited(
            ask, hooks=self.hooks, vendor=VENDOR, job=job, first=self._first, longest=self._longest
        )
        return output_of(over)


def output_of(over: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a job that is over gave. Raises Rejected or Transient if it failed."""
    output = over.get("output")
    if over.get("status") == "succeeded":
        if isinstance(output, Mapping):
            return output
        raise Transient(f"{NAME} succeeded without a result.")
    # What it says may quote addresses or names: it is read, never shown.
    if blames_audio(output.get("error") if isinstance(output, Mapping) else None):
        raise Rejected(
            f"The recognition service {NAME} could not read the audio of this recording. Convert it to "
            "MP3 or WAV and share it again."
        )
    raise Transient(f"{NAME} did not finish a job ({over.get('status')}).")
