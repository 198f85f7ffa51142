"""One recording of any length through an engine that takes only so much at once.

Cut in pauses, encoded, sent in parallel under the account's limits, each piece retried without the others,
joined without doubled or lost words, and with speaker labels that mean the same person in every piece. What
an earlier attempt at the same recording was answered is not asked again.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Self, TypeVar

from core.cutting import Pause, Piece, plan, windows
from core.detecting import Spans
from core.errors import AuthFailed, Misconfigured, Rejected, Transient
from core.joining import join, shifted
from core.kept import Answers, Shelf
from core.model import Audio, Diarization, Hints, Recognition, SpeakerTurn, Word
from core.ports import Accounts, Capabilities, Diarizer, Report, Transcriber
from core.render.times import clock
from core.turnwise import LONGEST, Slice, divided, slices, words_of
from core.uploads import Encoder, longest_request

logger = logging.getLogger(__name__)

T = TypeVar("T", Recognition, Diarization)

_FIRST_PAUSE = 1.0  # seconds before a piece's second try
_LONGEST_PAUSE = 60.0
_LEAST_PATIENCE, _PATIENCE = 20.0, 0.05  # seconds a piece waits in all, or a share of the recording's length
_LEAST_DEADLINE, _LOCAL_DEADLINE = 180.0, 1800.0  # seconds for a request, however short its audio
_PER_SECOND, _LOCAL_PER_SECOND = 1.5, 30.0  # more for each second of audio: vendors take 0.05 to 0.15
_FINAL = (AuthFailed, Misconfigured)

Link = Callable[[Audio, Sequence[tuple[int, Spans]], Hints], Awaitable[Sequence[int] | None]]
"""Takes the voices of all pieces as (piece, where it speaks); a person's number for each, None if that can't
be told."""


class Incomplete(Transient):
    """Some pieces failed, and trying again could help. `found` is the rest, with gaps."""

    def __init__(self, found: Recognition, error: Exception) -> None:
        super().__init__(
            f"{len(found.gaps)} pieces could not be recognised ({type(error).__name__}).",
            retry_after=getattr(error, "retry_after", None),
        )
        self.found = found


def deadline(seconds: float, *, vendor: bool) -> float:
    """How long a request with `seconds` of audio may take before it counts as failed, seconds."""
    if vendor:
        return _LEAST_DEADLINE + _PER_SECOND * seconds
    return _LOCAL_DEADLINE + _LOCAL_PER_SECOND * seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class _Errand(Generic[T]):
    """What is asked of whom: `engine` names it for its account, `model` for people, `can` says how it wants
    to be asked, and its answers are of one `kind`."""

    kind: type[T]
    engine: str
    model: str
    can: Capabilities
    audio: Audio
    hints: Hints
    ask: Callable[[Audio, Hints, Report], Awaitable[T]]
    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Longform:
    """Sends one recording to engines. `work` is a directory for pieces, `tenant` who pays for it; on `shelf`
    vendors' answers are kept for the next attempt, if there is one."""

    accounts: Accounts
    encoder: Encoder
    link: Link
    work: Path
    tenant: str
    shelf: Shelf | None = None

    async def transcribe(
        self,
        transcriber: Transcriber,
        engine: str,
        audio: Audio,
        hints: Hints,
        report: Report,
        *,
        turns: Diarization | None = None,
        speech: Callable[[], Awaitable[Spans]] | None = None,
    ) -> Recognition:
        """The words of all of `audio`, by the engine named `engine`.

        A transcriber without word times hears the speaker `turns` one by one, and what else of `speech` there
        is. Raises as the engine does. A piece that is refused while others are heard is a gap; if some failed
        for other reasons, raises Incomplete.
        """
        errand = _Errand(
            kind=Recognition,
            engine=engine,
            model=transcriber.name,
            can=transcriber.capabilities,
            audio=audio,
            hints=hints,
            ask=transcriber.transcribe,
            report=report,
        )
        if errand.can.word_times:
            return await self._whole(errand)
        return await self._turnwise(errand, turns, await speech() if speech is not None else ())

    async def diarize(
        self, diarizer: Diarizer, engine: str, audio: Audio, hints: Hints, report: Report
    ) -> Diarization:
        """The turns of all of `audio`. Raises as the engine does."""
        errand = _Errand(
            kind=Diarization,
            engine=engine,
            model=diarizer.name,
            can=diarizer.capabilities,
            audio=audio,
            hints=hints,
            ask=diarizer.diarize,
            report=report,
        )
        pieces = await self._pieces(audio, errand.can)
        found = await self._all(errand, pieces)
        if failed := next((each for each in found if isinstance(each, Exception)), None):
            raise failed  # speakers with a hole would be taken for silence
        parts = [each for each in found if isinstance(each, Diarization)]
        if len(parts) == 1:
            return parts[0]
        heard = [
            [
                SpeakerTurn(start=turn.start + piece.start, end=turn.end + piece.start, speaker=turn.speaker)
                for turn in part.turns
            ]
            for piece, part in zip(pieces, parts, strict=True)
        ]
        names, warnings = await self._named(
            audio, hints, [[(turn.speaker, (turn.start, turn.end)) for turn in turns] for turns in heard]
        )
        turns = [
            SpeakerTurn(
                start=max(turn.start, piece.keep_from),
                end=min(turn.end, piece.keep_to),
                speaker=names[number, turn.speaker],
            )
            for number, (piece, own) in enumerate(zip(pieces, heard, strict=True))
            for turn in own
            if min(turn.end, piece.keep_to) > max(turn.start, piece.keep_from)
        ]
        return Diarization(
            turns=tuple(sorted(turns, key=lambda turn: turn.start)),
            overlapping=any(part.overlapping for part in parts),
            warnings=_each(warnings, *(part.warnings for part in parts)),
        )

    async def _whole(self, errand: _Errand[Recognition]) -> Recognition:
        audio, can = errand.audio, errand.can
        pieces = await self._pieces(audio, can)
        found = await self._all(errand, pieces)
        heard = [
            (number, piece, each)
            for number, (piece, each) in enumerate(zip(pieces, found, strict=True))
            if isinstance(each, Recognition)
        ]
        _raise_if_hopeless(found)
        if len(pieces) == 1:
            return heard[0][2]
        named: dict[tuple[int, str], str] = {}
        warnings: tuple[str, ...] = ()
        if can.labels_speakers:
            voices: list[list[tuple[str, tuple[float, float]]]] = [[] for _ in pieces]
            for number, piece, each in heard:
                voices[number] = [
                    (word.speaker, (word.start + piece.start, word.end + piece.start))
                    for word in each.words
                    if word.speaker is not None
                ]
            named, warnings = await self._named(audio, errand.hints, voices)

        def joined() -> tuple[Word, ...]:
            return join(
                [
                    (piece, [_renamed(word, number, named) for word in shifted(each.words, piece.start)])
                    for number, piece, each in heard
                ]
            )

        return _with_gaps(
            Recognition(
                words=await asyncio.to_thread(joined),
                languages=_by_words([each for _, _, each in heard]),
                warnings=_each(warnings, *(each.warnings for _, _, each in heard)),
            ),
            [(piece.keep_from, piece.keep_to) for piece in pieces],
            found,
        )

    async def _turnwise(
        self, errand: _Errand[Recognition], turns: Diarization | None, speech: Spans
    ) -> Recognition:
        audio = errand.audio
        parts = slices(turns.turns if turns else (), speech, audio.seconds)
        long = [(part.start, part.end) for part in parts if part.end - part.start > LONGEST]
        pauses = [Pause(at=at, length=n) for at, n in await self.encoder.pauses(audio, long)] if long else []
        parts = tuple(piece for part in parts for piece in divided(part, pauses))
        pieces = [
            Piece(start=part.start, end=part.end, keep_from=part.start, keep_to=part.end) for part in parts
        ]

        if not pieces:
            return Recognition(words=())
        found = await self._all(errand, pieces)
        _raise_if_hopeless(found)
        heard = [each for each in found if isinstance(each, Recognition)]
        return _with_gaps(
            Recognition(
                words=tuple(
                    word
                    for part, each in zip(parts, found, strict=True)
                    if isinstance(each, Recognition)
                    for word in _words(each, part)
                ),
                languages=_by_words(heard),
                warnings=_each(*(each.warnings for each in heard)),
            ),
            [(part.start, part.end) for part in parts],
            found,
        )

    async def _pieces(self, audio: Audio, can: Capabilities) -> tuple[Piece, ...]:
        longest = longest_request(can.upload, can.max_seconds, can.max_bytes)
        places = windows(audio.seconds, longest)
        if not places:
            return (Piece(start=0.0, end=audio.seconds, keep_from=0.0, keep_to=audio.seconds),)
        found = await self.encoder.pauses(audio, [(place.earliest, place.latest) for place in places])
        return plan(audio.seconds, longest, [Pause(at=at, length=length) for at, length in found])

    async def _all(self, errand: _Errand[T], pieces: Sequence[Piece]) -> list[T | Exception]:
        """Every piece's answer, or what it failed with for good. Raises at once what concerns them all."""
        answers = self._answers(errand)
        known = await answers.find(pieces) if answers is not None else {}
        wanted = [number for number in range(len(pieces)) if number not in known]
        total = sum(piece.seconds for piece in pieces) or 1.0
        done = [piece.seconds if number in known else 0.0 for number, piece in enumerate(pieces)]
        if known:
            logger.info("%d of %d pieces are known from an earlier attempt", len(known), len(pieces))
            errand.report(min(1.0, sum(done) / total))

        def partly(number: int) -> Report:
            def one(fraction: float) -> None:
                done[number] = max(done[number], min(1.0, fraction) * pieces[number].seconds)
                errand.report(min(1.0, sum(done) / total))

            return one

        async def settled(number: int, paid: _Paid) -> T | Exception:
            async def bought(answer: T) -> None:
                paid.spent += pieces[number].seconds
                if answers is not None:
                    await answers.keep(pieces[number], answer, paid.receipt)

            try:
                return await self._tried(errand, pieces[number], partly(number), bought)
            except _FINAL:
                raise
            except Rejected as error:
                if len(pieces) == 1:
                    raise
                return error
            except Transient as error:
                return error
            except TimeoutError as error:
                paid.spent += pieces[number].seconds  # the vendor may well have worked on it
                return error

        found: dict[int, T | Exception] = {**known}
        if wanted:
            seconds = sum(pieces[number].seconds for number in wanted)
            try:
                async with (
                    _Paid(self.accounts, self.tenant, errand.engine, errand.can.price, seconds) as paid,
                    asyncio.TaskGroup() as group,
                ):
                    tasks = {number: group.create_task(settled(number, paid)) for number in wanted}
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None
            found |= {number: task.result() for number, task in tasks.items()}
        return [found[number] for number in range(len(pieces))]

    def _answers(self, errand: _Errand[T]) -> Answers[T] | None:
        """What the engine is known to have answered; None for one that costs nothing."""
        if self.shelf is None or not errand.can.account:
            return None
        return self.shelf.answers(
            errand.kind,
            errand.engine,
            model=errand.model,
            can=errand.can,
            hints=errand.hints,
            path=errand.audio.path,
        )

    async def _tried(
        self, errand: _Errand[T], piece: Piece, report: Report, bought: Callable[[T], Awaitable[None]]
    ) -> T:
        """The answer to a piece, once `bought` has taken note of it."""
        can, audio = errand.can, errand.audio
        if not can.upload and not can.account:
            async with asyncio.timeout(deadline(audio.seconds, vendor=False)):
                answer = await errand.ask(audio, errand.hints, report)
            await bought(answer)
            return answer
        async with self.encoder.piece(audio, piece.start, piece.end, can.upload or "wav", self.work) as part:
            patience = max(_LEAST_PATIENCE, _PATIENCE * audio.seconds)
            for attempt in itertools.count():
                try:
                    async with self.accounts.permit(
                        can.account, concurrency=can.concurrency, per_minute=can.per_minute
                    ):
                        async with asyncio.timeout(deadline(part.seconds, vendor=True)):
                            answer = await errand.ask(part, errand.hints, report)
                        await bought(answer)  # before anything else can go wrong
                        return answer
                except Transient as error:
                    asked = error.retry_after or 0.0
                    if asked:
                        await self.accounts.pause(can.account, min(asked, _LONGEST_PAUSE))
                    wait = max(asked, min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE))
                    patience -= wait
                    if patience < 0:  # longer waits are for the recording's next try, or for another engine
                        raise
                    logger.info("a piece is sent again in %.0f s: %s", wait, error)
                    await asyncio.sleep(wait * (0.75 + 0.5 * random.random()))  # noqa: S311
        raise AssertionError("unreachable")

    async def _named(
        self, audio: Audio, hints: Hints, pieces: Sequence[Sequence[tuple[str, tuple[float, float]]]]
    ) -> tuple[dict[tuple[int, str], str], tuple[str, ...]]:
        """One name per person for each piece's labels."""
        spans: dict[tuple[int, str], list[tuple[float, float]]] = {}
        for number, own in enumerate(pieces):
            for label, span in own:
                spans.setdefault((number, label), []).append(span)
        people = await self.link(audio, [(number, found) for (number, _), found in spans.items()], hints)
        if people is None:
            names = {(number, label): f"{number + 1}-{label}" for number, label in spans}
            return names, ("The speakers of different parts of this recording could not be matched.",)
        return {key: f"P{person}" for key, person in zip(spans, people, strict=True)}, ()


