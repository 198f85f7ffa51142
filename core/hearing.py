"""The chain of methods over one decoded recording: each engine does what it can, the next one does the rest.

A method that fails hands on what succeeded: speaker turns that were told are kept when another transcriber
takes over, and words that were heard are kept when another diarizer does. Only if nobody can tell the
speakers does the text stand without them, and says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from core.attribution import attribute, label_speakers, merge_channels, merge_speakers
from core.breaker import ENGINE_TROUBLE, Breaker, Watched
from core.detecting import Detection, Detector, Spans
from core.drift import drifts
from core.errors import AuthFailed, Misconfigured, Rejected, Transient
from core.invented import cut_invented
from core.longform import Incomplete, Longform, deadline
from core.model import Audio, Diarization, Hints, Recognition, SpeakerTurn, Stage, Transcript, Utterance, Word
from core.ports import Capabilities, Diarizer, Probing, Transcriber
from core.render.times import clock
from core.tasks import end

logger = logging.getLogger(__name__)

T = TypeVar("T")

Progress = Callable[[Stage, float | None], None]
"""Takes the stage and its finished fraction (None if unknown). Cheap: may be called often."""


UNLABELLED = "The speakers could not be told apart, so the text stands without them."

_TRANSCRIBING_SHARE = 0.8  # of the work of recognition, for one progress bar over both halves


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A method ready to run: who hears the words, and who hears the speakers (None: the words carry them).
    The engines are named as in `core.registry.ENGINES`."""

    method: str
    transcriber: Transcriber
    diarizer: Diarizer | None
    draft: bool
    transcriber_engine: str = ""
    diarizer_engine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    utterances: tuple[Utterance, ...] = ()
    languages: tuple[str, ...] = ()
    engine: str = ""
    warnings: tuple[str, ...] = ()
    unlabelled: bool = False


async def listen(
    audio: Audio,
    *,
    content_key: str,
    hints: Hints,
    listeners: Sequence[Listener],
    longform: Longform,
    detector: Detector,
    progress: Progress,
    fell_back: Callable[[str, str], None],
) -> Transcript:
    """Recognise with the first methods that work. Raises what the first one raised if none does."""
    if not listeners:
        raise Misconfigured("No recognition method can run here. `erni-audio doctor` says why.")
    chain = _Chain(audio, hints, longform, detector, progress)
    failed: list[str] = []
    failure: Exception | None = None
    waiting: list[tuple[int, Recognition | None]] = [(number, None) for number in range(len(listeners))]
    gapped: list[tuple[int, Recognition | None]] = []  # better than nothing, where no method gets it all
    try:
        while waiting or gapped:
            number, words = waiting.pop(0) if waiting else gapped.pop()
            listener = listeners[number]
            try:
                heard = await chain.hear(listener, listeners[number + 1 :], words)
            except (Rejected, *ENGINE_TROUBLE) as error:
                # A refusal is an answer, which people are told.
                level = logging.INFO if isinstance(error, Rejected) else logging.WARNING
                logger.log(level, "method %s failed: %s", listener.method, _said(error))
                failed.append(listener.method)
                # The best method's word counts: if it had a passing trouble, a lesser one's refusal is not
                # final.
                failure = failure or error
                if isinstance(error, Incomplete) and not gapped and not audio.channels:
                    gapped.append((number, error.found))
                continue
            others = [method for method in failed if method != listener.method]
            for method in others:
                fell_back(method, listener.method)
            troubles = [
                f"The method `{method}` failed, so `{listener.method}` was used." for method in others
            ]
            return Transcript(
                content_key=content_key,
                languages=heard.languages,
                seconds=audio.seconds,
                utterances=heard.utterances,
                engine=heard.engine,
                draft=listener.draft,
                warnings=(*audio.warnings, *troubles, *heard.warnings),
                unlabelled=heard.unlabelled,
            )
    finally:
        await chain.close()
    raise failure or Misconfigured("No recognition method ran.")


