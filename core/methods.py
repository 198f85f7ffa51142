"""Which recognition methods run here, and why not better ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.errors import Misconfigured
from core.pipeline import Listener
from core.ports import Engine, Readiness
from core.registry import ENGINES, METHODS, load, require
from core.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """`methods` in the order in which they are tried; `notes` say what can't run, and the remedy. `draft`: a
    guess was taken for want of anything better, not because the operator asked for it."""

    methods: tuple[str, ...]
    notes: tuple[str, ...]
    draft: bool = False


def choose(wanted: tuple[str, ...], readiness: Mapping[str, Readiness], drafts: frozenset[str]) -> Choice:
    """The chain of methods, from what the operator wants (empty: the best) and what each engine can do now.

    `drafts` names the engines whose text is a guess: without the operator's word, a method that uses one is
    taken only if nothing better can run. Raises Misconfigured for an unknown method.
    """
    for name in wanted:
        require(METHODS, name, "method in METHODS")
    usable: list[str] = []
    guesses: list[str] = []
    notes: list[str] = []
    for name in wanted or METHODS:
        engines = METHODS[name].engines
        lacking = [readiness[engine] for engine in engines if not readiness[engine].usable]
        if lacking:
            notes.append(f"{name} can't run: {lacking[0].reason} {lacking[0].remedy}".strip())
        elif not wanted and drafts.intersection(engines):
            guesses.append(name)
        else:
            usable.append(name)
    return Choice(methods=tuple(usable or guesses), notes=tuple(notes), draft=bool(guesses and not usable))


def create_engines(settings: Settings) -> dict[str, Engine]:
    """Every engine whose packages are installed, by name."""
    engines: dict[str, Engine] = {}
    for name, target in ENGINES.items():
        try:
            engines[name] = load(target)(settings)
        except Misconfigured as error:
            engines[name] = _Absent(name, str(error))
    return engines


async def prepare(settings: Settings, engines: Mapping[str, Engine]) -> tuple[Choice, tuple[Listener, ...]]:
    """Ask every engine and build the chain."""
    readiness = {name: await engine.check() for name, engine in engines.items()}
    drafts = frozenset(name for name, engine in engines.items() if engine.draft)
    choice = choose(settings.methods, readiness, drafts)
    return choice, listeners(choice.methods, engines)


def listeners(methods: tuple[str, ...], engines: Mapping[str, Engine]) -> tuple[Listener, ...]:
    """The methods, ready to run. Raises Misconfigured if an engine lacks the half that a method needs."""
    ready: list[Listener] = []
    for name in methods:
        method = require(METHODS, name, "method")
        hears = engines[method.transcriber]
        tells = engines[method.diarizer or method.transcriber]
        if hears.transcriber is None or tells.diarizer is None:
            raise Misconfigured(f"The method {name} names an engine that can't do its half.")
        ready.append(
            Listener(
                method=name,
                transcriber=hears.transcriber,
                diarizer=tells.diarizer,
                draft=hears.draft or tells.draft,
            )
        )
    return tuple(ready)


class _Absent:
    """An engine whose packages are not installed."""

    draft = False
    transcriber = None
    diarizer = None

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self._reason = reason

    async def check(self) -> Readiness:
        return Readiness(
            usable=False, reason=self._reason, remedy=f"Install it: pip install 'erni-audio[{self.name}]'."
        )

    async def close(self) -> None:
        return