class _Paid:
    """Sets money aside before a recording is sent, and books what was sent."""

    def __init__(self, accounts: Accounts, tenant: str, engine: str, price: str, seconds: float) -> None:
        self._accounts = accounts
        self._order = tenant, engine, price, seconds
        self.receipt = ""
        self.spent = 0.0

    async def __aenter__(self) -> Self:
        if self._order[2]:
            self.receipt = await self._accounts.reserve(*self._order)
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self.receipt:
            await asyncio.shield(self._accounts.settle(self.receipt, self.spent))


def _raise_if_hopeless(found: Sequence[object]) -> None:
    """Where most pieces failed it is the engine that failed, and another one should try."""
    failed = [each for each in found if isinstance(each, Exception)]
    if 2 * len(failed) > len(found):
        raise failed[0]


def _words(heard: Recognition, part: Slice) -> tuple[Word, ...]:
    return words_of(heard.text or " ".join(word.text for word in heard.words), part)


def _renamed(word: Word, number: int, names: dict[tuple[int, str], str]) -> Word:
    name = None if word.speaker is None else names.get((number, word.speaker))
    return word if name is None else replace(word, speaker=name)


def _by_words(heard: Sequence[Recognition]) -> tuple[str, ...]:
    """The languages of all parts, the one with the most text first."""
    weights: dict[str, int] = {}
    for each in heard:
        for language in each.languages[:1]:
            weights[language] = weights.get(language, 0) + len(each.words) + len(each.text.split())
        for language in each.languages[1:]:
            weights.setdefault(language, 0)
    return tuple(sorted(weights, key=lambda language: -weights[language]))


def _with_gaps(heard: Recognition, stretches: Spans, found: Sequence[Recognition | Exception]) -> Recognition:
    """`heard` with a gap for each stretch that failed. Raises Incomplete if trying again could fill one."""
    failed = [
        (stretch, each) for stretch, each in zip(stretches, found, strict=True) if isinstance(each, Exception)
    ]
    gaps = tuple(stretch for stretch, _ in failed)
    said = (
        f"From {clock(start)} to {clock(end)} nothing could be recognised: that part is missing here."
        for start, end in gaps
    )
    whole = replace(heard, gaps=gaps, warnings=_each(heard.warnings, tuple(said)))
    passing = next((error for _, error in failed if not isinstance(error, Rejected)), None)
    if passing is not None:
        raise Incomplete(whole, passing)
    return whole


def _each(*groups: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(warning for group in groups for warning in group))
