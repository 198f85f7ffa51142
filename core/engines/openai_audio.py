"""The `openai` and `openai-diarize` engines: OpenAI's transcription models, and servers that speak its
protocol.

What a model can do is in `core.engines.openai_models`; a server whose model nobody knows is asked once.
"""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from core.engines.credentials import OpenAIAccount, account_id
from core.engines.openai_answers import recognition
from core.engines.openai_models import SpeechModel, ended, ending, form, lookup, parse
from core.engines.openai_server import Refused, Server
from core.errors import ErniError, Misconfigured
from core.model import Audio, Hints, Recognition
from core.ports import Capabilities, Engine, Readiness, Report, Transcriber
from core.settings import Settings, load_settings

_PATIENCE = 180.0  # seconds of silence within a request, however short its audio
_PER_SECOND = 1.5  # more for each second of audio: vendors take 0.05 to 0.15, a small machine more
_IN_DOUBT = 600.0  # seconds until a server is asked again for what it failed at

_EXTRA = "Install the extra: pip install 'erni-audio[cloud]'."
_SUCCESSOR = "Set OPENAI_TRANSCRIBE_MODEL=gpt-transcribe."
_NO_SUCCESSOR = (
    "OpenAI has no other model that labels speakers. Set OPENAI_DIARIZE_MODEL to nothing, and use a method "
    "with a diarizer of its own, such as `standard` with OPENAI_TRANSCRIBE_MODEL=gpt-transcribe."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Role:
    """What an engine is for: its name, the setting that names its model, what an unknown model may be able to
    do in the order in which the server is asked, and what to do when OpenAI ends the model."""

    engine: str
    variable: str
    guesses: tuple[SpeechModel, ...]
    remedy: str


_HEARING = _Role(
    engine="openai",
    variable="OPENAI_TRANSCRIBE_MODEL",
    guesses=(
        SpeechModel(name="", word_times=True, segments=True),
        SpeechModel(name="", segments=True),
        SpeechModel(name=""),
    ),
    remedy=_SUCCESSOR,
)
_DIARIZING = _Role(
    engine="openai-diarize",
    variable="OPENAI_DIARIZE_MODEL",
    guesses=(SpeechModel(name="", labels_speakers=True, needs_chunking_strategy=True, takes_prompt=False),),
    remedy=_NO_SUCCESSOR,
)


def create(settings: Settings) -> Engine:  # noqa: ARG001  (every engine is given them; the account has its own)
    """The engine that hears words. Raises Misconfigured for an unusable address or `OPENAI_MODELS`."""
    return OpenAIEngine(load_settings(OpenAIAccount))


def create_diarizing(settings: Settings) -> Engine:  # noqa: ARG001  (as above)
    """The engine whose words carry speakers. Raises as `create` does."""
    return OpenAIEngine(load_settings(OpenAIAccount), diarizing=True)


def _today() -> date:
    return datetime.now(UTC).date()


class OpenAIEngine:
    """One model on one account. `today` says which day it is, UTC; `clock` gives seconds that only grow;
    `patience` is the longest silence within a request for hardly any audio, seconds."""

    draft = False
    diarizer = None

    def __init__(
        self,
        account: OpenAIAccount,
        *,
        diarizing: bool = False,
        today: Callable[[], date] = _today,
        clock: Callable[[], float] = time.monotonic,
        patience: float = _PATIENCE,
    ) -> None:
        self._role = _DIARIZING if diarizing else _HEARING
        self._model = (account.diarize_model if diarizing else account.transcribe_model).strip()
        self._chosen = "diarize_model" in account.model_fields_set
        self._today = today
        self._extra = parse(account.models)
        self._server = Server(account, self._role.variable)
        known = lookup(self._model, self._extra)
        self._transcriber = OpenAITranscriber(
            account,
            self._server,
            self._role,
            known or SpeechModel(name=self._model),
            known=known is not None,
            clock=clock,
            patience=patience,
        )

    @property
    def name(self) -> str:
        return self._role.engine

    @property
    def transcriber(self) -> Transcriber:
        return self._transcriber

    async def check(self) -> Readiness:
        """Whether key, model and package are there, and for how long the model is; asks nobody."""
        return self._lack() or self._life()

    def _lack(self) -> Readiness | None:
        variable = self._role.variable
        if not self._model:
            return Readiness(usable=False, reason="no model is set.", remedy=f"Set {variable}.", absent=True)
        if self._server.official and not self._server.key:
            return Readiness(
                usable=False,
                reason="no key of an OpenAI account is set.",
                remedy="Set OPENAI_API_KEY, or OPENAI_BASE_URL to a server that needs none.",
                absent=True,
            )
        if importlib.util.find_spec("openai") is None:
            return Readiness(usable=False, reason="not installed: openai", remedy=_EXTRA)
        return self._lack_of_labels() if self._role is _DIARIZING else None

    def _lack_of_labels(self) -> Readiness | None:
        known = lookup(self._model, self._extra)
        if known is not None and not known.labels_speakers:
            return Readiness(
                usable=False,
                reason=f"{self._model} does not label speakers.",
                remedy="Set OPENAI_DIARIZE_MODEL to a model that does, or to nothing.",
            )
        if not self._server.official and not self._chosen:
            return Readiness(
                usable=False,
                reason=f"{self._server.host} is not known to have a model that labels speakers.",
                remedy="Set OPENAI_DIARIZE_MODEL if it has one.",
                absent=True,
            )
        return None

    def _life(self) -> Readiness:
        if not self._server.official:  # others may run models under the same names for as long as they like
            return Readiness(usable=True, reason=f"{self._model} on {self._server.host}")
        today = self._today()
        news = ending(self._model, today, self._extra)
        if news:
            alive = not ended(lookup(self._model, self._extra), today)
            return Readiness(usable=alive, reason=news, remedy=self._role.remedy)
        return Readiness(usable=True, reason=f"{self._model} at OpenAI")

    async def close(self) -> None:
        """Close all connections. Safe to repeat; a later call opens them again."""
        await self._server.close()


class OpenAITranscriber:
    """One model of a server. Unless `known`, the server is asked what `model` can do before its first use.

    Only answers and refusals tell. Some servers fail (500) where they mean to refuse; so do servers in
    trouble. Where one fails at a request, answers a lesser one, and then fails at the first again, the lesser
    one is made do with for ten minutes. Until the process ends nothing is unlearnt.
    """

    def __init__(
        self,
        account: OpenAIAccount,
        server: Server,
        role: _Role,
        model: SpeechModel,
        *,
        known: bool,
        clock: Callable[[], float],
        patience: float,
    ) -> None:
        self._account = account
        self._server = server
        self._role = role
        self._model = model
        self._known = known
        self._doubts: tuple[SpeechModel, ...] = ()
        self._ask_again = 0.0
        self._clock = clock
        self._patience = patience
        self._probing = asyncio.Lock()

    @property
    def name(self) -> str:
        return f"OpenAI {self._model.name}" if self._server.official else self._model.name

    @property
    def capabilities(self) -> Capabilities:
        model, account = self._model, self._account
        return Capabilities(
            word_times=model.timed,
            labels_speakers=model.labels_speakers,
            max_seconds=model.max_seconds,
            max_bytes=model.max_bytes,
            upload="ogg",
            concurrency=account.concurrency,
            per_minute=account.per_minute,
            account=account_id("openai", account.api_key),
            price=f"{'openai' if self._server.official else 'compatible'}/{model.name}",
            takes_languages=model.takes_language or model.takes_languages,
            takes_vocabulary=model.takes_prompt or model.takes_keywords,
            takes_speakers=False,
        )

    @property
    def prepared(self) -> bool:
        """Whether it is known what the model can do, with no doubt that is due to be cleared up."""
        return self._known and not (self._doubts and self._clock() >= self._ask_again)

    async def prepare(self) -> None:
        """Find out what the model can do, unless that is known; costs requests of a second of audio.

        Raises as `transcribe` does, and Misconfigured if the server refuses every kind of request; nothing is
        remembered then.
        """
        async with self._probing:
            if self.prepared:
                return
            found, doubts = (self._model, self._doubts) if self._known else await self._probe()
            left: list[SpeechModel] = []
            for model in doubts:
                try:
                    if await self._server.can(model, patience=self._patience):
                        found = model
                        break
                except Refused:
                    left.append(model)
            self._model, self._doubts, self._known = found, tuple(left), True
            self._ask_again = self._clock() + _IN_DOUBT

    async def _probe(self) -> tuple[SpeechModel, tuple[SpeechModel, ...]]:
        """The most that the server answers, and those greater guesses at which it failed."""
        failed: list[SpeechModel] = []
        trouble: ErniError | None = None
        for guess in self._role.guesses:
            model = replace(guess, name=self._model.name)
            try:
                if await self._server.can(model, patience=self._patience):
                    return model, tuple(failed)
            except Refused as failure:
                failed.append(model)
                trouble = failure.settled
        if trouble is not None:
            raise trouble
        use = "labels speakers" if self._role is _DIARIZING else "hears words"
        raise Misconfigured(
            f"The server at OPENAI_BASE_URL has no model {self._model.name} that {use}. Correct "
            f"{self._role.variable}, or say in OPENAI_MODELS what the model can do."
        )

    async def transcribe(self, audio: Audio, hints: Hints, report: Report) -> Recognition:
        """The words of `audio.path`, or its text if the model knows no times; with speakers if it labels
        them.

        Raises Rejected (a file or a language that is not accepted), Transient, AuthFailed, QuotaExhausted or
        Misconfigured (no such model; a table of models that is wrong).
        """
        if not self._known:
            await self.prepare()
        model = self._model
        report(0.0)
        asked, warnings = form(model, hints)
        try:
            with audio.path.open("rb") as file:
                answer = await self._server.transcription(
                    audio.path.suffix.lower().lstrip("."),
                    file,
                    asked,
                    patience=self._patience + _PER_SECOND * audio.seconds,
                )
        except Refused as refusal:
            if not refusal.too_short:
                raise refusal.settled from None
            answer = {"text": ""}
        found = await asyncio.to_thread(recognition, answer, model, audio.seconds, hints.languages)
        report(1.0)
        return replace(found, warnings=(*warnings, *found.warnings))
