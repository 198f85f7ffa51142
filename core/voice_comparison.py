"""The speakers of a recording against known voices: on this machine, or at pyannoteAI."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from core.engines.credentials import PyannoteAIAccount, account_id
from core.engines.voice_embedding import VoiceModel
from core.errors import ErniError, Transient
from core.identification import Scores, Span, Vector, cosine, mean, overlap_scores
from core.longform import deadline
from core.model import Audio
from core.ports import Accounts
from core.settings import Settings, load_settings
from core.voice_samples import Identifier, Stretch, connected, cut, pyannoteai
from core.voiceprints import Embedding, Voice

logger = logging.getLogger(__name__)

Connect = Callable[[Settings], Identifier | None]
"""Gives the vendor, None where it is not set up."""

Spoken = Mapping[str, Sequence[Span]]
"""Speaker label -> where that voice is well heard."""

_PRINTS = 50  # that pyannoteAI compares in one request; more are several requests, each paid
_GAP = 0.5  # seconds of silence between stretches that are sent


class Comparison:
    """How like the known voices the speakers are.

    `threshold` (0..1) is the likeness below which the vendor need not report a voice. With `accounts`, its
    limits are kept, and what its work costs is set aside under `price` before.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        threshold: float,
        connect: Connect = pyannoteai,
        accounts: Accounts | None = None,
        price: str = "",
    ) -> None:
        self._settings = settings
        self._threshold = threshold
        self._connect = connect
        self._accounts = accounts
        self._price = price
        self._model = VoiceModel(settings)

    async def scores(self, spoken: Spoken, voices: Sequence[Voice], audio: Audio, tenant: str) -> Scores:
        """By the way that knows more of the voices: on this machine, or at the vendor, which costs money. The
        other one takes over where it fails. Raises what the better one raises if neither works."""
        here: dict[str, Embedding] = {}
        if self._model.installed:
            digest = await self._model.digest()
            here = {voice.id: voice.embeddings[digest] for voice in voices if digest in voice.embeddings}
        there = {voice.id: voice.vendor for voice in voices if voice.vendor is not None}
        ways: list[tuple[int, Callable[[], Awaitable[Scores]]]] = []
        if here:
            ways.append((len(here), partial(self._embedded, spoken, here, audio)))
        if there:
            ways.append((len(there), partial(self._identified, spoken, there, audio, tenant)))
        failure: ErniError | None = None
        for _, way in sorted(ways, key=lambda way: -way[0]):
            try:
                return await way()
            except ErniError as error:
                logger.warning("a way to compare voices failed: %s", type(error).__name__)
                failure = failure or error
        if failure is not None:
            raise failure
        logger.warning("none of the %d voices of a workspace can be compared on this machine", len(voices))
        return {}

    async def _embedded(self, spoken: Spoken, known: Mapping[str, Embedding], audio: Audio) -> Scores:
        spans = [(label, span) for label, own in spoken.items() for span in own]
        vectors = await self._model.embeddings([(audio.path, span) for _, span in spans])
        heard: dict[str, list[tuple[Vector, float]]] = {label: [] for label in spoken}
        for (label, (start, end)), vector in zip(spans, vectors, strict=True):
            if vector is not None:
                heard[label].append((vector, end - start))
        return await asyncio.to_thread(_likenesses, heard, known)

    async def _identified(
        self, spoken: Spoken, prints: Mapping[str, str], audio: Audio, tenant: str
    ) -> Scores:
        """Only each speaker's best stretches are sent, one after another: it costs less and tells less."""
        vendor = await connected(self._connect(self._settings))
        target = audio.path.with_name(f"{audio.path.stem}-voices.wav")
        spans = [(label, span) for label, own in spoken.items() for span in own]
        try:
            places, seconds = await cut([(audio.path, span) for _, span in spans], target, gap=_GAP)
            placed: dict[str, list[Span]] = {label: [] for label in spoken}
            for (label, _), place in zip(spans, places, strict=True):
                placed[label].append(place)
            stretches = await self._paid(vendor, Audio(path=target, seconds=seconds), prints, tenant)
            return overlap_scores(placed, stretches, prints)
        finally:
            await vendor.close()
            target.unlink(missing_ok=True)

    async def _paid(
        self, vendor: Identifier, excerpt: Audio, prints: Mapping[str, str], tenant: str
    ) -> Sequence[Stretch]:
        if self._accounts is None:
            return await vendor.identify(excerpt, prints, threshold=self._threshold)
        sent = excerpt.seconds * math.ceil(len(prints) / _PRINTS)
        account = load_settings(PyannoteAIAccount)
        receipt = await self._accounts.reserve(tenant, "pyannoteai", self._price, sent)
        spent = 0.0
        try:
            async with self._accounts.permit(
                account_id("pyannoteai", account.api_key),
                concurrency=account.concurrency,
                per_minute=account.per_minute,
            ):
                async with asyncio.timeout(deadline(excerpt.seconds, vendor=True)):
                    found = await vendor.identify(excerpt, prints, threshold=self._threshold)
            spent = sent
        except TimeoutError:
            spent = sent  # it may well have been worked on
            raise Transient("Comparing voices took too long.") from None
        finally:
            await self._accounts.settle(receipt, spent)
        return found


def _likenesses(
    heard: Mapping[str, Sequence[tuple[Vector, float]]], known: Mapping[str, Embedding]
) -> Scores:
    means = {label: mean(own) for label, own in heard.items()}
    return {
        label: {voice: cosine(own, embedding.vector) for voice, embedding in known.items()}
        for label, own in means.items()
        if own is not None
    }
