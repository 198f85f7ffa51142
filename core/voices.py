"""Voices of people who asked to be recognised: kept sealed, one workspace apart from another, and found
again in finished transcripts.

They lie in the store under random ids; names and prints are sealed by the vault. Which stored transcripts
name whom is noted beside them, so that removing a voice removes the name from those too.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Set
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from pydantic import TypeAdapter
from redis.exceptions import RedisError

from core.errors import Misconfigured
from core.identification import excerpts, name_speakers
from core.model import Audio, Transcript
from core.ports import Accounts
from core.settings import Settings
from core.store import RedisStore
from core.voice_comparison import Comparison, Connect
from core.voice_samples import Sampled, pyannoteai
from core.voiceprints import Voice, joined, refusal, same_name

logger = logging.getLogger(__name__)

OWN_WORKSPACE = "default"
"""Of those who run the service themselves: their folders and their terminal."""

IDENTIFYING = "pyannoteai/identify/precision-2"
"""What comparing speakers with known voices costs at the vendor, a key of `core.engines.prices.PRICES`."""

_BELOW_SURE = 0.15  # how far below ERNI_VOICES_SURE a voice is still a suggestion
_NOT_COMPARED = "The speakers could not be compared with the known voices, so no names were added."

_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)

T = TypeVar("T")

_voice = TypeAdapter(Voice)


class Voices:
    """The voices of all workspaces (`tenant` is `Policy.workspace`). See `Comparison` for the rest."""

    def __init__(
        self,
        store: RedisStore,
        settings: Settings,
        *,
        connect: Connect = pyannoteai,
        accounts: Accounts | None = None,
        price: str = "",
    ) -> None:
        self._store = store
        self._refusal = refusal(settings)
        self._sure = settings.voices_sure
        self._perhaps = max(0.0, settings.voices_sure - _BELOW_SURE)
        self._comparison = Comparison(
            settings, threshold=self._perhaps, connect=connect, accounts=accounts, price=price
        )

    @property
    def on(self) -> bool:
        """Whether voices are recognised at all: the operator turned it on, and there is an encryption key."""
        return not self._refusal

    async def all(self, tenant: str) -> list[Voice]:
        """The workspace's voices by name. Raises Misconfigured if they were kept with another key."""
        found = []
        for voice, text in (await self._store.memories(_voices(tenant))).items():
            try:
                found.append(_voice.validate_json(text))
            except ValueError:
                logger.error("voice %s is damaged and is passed over", voice)  # noqa: TRY400  (would quote it)
        return sorted(found, key=lambda voice: (same_name(voice.name), voice.id))

    async def find(self, tenant: str, name: str) -> Voice | None:
        """The voice called `name`, whatever the case of its letters."""
        wanted = same_name(name)
        return next((voice for voice in await self.all(tenant) if same_name(voice.name) == wanted), None)

    async def add(self, tenant: str, name: str, sampled: Sampled) -> Voice:
        """Add samples to the voice called `name`, which is made if it is new.

        Raises Misconfigured if voices may not be kept, Rejected if the samples are of somebody else.
        """
        self._require_permission()
        voice = joined(await self.find(tenant, name), name, sampled)
        await self._keep(tenant, voice)
        facts = {"voice": voice.id, "workspace": tenant, "samples": str(sampled.samples)}
        await self._store.audit("voice-added", facts)
        return voice

    async def take_in(self, tenant: str, voice: Voice) -> bool:
        """Keep a voice that was exported, under a new id. False: there is one of that name already.

        Raises Misconfigured if voices may not be kept.
        """
        self._require_permission()
        if await self.find(tenant, voice.name) is not None:
            return False
        voice = replace(voice, id=uuid.uuid4().hex)
        await self._keep(tenant, voice)
        await self._store.audit("voice-imported", {"voice": voice.id, "workspace": tenant})
        return True

    async def remove(self, tenant: str, name: str) -> int | None:
        """Delete a voice and take its name out of stored transcripts, whose number is returned; None if there
        is no such voice. Works also where recognising voices is turned off.

        Transcripts that nobody waits for are deleted; one that is still to be delivered loses the name.
        """
        voice = await self.find(tenant, name)
        if voice is None:
            return None
        await self._store.forget(_voices(tenant), voice.id)
        cleared = 0
        for key, noted in (await self._store.memories(_named(tenant))).items():
            ids = set(json.loads(noted))
            if voice.id not in ids:
                continue
            cleared += await self._store.drop_result(key, lambda found: _without(found, {voice.name}))
            if await self._store.kept_results([key]):
                await self._note(tenant, key, ids - {voice.id})
            else:
                await self._store.forget(_named(tenant), key)
        facts = {"voice": voice.id, "workspace": tenant, "transcripts": str(cleared)}
        await self._store.audit("voice-removed", facts)
        return cleared

    async def fingerprint(self, tenant: str) -> str:
        """Changes with the workspace's voices and with what may be said of them, and is another one for each
        workspace: it belongs to the key of every result. Empty if there are none, or this is turned off."""
        voices = await self._store.memories(_voices(tenant)) if self.on else {}
        if not voices:
            return ""
        parts = [tenant, self._sure, sorted(voices.items())]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    async def label(self, transcript: Transcript, audio: Audio, tenant: str) -> Transcript:
        """The transcript with `names` and `suggestions` from the workspace's voices. `audio` is the decoded
        recording. What fails here costs a name and adds a warning, never the transcript.

        A draft's speakers are a guess, so there nobody is more than suggested.
        """
        if not self.on:
            return transcript
        spoken = {
            label: spans
            for label, spans in excerpts(transcript.utterances).items()
            if label not in transcript.names
        }
        try:
            voices = await self.all(tenant) if spoken else []
            scores = await self._comparison.scores(spoken, voices, audio, tenant) if voices else {}
        except Exception as error:  # noqa: BLE001  (a name is never worth the transcript)
            logger.warning("speakers could not be compared with voices: %s", type(error).__name__)
            return replace(transcript, warnings=(*transcript.warnings, _NOT_COMPARED))
        naming = name_speakers(scores, sure=self._sure, perhaps=self._perhaps)
        names = {voice.id: voice.name for voice in voices}
        claims = {label: names[voice] for label, voice in naming.claims.items()}
        suggestions = {label: names[voice] for label, voice in naming.suggestions.items()}
        if transcript.draft:
            claims, suggestions = {}, claims | suggestions
        return replace(
            transcript,
            names={**transcript.names, **claims},
            suggestions={**transcript.suggestions, **suggestions},
        )

    @asynccontextmanager
    async def derived(self, tenant: str, transcript: Transcript, result_key: str) -> AsyncIterator[None]:
        """Around keeping a labelled transcript under `result_key`. Notes first whose voices it names, so that
        `remove` finds it whatever happens, and afterwards takes out the names of voices that were removed
        meanwhile."""
        names = {*transcript.names.values(), *transcript.suggestions.values()}
        if not names:
            yield
            return
        voices = await _patiently(lambda: self.all(tenant))
        ids = {voice.id for voice in voices if voice.name in names}
        await _patiently(lambda: self._note(tenant, result_key, ids))
        yield
        gone = names - {voice.name for voice in await _patiently(lambda: self.all(tenant))}
        if gone:
            await _patiently(lambda: self._store.drop_result(result_key, lambda found: _without(found, gone)))
        if result_key.startswith("00"):  # one in 256: tidying up takes time
            await self._tidy(tenant)

    async def _tidy(self, tenant: str) -> None:
        """Drop the notes on transcripts that have expired."""
        noted = set(await self._store.memories(_named(tenant)))
        for key in noted - await self._store.kept_results(noted):
            await self._store.forget(_named(tenant), key)

    async def _note(self, tenant: str, result_key: str, ids: Set[str]) -> None:
        await self._store.remember(_named(tenant), result_key, json.dumps(sorted(ids)))

    async def _keep(self, tenant: str, voice: Voice) -> None:
        await self._store.remember(_voices(tenant), voice.id, _voice.dump_json(voice).decode())

    def _require_permission(self) -> None:
        if self._refusal:
            raise Misconfigured(self._refusal)


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """An answer of the store, also if it restarts meanwhile: an hour of recognition hangs on it."""
    for pause in _PAUSES:
        try:
            return await ask()
        except (RedisError, OSError):
            await asyncio.sleep(pause)
    return await ask()


def _voices(tenant: str) -> str:
    return f"voices:{tenant}"


def _named(tenant: str) -> str:
    return f"voices-named:{tenant}"


def _without(transcript: Transcript, names: Set[str]) -> Transcript:
    def kept(labels: Mapping[str, str]) -> dict[str, str]:
        return {label: name for label, name in labels.items() if name not in names}

    return replace(transcript, names=kept(transcript.names), suggestions=kept(transcript.suggestions))
