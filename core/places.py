"""Which folders in whose cloud are watched and how, and with what credentials: records in the store.

They are made by `erni-audio folders` and `erni-audio connect`, and read by the running service.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from core.errors import Misconfigured
from core.filenames import is_watched_folder
from core.policies import ChannelPolicy, default_policy, dump_policy, load_policy
from core.ports import Store
from core.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedFolder:
    """One watched folder.

    `id` is the platform's; `account` is the one in `Credentials`; `name` and `link` are for people. `output`:
    see `core.inbox.output_folder`. `backfill`: what lay there before it was watched is transcribed too.
    `recursive`: folders inside it belong to it; if they did not at first, since `widened`. `since` is when it
    was added, Unix time. `options` are what the connector offers besides. `removed`: it is not watched any
    more; what was submitted is still answered.
    """

    connector: str
    id: str
    account: str
    name: str
    link: str = ""
    policy: ChannelPolicy = field(default_factory=ChannelPolicy)
    output: str = "beside"
    backfill: bool = False
    recursive: bool = True
    widened: float = 0.0
    since: float = 0.0
    options: Mapping[str, str] = field(default_factory=dict)
    removed: bool = False

    @property
    def place(self) -> str:
        """Its name among all places of the service, and another one each time that it is added."""
        return f"{self.connector}:{self.id}:{int(self.since)}"


class WatchedFolders:
    """The watched folders of one connector."""

    def __init__(self, store: Store, settings: Settings, connector: str) -> None:
        self._store = store
        self._defaults = default_policy(settings)
        self._connector = connector
        self._space = f"{connector}:folders"

    async def all(self) -> Sequence[WatchedFolder]:
        """Those that are watched, in the order in which they were added."""
        found = map(self._read, (await self._store.memories(self._space)).values())
        return sorted((folder for folder in found if not folder.removed), key=lambda folder: folder.since)

    async def find(self, folder_id: str) -> WatchedFolder | None:
        """One of them, also if it is not watched any more."""
        text = await self._store.recall(self._space, folder_id)
        return None if text is None else self._read(text)

    async def save(self, folder: WatchedFolder) -> None:
        """Add a folder, or change it."""
        document = asdict(folder) | {"policy": dump_policy(folder.policy), "options": dict(folder.options)}
        await self._store.remember(self._space, folder.id, json.dumps(document))

    async def remove(self, folder: WatchedFolder) -> None:
        """Watch it no longer, and forget what is known of its files. What was submitted is still answered."""
        await self.save(replace(folder, removed=True))
        await self._forget_files(folder)

    async def as_new(self, folder: WatchedFolder) -> WatchedFolder:
        """The folder as one that is added now, whose `place` was never one before."""
        before = await self.find(folder.id)
        since = time.time() if before is None else max(time.time(), before.since + 1.0)
        return replace(folder, since=since)

    async def forget(self, folder: WatchedFolder) -> None:
        """Forget what is known of the files of one that did not come to be on record."""
        await self._forget_files(folder)

    async def renew(self, before: WatchedFolder, folder: WatchedFolder) -> None:
        """Put `folder` on record in the place of `before`, as one of whose files nothing is known: what was
        left alone so far is taken too where it says `backfill`. What was answered already is taken once more;
        its transcript is found in the store, and lies there already."""
        since = max(time.time(), before.since + 1.0)  # so that `place` is another one
        await self.save(replace(folder, since=since))  # first: recordings are being fetched
        await self._forget_files(before)

    async def _forget_files(self, folder: WatchedFolder) -> None:
        for space in ("files", "folder", "failures", "moved"):
            for key in await self._store.memories(f"{folder.place}:{space}"):
                await self._store.forget(f"{folder.place}:{space}", key)

    def _read(self, text: str) -> WatchedFolder:
        document: dict[str, Any] = json.loads(text)
        known = {each.name for each in fields(WatchedFolder)}  # a later version may have written others
        policy = load_policy(document.pop("policy"), self._defaults)
        return WatchedFolder(
            policy=policy, **{name: value for name, value in document.items() if name in known}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What the service may act with in an account. `account` is an opaque id of it, `label` what people know
    it by, `secret` JSON that only the connector reads.

    `reference` is for a secret that settings hold, and is none itself: it tells the connector which one. Such
    a secret is never stored; it is "" until the connector looks it up.
    """

    account: str
    label: str
    secret: str = field(default="", repr=False)
    reference: str = ""

    @property
    def digest(self) -> str:
        """Names the account in the audit log."""
        return hashlib.sha256(self.account.encode()).hexdigest()[:16]

    @property
    def fingerprint(self) -> str:
        """Changes when they do, and tells nothing of them."""
        return hashlib.sha256(f"{self.account}\0{self.secret}".encode()).hexdigest()[:16]


class Keyring:
    """The credentials of one connector in the store: secrets encrypted, or references to settings."""

    def __init__(self, store: Store, settings: Settings, connector: str) -> None:
        self._store = store
        self._settings = settings
        self._connector = connector
        self._space = f"{connector}:credentials"

    def require_key(self) -> None:
        """Raises Misconfigured where credentials could not be kept encrypted."""
        if self._settings.encryption_key is None:
            raise Misconfigured(
                "Credentials are kept only encrypted. Make a key with `erni-audio doctor --new-key` and set "
                "ERNI_ENCRYPTION_KEY to it, here and for the service."
            )

    async def all(self) -> Sequence[Credentials]:
        """Of every account, by label."""
        found = (Credentials(**json.loads(text)) for text in (await self._memories()).values())
        return sorted(found, key=lambda credentials: credentials.label)

    async def find(self, account: str) -> Credentials | None:
        """Those for an account."""
        text = await self._store.recall(self._space, account)
        return None if text is None else Credentials(**json.loads(text))

    async def save(self, credentials: Credentials) -> None:
        """Keep them; later ones for an account take the place of earlier ones. Raises Misconfigured for a
        secret that can't be encrypted."""
        if credentials.reference:
            credentials = replace(credentials, secret="")
        else:
            self.require_key()
        await self._store.remember(self._space, credentials.account, json.dumps(asdict(credentials)))
        about = {"platform": self._connector, "account": credentials.digest}
        await self._store.audit("connected", about)

    async def forget(self, account: str) -> None:
        """Drop them."""
        await self._store.forget(self._space, account)

    async def _memories(self) -> Mapping[str, str]:
        return await self._store.memories(self._space)


def check_output(value: str) -> str:
    """`beside`, or the plain name of a subfolder. Raises ValueError with what to do."""
    plain = re.fullmatch(r"[^/\\]{1,100}", value) and value.isprintable() and value == value.strip()
    if not (plain and is_watched_folder(value)):
        raise ValueError("Write beside, or the plain name of a subfolder for transcripts.")
    return value