async def tell_speakers(
    audio: Audio,
    transcript: Transcript,
    *,
    hints: Hints,
    listeners: Sequence[Listener],
    longform: Longform,
    detector: Detector,
    progress: Progress,
) -> Transcript:
    """An unlabelled transcript with speakers, its words as they are. Raises what the first diarizer raised if
    none can tell them, Misconfigured if there is none."""
    chain = _Chain(audio, hints, longform, detector, progress)
    try:
        turns, name = await chain.turns(listeners)
    finally:
        await chain.close()
    gaps = tuple(said for said in transcript.utterances if said.gap)
    words = tuple(word for said in transcript.utterances if not said.gap for word in said.words)
    utterances = await asyncio.to_thread(_attributed, words, turns)
    return replace(
        transcript,
        utterances=_in_order((*utterances, *gaps)),
        engine=f"{transcript.engine} + {name}",
        warnings=tuple(warning for warning in transcript.warnings if warning != UNLABELLED) + turns.warnings,
        unlabelled=False,
    )


class _Chain:
    """One recording on its way through the methods; keeps what was found on the way."""

    def __init__(
        self, audio: Audio, hints: Hints, longform: Longform, detector: Detector, progress: Progress
    ) -> None:
        self._audio = audio
        self._hints = hints
        self._longform = longform
        self._accounts = longform.accounts
        self._detector = detector
        self._progress = progress
        self._shares = [0.0, 0.0]
        self._telling: tuple[str, Diarizer, asyncio.Task[Diarization | Exception]] | None = None
        self._told_in_vain: dict[str, Exception] = {}
        self._speech = Detection(detector, audio)
        self._breaker = Breaker(longform.accounts)

    async def close(self) -> None:
        """End what still runs."""
        await end(*([self._telling[2]] if self._telling else []))
        await self._speech.close()
        await self._breaker.close()

    async def hear(
        self, listener: Listener, later: Sequence[Listener], words: Recognition | None = None
    ) -> _Heard:
        """The recording by one method, with what earlier ones found; `words` if it heard them already. Raises
        as its transcriber does."""
        self._progress(Stage.RECOGNISING, 0.0)
        transcriber = listener.transcriber
        if isinstance(transcriber, Probing) and not transcriber.prepared:
            await self._breaker.guard(listener.transcriber_engine, transcriber, self._prepare)
        can = transcriber.capabilities
        if can.account and not await self._speech.anybody():
            return _Heard(engine="speech detection")  # nothing is spent on silence or music
        if self._audio.channels:
            return await self._hear_channels(listener)
        if listener.diarizer is not None:
            self._start_telling(listener.diarizer_engine, listener.diarizer)
        turns, told_by = None, ""
        if can.word_times:
            words = words or await self._words(listener)
            # An earlier method's turns are paid for; a call that labels its words needs no other's.
            others = (listener, *later) if listener.diarizer is not None or not can.labels_speakers else ()
            turns, told_by = await self._any_turns(others)
        else:
            turns, told_by = await self._any_turns((listener, *later))
            words = words or await self._words(listener, turns)
        self._progress(Stage.WRITING, None)
        words, warnings = await self._sound(words, can, trusted=not can.account)
        labelled = turns is None and can.labels_speakers and any(word.speaker for word in words.words)
        if labelled or not can.word_times:
            utterances = await asyncio.to_thread(lambda: label_speakers(merge_speakers(words.words)))
        else:
            utterances = await asyncio.to_thread(_attributed, words.words, turns or Diarization(turns=()))
        unlabelled = turns is None and not labelled and bool(words.words)
        telling = can if listener.diarizer is None else listener.diarizer.capabilities
        return _Heard(
            utterances=_in_order((*utterances, *map(_gap, words.gaps))),
            languages=words.languages,
            engine=" + ".join(dict.fromkeys(name for name in (transcriber.name, told_by) if name)),
            warnings=tuple(
                dict.fromkeys(
                    (
                        *warnings,
                        *(turns.warnings if turns else ()),
                        *([UNLABELLED] if unlabelled else []),
                        *([] if listener.draft else _unused(self._hints, can, telling, transcriber.name)),
                    )
                )
            ),
            unlabelled=unlabelled,
        )

    async def turns(self, listeners: Sequence[Listener]) -> tuple[Diarization, str]:
        """Speaker turns from the first diarizer that can tell them. Raises what the first one raised."""
        turns, name = await self._any_turns(listeners)
        if turns is None:
            raise next(
                iter(self._told_in_vain.values()), Misconfigured("No method here tells speakers apart.")
            )
        return turns, name

    async def _hear_channels(self, listener: Listener) -> _Heard:
        """Each channel is one speaker, so labels are right by construction and nobody talks over anybody."""
        can, channels = listener.transcriber.capabilities, self._audio.channels
        done = [0.0] * len(channels)

        async def one(index: int) -> Recognition:
            def report(fraction: float) -> None:
                done[index] = max(done[index], fraction)
                self._progress(Stage.RECOGNISING, sum(done) / len(done))

            audio = Audio(path=channels[index], seconds=self._audio.seconds)
            detection = Detection(self._detector, audio)
            try:
                if can.account and not await detection.anybody():
                    return Recognition(words=())  # the caller who only listens
                spans = await detection.spans() if can.account else ()
                speech = await detection.spans_if_known() if can.account and can.word_times else None
            finally:
                await detection.close()
            turns = Diarization(turns=tuple(SpeakerTurn(start=s, end=e, speaker="one") for s, e in spans))
            found = await self._breaker.guard(
                listener.transcriber_engine,
                listener.transcriber,
                lambda hears: self._longform.transcribe(
                    hears, listener.transcriber_engine, audio, self._hints, report, turns=turns
                ),
            )
            return await asyncio.to_thread(_cut, found, speech, self._hints)

        if can.account:
            heard = await _all_of([one(index) for index in range(len(channels))])
        else:
            heard = [await one(index) for index in range(len(channels))]  # one process, one after the other
        self._progress(Stage.WRITING, None)
        utterances = await asyncio.to_thread(
            lambda: label_speakers(merge_channels([recognition.words for recognition in heard]))
        )
        gaps = dict.fromkeys(gap for each in heard for gap in each.gaps)
        told = [
            warning
            for each in heard
            for warning in await asyncio.to_thread(drifts, each.words, each.languages, self._hints.languages)
        ]
        unused = [] if listener.draft else _unused(self._hints, can, can, listener.transcriber.name)
        return _Heard(
            utterances=_in_order((*utterances, *map(_gap, gaps))),
            languages=tuple(dict.fromkeys(language for each in heard for language in each.languages)),
            engine=f"{listener.transcriber.name} per channel",
            warnings=tuple(
                dict.fromkeys((*(said for each in heard for said in each.warnings), *told, *unused))
            ),
        )

    async def _words(self, listener: Listener, turns: Diarization | None = None) -> Recognition:
        return await self._breaker.guard(
            listener.transcriber_engine,
            listener.transcriber,
            lambda hears: self._longform.transcribe(
                hears,
                listener.transcriber_engine,
                self._audio,
                self._hints,
                self._share(0),
                turns=turns,
                speech=self._speech.spans,
            ),
        )

    async def _sound(
        self, words: Recognition, can: Capabilities, *, trusted: bool
    ) -> tuple[Recognition, tuple[str, ...]]:
        """Without what was invented, and with what is to be said of the language. A `trusted` engine looks
        for speech itself before it recognises."""
        # Times that are spread over a turn say nothing about silence.
        speech = await self._speech.spans_if_known() if can.word_times and not trusted else None
        sound = await asyncio.to_thread(_cut, words, speech, self._hints)
        told = await asyncio.to_thread(drifts, sound.words, sound.languages, self._hints.languages)
        return sound, (*sound.warnings, *told)

    async def _any_turns(self, listeners: Sequence[Listener]) -> tuple[Diarization | None, str]:
        """Turns from whoever tells them already, else from the first diarizer of `listeners` that can."""
        if self._telling is None:
            self._tell_next(listeners)
        while self._telling is not None:
            engine, diarizer, task = self._telling
            found = await asyncio.shield(task)
            if isinstance(found, Diarization):
                return found, diarizer.name
            logger.warning("diarizer %s failed: %s", engine or diarizer.name, _said(found))
            self._told_in_vain[engine or diarizer.name] = found
            self._telling = None
            self._tell_next(listeners)
        return None, ""

    def _tell_next(self, listeners: Sequence[Listener]) -> None:
        for listener in listeners:
            if listener.diarizer is not None:
                name = listener.diarizer_engine or listener.diarizer.name
                if name not in self._told_in_vain:
                    self._start_telling(listener.diarizer_engine, listener.diarizer)
                    return

    def _start_telling(self, engine: str, diarizer: Diarizer) -> None:
        if self._telling is None and (engine or diarizer.name) not in self._told_in_vain:
            work = self._breaker.guard(
                engine,
                diarizer,
                lambda tells: self._longform.diarize(tells, engine, self._audio, self._hints, self._share(1)),
            )
            task = asyncio.create_task(_settled(work), name=f"diarizer {engine}")
            self._telling = engine, diarizer, task

    async def _prepare(self, transcriber: Watched) -> None:
        can = transcriber.capabilities
        async with (
            self._accounts.permit(can.account, concurrency=can.concurrency, per_minute=can.per_minute),
            asyncio.timeout(deadline(self._audio.seconds, vendor=True)),
        ):
            await transcriber.prepare()

    def _share(self, index: int) -> Callable[[float], None]:
        def report(fraction: float) -> None:
            self._shares[index] = max(self._shares[index], min(1.0, fraction))
            done = _TRANSCRIBING_SHARE * self._shares[0] + (1 - _TRANSCRIBING_SHARE) * self._shares[1]
            self._progress(Stage.RECOGNISING, done)

        return report


