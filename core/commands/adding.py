"""Adding a folder to the watched ones, or changing how one is treated."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.commands import exits
from core.commands.backfill import counting, tell_extent
from core.commands.checking import besides, tried
from core.commands.clouds import Unfinished, account_among, connecting, store, tell
from core.commands.folder_choices import Written, read, summary
from core.commands.removing import named
from core.commands.terminal import Terminal
from core.connecting import Connecting, FoundFolder
from core.enrolment import Enrolling, named_in_settings
from core.errors import AuthFailed, Rejected
from core.places import Credentials, Keyring, WatchedFolder, WatchedFolders
from core.policies import default_policy
from core.render.safe import clean
from core.settings import Settings
from core.state import State
from core.tasks import end
from core.tending import take_stock

_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants: the folder by `text` in one of their accounts, treated as `written`."""

    connector: str
    text: str
    account: str | None
    written: Written
    backfill: bool
    yes: bool


async def add(settings: Settings, wish: Wish) -> int:
    """Do it. Raises Unfinished, Rejected, AuthFailed, Transient, Misconfigured and BadParameter."""
    platform = connecting(wish.connector, settings)
    choices = read(wish.written, platform.options, platform.title)
    terminal = Terminal("Give --yes to go on without being asked, whatever it costs.")
    async with store(settings) as state:
        keyring = Keyring(state.store, settings, wish.connector)
        watched = await WatchedFolders(state.store, settings, wish.connector).all()
        meant = named(watched, wish.text)
        credentials = await _account(keyring, meant, wish, platform)
        found = await _find(platform, credentials, wish.text, meant)
        known = next((folder for folder in watched if folder.id == found.id), None)
        plain = known or WatchedFolder(
            connector=wish.connector,
            id=found.id,
            account=credentials.account,
            name=found.name,
            policy=default_policy(settings),
        )
        wanted = choices.applied_to(
            replace(plain, account=credentials.account, name=found.name, link=found.link)
        )
        if known is None or wanted.recursive > known.recursive:
            await _require_room(platform, keyring, watched, found, wanted)
        await _require_access(platform, wanted, credentials)
        if wish.backfill and not wanted.backfill:
            if not wish.yes:
                terminal.require_somebody()
            files = await _count(platform, wanted, credentials, state, settings)
            if files and not wish.yes and not terminal.confirm("Transcribe what lies there?"):
                tell("Nothing was changed.")
                return exits.FAILED
            wanted = replace(wanted, backfill=True)
        widening = known is not None and wanted.recursive > known.recursive
        if widening and not wish.backfill:  # what lies in its folders is left alone, as in a new one
            wanted = replace(wanted, widened=time.time())
        if known is None:
            wanted = await _begun(state, settings, platform, credentials, wanted)
        await _save(state, settings, known, wanted)
    _tell_done(settings, platform, known, wanted, credentials)
    return exits.OK


async def _account(
    keyring: Keyring, meant: Sequence[WatchedFolder], wish: Wish, platform: Enrolling
) -> Credentials:
    """The account that is named, else that of the watched folder that is meant, else the only one."""
    accounts = await keyring.all()
    if not accounts and (in_settings := await platform.from_settings()):
        await keyring.save(in_settings)  # as the service does when it starts
        accounts = [in_settings]
    wanted = wish.account
    if wanted is None:
        known = {folder.account for folder in meant} & {credentials.account for credentials in accounts}
        wanted = known.pop() if len(known) == 1 else None
    return account_among(accounts, wanted, platform.name, platform.title)


async def _find(
    platform: Connecting, credentials: Credentials, text: str, meant: Sequence[WatchedFolder]
) -> FoundFolder:
    """The folder as the platform knows it, else the watched one that `folders list` calls so."""
    try:
        return await platform.find(credentials, text)
    except Rejected:
        if len(meant) != 1 or meant[0].account != credentials.account:
            raise
    return await platform.find(credentials, meant[0].id)


async def _require_room(
    platform: Connecting,
    keyring: Keyring,
    watched: Sequence[WatchedFolder],
    found: FoundFolder,
    wanted: WatchedFolder,
) -> None:
    """Raises Unfinished if it lies in a watched folder, or one lies in it: files would be taken twice."""
    others = [folder for folder in watched if folder.id != found.id]
    for folder in others:
        if folder.recursive and folder.id in found.around:
            raise Unfinished(
                f"{clean(found.name)} lies in {clean(folder.name)}, which is watched with all that is in "
                f"it. Remove that one first: {_removal(platform, folder)}."
            )
    if not wanted.recursive:
        return
    inside = await _those_in(platform, keyring, others, found.id)
    for folder in inside:
        raise Unfinished(
            f"{clean(folder.name)}, which is watched already, lies in {clean(found.name)}. Give "
            f"--not-recursive, or remove that one first: {_removal(platform, folder)}."
        )


