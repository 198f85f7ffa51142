"""pyannoteAI: who speaks when, in one call also what is said, and whose voice it is."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from core.engines.credentials import PyannoteAIAccount, account_id
from core.engines.lenient import Row, fraction, in_order, label, rows, seconds, spoken, turns
from core.engines.pyannoteai_jobs import NAME, REMEDY, VENDOR, Jobs
from core.errors import Rejected, Transient
from core.model import Audio, Diarization, Hints, Recognition, Word
from core.ports import Capabilities, Diarizer, Engine, Hooks, Readiness, Report, Transcriber
from core.settings import Settings, load_settings
from core.webhooks import Forged, Verifier, check_time, header, job_in

_ONLY_MODEL = "precision-2"  # the one that transcribes and knows voices
_MOST_SECONDS = 24 * 3600.0
_MOST_BYTES = 2**30
_VOICE_SECONDS = 30.0
_VOICES = 50  # in one request


def create(settings: Settings) -> Engine:  # noqa: ARG001  (every engine is given them; the account has its own)
    """The engine for the account in the environment. Raises Misconfigured for a key or an address that
    can be none."""
    return PyannoteAIEngine(load_settings(PyannoteAIAccount))


class PyannoteAIEngine:
    """Both halves and the voices, on one account.

    `first` and `longest` are seconds between two questions about a job.
    """

    name = VENDOR
    draft = False

    def __init__(self, account: PyannoteAIAccount, *, first: float = 2.0, longest: float = 10.0) -> None:
        self._account = account
        self._jobs = Jobs(account, first=first, longest=longest)
        self._transcriber = PyannoteAITranscriber(self._jobs, account)
        self._diarizer = PyannoteAIDiarizer(self._jobs, account)

    @property
    def transcriber(self) -> Transcriber:
        return self._transcriber

    @property
    def diarizer(self) -> Diarizer:
        return self._diarizer

    def use_hooks(self, hooks: Hooks) -> None:
        """Ask for webhooks where `hooks` has an address."""
        self._jobs.hooks = hooks

    async def check(self) -> Readiness:
        """Whether there is a key; asks nobody."""
        if not self._jobs.allowed:
            return Readiness(usable=False, absent=True, reason="no key", remedy=REMEDY)
        return Readiness(usable=True, reason=f"{NAME} {self._account.model}")

    async def close(self) -> None:
        """End its connections."""
        await self._jobs.close()

    async def voiceprint(self, audio: Audio) -> str:
        """The voice of the only speaker in `audio`, for `identify`.

        Raises Rejected (longer than 30 seconds, or unusable), Transient, AuthFailed or QuotaExhausted.
        """
        if audio.seconds > _VOICE_SECONDS:
            raise Rejected(
                f"A voice sample may be {_VOICE_SECONDS:.0f} seconds long at most; this one has "
                f"{audio.seconds:.0f}. Cut it and try again."
            )
        url = await self._jobs.upload(audio)
        output = await self._jobs.run("voiceprint", {"url": url, "model": _ONLY_MODEL})
        found = output.get("voiceprint")
        if not isinstance(found, str) or not found:
            raise Transient(f"{NAME} answered without a voiceprint.")
        return found

    async def identify(
        self, audio: Audio, voices: Mapping[str, str], *, threshold: float
    ) -> list[tuple[float, float, str, float]]:
        """Where the `voices` (label -> voiceprint) are heard: start, end (seconds), label, confidence (0..1).

        Only matches of at least `threshold` (0..1), in order of start. The labels stay here. More than 50
        voices take several requests, each paid; the better match counts then. Raises as `voiceprint`.
        """
        if not voices:
            return []
        url = await self._jobs.upload(audio)
        best: dict[tuple[float, float], tuple[float, float, str, float]] = {}
        for batch in _batches(voices):
            # Opaque, because labels are people's names; the vendor also forbids some.
            names = {f"v{number}": name for number, name in enumerate(batch, start=1)}
            output = await self._jobs.run(
                "identify",
                {
                    "url": url,
                    "model": _ONLY_MODEL,
                    "voiceprints": [
                        {"label": alias, "voiceprint": voices[name]} for alias, name in names.items()
                    ],
                    "matching": {"threshold": _percent(threshold), "exclusive": True},
                },
            )
            for match in _matches(output, names, audio.seconds, threshold):
                place = (round(match[0], 2), round(match[1], 2))
                if place not in best or best[place][3] < match[3]:
                    best[place] = match
        return sorted(best.values())


class PyannoteAITranscriber:
    """Words and speakers in one call."""

    def __init__(self, jobs: Jobs, account: PyannoteAIAccount) -> None:
        self._jobs = jobs
        self._model = account.transcription_model
        self.name = f"{NAME} {_ONLY_MODEL} with {self._model}"
        self.capabilities = Capabilities(
            word_times=True, labels_speakers=True, **_limits(account, f"{VENDOR}/transcribe/{self._model}")
        )

    async def transcribe(self, audio: Audio, hints: Hints, report: Report) -> Recognition:
        """See `core.ports.Transcriber`. Its languages are not named by the vendor: they are the hint's, if
        that names one only. The vendor's confidences are about speakers, so words get none."""
        report(0.0)
        url = await self._jobs.upload(audio)
        report(0.1)
        output = await self._jobs.run(
            "diarize",
            {
                "url": url,
                "model": _ONLY_MODEL,
                "exclusive": True,
                "transcription": True,
                "transcriptionConfig": {"model": self._model},
                **_speakers(hints),
            },
        )
        words = await asyncio.to_thread(_words, output, audio.seconds)
        report(1.0)
        return Recognition(words=words, languages=hints.languages if len(hints.languages) == 1 else ())