def _cut(words: Recognition, speech: Spans | None, hints: Hints) -> Recognition:
    return cut_invented(words, speech=speech, vocabulary=hints.vocabulary)


def _attributed(words: Sequence[Word], turns: Diarization) -> tuple[Utterance, ...]:
    return label_speakers(attribute(words, turns.turns, overlapping=turns.overlapping))


def _gap(stretch: tuple[float, float]) -> Utterance:
    """What stands in the text where nothing could be recognised."""
    start, stop = stretch
    word = Word(start=start, end=stop, text=f"[not recognised: {clock(start)} to {clock(stop)}]")
    return Utterance(speaker=None, start=start, end=stop, words=(word,), gap=True)


def _in_order(utterances: Sequence[Utterance]) -> tuple[Utterance, ...]:
    """By start where there are gaps among them; attribution's own order is kept otherwise."""
    if not any(said.gap for said in utterances):
        return tuple(utterances)
    return tuple(sorted(utterances, key=lambda said: said.start))


def _unused(hints: Hints, hearing: Capabilities, telling: Capabilities, name: str) -> list[str]:
    """What people asked for and the engines can't do."""
    said = []
    if hints.vocabulary and not hearing.takes_vocabulary:
        said.append(f"The vocabulary was not used: {name} takes none.")
    if hints.languages and not hearing.takes_languages:
        said.append(f"The language was not set: {name} finds it out by itself.")
    if (hints.min_speakers or hints.max_speakers) and not telling.takes_speakers:
        said.append(f"The number of speakers was not used: {name} counts them by itself.")
    return said


def _said(error: Exception) -> str:
    """For the operator's log: our own errors name no person and no text."""
    own = isinstance(error, Transient | AuthFailed | Misconfigured)
    return f"{type(error).__name__}: {error}" if own else type(error).__name__


async def _settled(work: Awaitable[T]) -> T | Exception:
    """The result or the error, so that one half failing leaves the other half running."""
    try:
        return await work
    except Exception as error:  # noqa: BLE001  (handed on as a value; the caller decides)
        return error


async def _all_of(works: Sequence[Awaitable[T]]) -> list[T]:
    """All results; the first error ends the rest."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_awaited(work)) for work in works]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def _awaited(work: Awaitable[T]) -> T:
    return await work
