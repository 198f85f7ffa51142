"""Whether watched folders can be read and written."""

from __future__ import annotations

from core.commands import exits
from core.commands.clouds import connecting, connectors, report, store, tell
from core.connecting import Connecting
from core.errors import AuthFailed, Transient
from core.places import Credentials, Keyring, WatchedFolder, WatchedFolders
from core.ports import Readiness
from core.render.safe import clean
from core.settings import Settings


async def tried(platform: Connecting, folder: WatchedFolder, credentials: Credentials) -> Readiness:
    """Whether a folder can be read and written. Raises Transient."""
    try:
        place = platform.open(folder, credentials)
    except AuthFailed as error:
        return Readiness(usable=False, reason=str(error))
    try:
        return await place.check()
    finally:
        await place.close()


async def check(settings: Settings, connector: str | None) -> int:
    """Try all, and say a line about each."""
    good = True
    count = 0
    async with store(settings, reading=True) as state:
        for name in connectors(connector):
            folders = await WatchedFolders(state.store, settings, name).all()
            if not folders:
                continue
            platform = connecting(name, settings)
            keyring = Keyring(state.store, settings, name)
            for folder in folders:
                found = await _found(platform, folder, await keyring.find(folder.account))
                label = f"{platform.title}, {clean(folder.name)}"
                if found.usable:
                    report(f"✓ {label}: can be read and written.")
                else:
                    report(f"✗ {label}: {found.reason} {besides(found.remedy)}".rstrip())
                    good = False
                count += 1
    if not count:
        tell("No folder is watched.")
    return exits.OK if good else exits.FAILED


async def _found(platform: Connecting, folder: WatchedFolder, credentials: Credentials | None) -> Readiness:
    if credentials is None:
        return Readiness(
            usable=False,
            reason=f"its account is not connected. Run `erni-audio connect {platform.name}`.",
        )
    try:
        return await tried(platform, folder, credentials)
    except Transient as error:
        return Readiness(usable=False, reason=f"it can't be told now: {error}")


def besides(remedy: str) -> str:
    """A remedy, but for calling the command that was just called."""
    return "" if "folders check" in remedy else remedy