def _removal(platform: Connecting, folder: WatchedFolder) -> str:
    """The command. A path says more than an id, where the platform has paths."""
    path = folder.name.startswith("/") and folder.name.isprintable()
    return f"`erni-audio folders remove {platform.name} {shlex.quote(folder.name) if path else folder.id}`"


async def _those_in(
    platform: Connecting, keyring: Keyring, folders: Sequence[WatchedFolder], outer: str
) -> list[WatchedFolder]:
    """Those that lie in the folder with the id `outer`. One that is out of reach lies nowhere."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def lies_in(folder: WatchedFolder) -> bool:
        credentials = await keyring.find(folder.account)
        if credentials is None:
            return False
        async with places:
            try:
                return outer in (await platform.find(credentials, folder.id)).around
            except (AuthFailed, Rejected):
                return False

    asked = [asyncio.create_task(lies_in(folder)) for folder in folders]
    try:
        answers = await asyncio.gather(*asked)
    except BaseException:
        await end(*asked)
        raise
    return [folder for folder, inside in zip(folders, answers, strict=True) if inside]


async def _require_access(platform: Connecting, wanted: WatchedFolder, credentials: Credentials) -> None:
    """Raises Unfinished if it can't be read or written."""
    found = await tried(platform, wanted, credentials)
    if not found.usable:
        reason = f"{found.reason} {besides(found.remedy)}".rstrip()
        raise Unfinished(f"{clean(wanted.name)} can't be used yet: {reason} Then run this again.")


async def _count(
    platform: Connecting, wanted: WatchedFolder, credentials: Credentials, state: State, settings: Settings
) -> int:
    """How many recordings lie there; that and what they cost is told."""
    place = platform.open(wanted, credentials)
    try:
        return (await tell_extent(place, wanted, settings, state)).files
    finally:
        await place.close()


async def _begun(
    state: State, settings: Settings, platform: Connecting, credentials: Credentials, wanted: WatchedFolder
) -> WatchedFolder:
    """The folder as a new one. Stock was taken of what lies there: it is left alone unless it is wanted."""
    folders = WatchedFolders(state.store, settings, wanted.connector)
    wanted = await folders.as_new(wanted)
    if wanted.backfill:
        return wanted
    place = platform.open(wanted, credentials)
    try:
        with counting("Looking at what lies there", "file") as report:
            await take_stock(state.store, wanted, place, report)
    except BaseException:
        await folders.forget(wanted)
        raise
    finally:
        await place.close()
    return wanted


async def _save(state: State, settings: Settings, known: WatchedFolder | None, wanted: WatchedFolder) -> None:
    folders = WatchedFolders(state.store, settings, wanted.connector)
    if known is None:
        await folders.save(wanted)
    elif wanted.backfill and not known.backfill:
        await folders.renew(known, wanted)
    elif wanted != known:
        await folders.save(wanted)
    if wanted != known:
        event = "folder-added" if known is None else "folder-changed"
        await state.store.audit(event, {"platform": wanted.connector, "folder": wanted.id})
    # If settings had named it, it has a policy of its own from now on.
    await state.store.forget(named_in_settings(wanted.connector), wanted.id)


def _tell_done(
    settings: Settings,
    platform: Connecting,
    known: WatchedFolder | None,
    wanted: WatchedFolder,
    credentials: Credentials,
) -> None:
    if known is None:
        what = f"watched from now on, as {clean(credentials.label)}"
    else:
        what = "was watched just so already" if wanted == known else "changed"
    tell(f"✓ {platform.title}, {clean(wanted.name)}: {what}. It can be read and written.")
    tell(f"  {summary(wanted)}")
    if (known is None and not wanted.backfill) or (known is not None and known.widened != wanted.widened):
        tell(
            "What lies there already is left alone. To have it transcribed too, add --backfill to this call."
        )
    if platform.name not in settings.adapters:
        doors = ",".join([*settings.adapters, platform.name])
        tell(f"No service looks there yet: set ERNI_ADAPTERS={doors}, and start the service anew.")
