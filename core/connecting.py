"""What a connector offers to who sets it up: consent, folders by link or path, and a way into them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from core.places import Credentials, WatchedFolder
from core.remote import RemotePlace


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What a connector lets people choose for a folder besides what all do: the allowed values, the first of
    which holds where nothing is chosen, and what it is about."""

    values: tuple[str, ...]
    help: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFolder:
    """A folder of the platform. `around` are the ids of the folders that it lies in, nearest first, as far as
    the account sees them."""

    id: str
    name: str
    link: str = ""
    around: tuple[str, ...] = field(default=())


class Dialogue(Protocol):
    """A person at a terminal. What is asked holds up everything else in the process."""

    def say(self, text: str) -> None:
        """Tell something: one paragraph."""
        ...

    def ask(self, question: str, *, hidden: bool = False) -> str:
        """The answer, without spaces around it; `hidden`: not shown while it is typed. Raises Misconfigured
        if nobody is there to answer."""
        ...

    def choose(self, question: str, choices: Mapping[str, str]) -> str:
        """One of the keys of `choices`, whose values explain them. Raises as `ask`."""
        ...


class Connecting(Protocol):
    """One platform. Made by the function that `core.registry.CONNECTS` names, with the service's settings.

    Methods raise Rejected with what to do for what a person wrote, AuthFailed for credentials that don't work
    (any more), Misconfigured for settings, Transient for the rest.
    """

    @property
    def name(self) -> str:
        """The connector's key in `core.registry.CONNECTS`, and its door."""
        ...

    @property
    def title(self) -> str:
        """What people call the platform."""
        ...

    @property
    def options(self) -> Mapping[str, Option]:
        """By name."""
        ...

    async def connect(self, dialogue: Dialogue) -> Credentials:
        """Walk a person through consent, and try the credentials."""
        ...

    async def find(self, credentials: Credentials, text: str) -> FoundFolder:
        """The folder that a person names by a link, a path or an id."""
        ...

    def open(self, folder: WatchedFolder, credentials: Credentials) -> RemotePlace:
        """The way into a folder. Cheap: asks nobody. Raises AuthFailed if the credentials make no sense, or
        else the first call does."""
        ...
