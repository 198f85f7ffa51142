"""Which recognition methods run here, and why not better ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.errors import Misconfigured
from core.hearing import Listener
from core.ports import Engine, Hooked, Hooks, Readiness
from core.registry import ENGINES, METHODS, load, require
from core.settings import Settings

_UNKNOWN = Readiness(usable=False, absent=True)
_EXTRAS = {"local": "local", "draft": "draft"}  # the others are in `cloud`


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
        known = [readiness.get(engine, _UNKNOWN) for engine in engines]
        lacking = [found for found in known if not found.usable]
        if lacking and not wanted and lacking[0].absent:
            continue  # no account, which nobody promised
        if lacking:
            notes.append(f"{name} can't run: {lacking[0].reason} {lacking[0].remedy}".strip())
        elif not wanted and drafts.intersection(engines):
            guesses.append(name)
        else:
            usable.append(name)
    return Choice(methods=tuple(usable or guesses), notes=tuple(notes), draft=bool(guesses and not usable))


def create_engines(settings: Settings, hooks: Hooks | None = None) -> dict[str, Engine]:
    """Every engine whose packages are installed, by name. Those that can be told by webhook get `hooks`."""
    engines: dict[str, Engine] = {}
    for name, target in ENGINES.items():
        try:
            engine: Engine = load(target)(settings)
            if hooks is not None and isinstance(engine, Hooked):
                engine.use_hooks(hooks)
            engines[name] = engine
        except Misconfigured as error:
            missing = isinstance(error.__cause__, ModuleNotFoundError)
            remedy = f"Install it: pip install 'erni-audio[{_EXTRAS.get(name, 'cloud')}]'." if missing else ""
            engines[name] = _Absent(name, str(error), remedy)
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
        tells = engines[method.diarizer] if method.diarizer else None
        if hears.transcriber is None or (tells is not None and tells.diarizer is None):
            raise Misconfigured(f"The method {name} names an engine that can't do its half.")
        ready.append(
            Listener(
                method=name,
                transcriber=hears.transcriber,
                diarizer=tells.diarizer if tells else None,
                draft=hears.draft or (tells is not None and tells.draft),
                transcriber_engine=method.transcriber,
                diarizer_engine=method.diarizer or "",
            )
        )
    return tuple(ready)


class _Absent:
    """An engine that can't be made: its packages are not installed, or a setting of it is wrong."""

    draft = False
    transcriber = None
    diarizer = None

    def __init__(self, name: str, reason: str, remedy: str) -> None:
        self.name = name
        self._found = Readiness(usable=False, reason=reason, remedy=remedy)

    async def check(self) -> Readiness:
        return self._found

    async def close(self) -> None:
        return