class PyannoteAIDiarizer:
    """Speakers only."""

    def __init__(self, jobs: Jobs, account: PyannoteAIAccount) -> None:
        self._jobs = jobs
        self._model = account.model
        self.name = f"{NAME} {self._model}"
        self.capabilities = Capabilities(
            word_times=False, **_limits(account, f"{VENDOR}/diarize/{self._model}")
        )

    async def diarize(self, audio: Audio, hints: Hints, report: Report) -> Diarization:
        """See `core.ports.Diarizer`."""
        report(0.0)
        url = await self._jobs.upload(audio)
        report(0.1)
        output = await self._jobs.run(
            "diarize", {"url": url, "model": self._model, "exclusive": True, **_speakers(hints)}
        )
        found, exclusive = output.get("exclusiveDiarization"), True
        if not isinstance(found, list):
            found, exclusive = output.get("diarization"), False
        if not isinstance(found, list):
            raise Transient(f"{NAME} answered without speaker turns.")
        report(1.0)
        return Diarization(
            turns=turns(rows(found), audio.seconds, exclusive=exclusive), overlapping=not exclusive
        )


def webhook() -> Verifier | None:
    """The check of the vendor's webhooks; None where PYANNOTEAI_WEBHOOK_SECRET is not set."""
    secret = load_settings(PyannoteAIAccount).webhook_secret
    if secret is None or not secret.get_secret_value():
        return None
    key = secret.get_secret_value().encode()

    def verify(headers: Mapping[str, str], body: bytes, now: float) -> str:
        stamp = header(headers, "x-request-timestamp")
        given = header(headers, "x-signature").strip().encode("utf-8", "replace")
        signed = b"v0:" + stamp.encode("utf-8", "replace") + b":" + body
        right = hmac.new(key, signed, hashlib.sha256).digest()
        # The documentation says Base64, its own sample says hexadecimal.
        as_base64 = hmac.compare_digest(base64.b64encode(right), given)
        as_hex = hmac.compare_digest(right.hex().encode(), given.lower())
        if not (as_base64 or as_hex):
            raise Forged("Its signature is wrong.")
        check_time(stamp, now)
        return job_in(body, "jobId")

    return verify


def _limits(account: PyannoteAIAccount, price: str) -> dict[str, Any]:
    return {
        "max_seconds": _MOST_SECONDS,
        "max_bytes": _MOST_BYTES,
        "upload": "ogg",
        "concurrency": account.concurrency,
        "per_minute": account.per_minute,
        "account": account_id(VENDOR, account.api_key),
        "price": price,
        "takes_languages": False,
        "takes_vocabulary": False,
    }


def _speakers(hints: Hints) -> dict[str, int]:
    least, most = hints.min_speakers, hints.max_speakers
    if least is not None and least == most:
        return {"numSpeakers": least}
    return {name: n for name, n in (("minSpeakers", least), ("maxSpeakers", most)) if n is not None}


def _batches(voices: Mapping[str, str]) -> list[list[str]]:
    names = list(voices)
    return [names[at : at + _VOICES] for at in range(0, len(names), _VOICES)]


def _words(output: Mapping[str, Any], limit: float) -> tuple[Word, ...]:
    by_word, by_turn = output.get("wordLevelTranscription"), output.get("turnLevelTranscription")
    if not isinstance(by_word, list) and not isinstance(by_turn, list):
        raise Transient(f"{NAME} answered without a transcription.")
    for source in (by_word, by_turn):
        words: list[Word] = []
        for row in rows(source):
            after = words[-1].end if words else 0.0
            words += spoken(row, "text", after=after, limit=limit, speaker=label(row.get("speaker")))
        if words:
            return in_order(words)
    return ()


def _percent(share: float) -> float:
    return round(100 * min(max(share, 0.0), 1.0), 2)


def _matches(
    output: Mapping[str, Any], names: Mapping[str, str], limit: float, threshold: float
) -> list[tuple[float, float, str, float]]:
    sure: dict[object, Row] = {}
    for row in rows(output.get("voiceprints")):
        confidences = row.get("confidence")
        sure[label(row.get("speaker"))] = confidences if isinstance(confidences, Mapping) else {}
    found = []
    for row in rows(output.get("identification")):
        alias = row.get("match")
        start, end = seconds(row.get("start")), seconds(row.get("end"))
        if not isinstance(alias, str) or alias not in names or start is None or end is None:
            continue
        start, end = max(0.0, start), min(end, limit)
        if start < end:
            confidence = fraction(sure.get(label(row.get("diarizationSpeaker")), {}).get(alias), 100.0)
            found.append((start, end, names[alias], threshold if confidence is None else confidence))
    return found
