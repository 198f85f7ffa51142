"""Taking a folder off the watched ones, and finding out which one somebody means."""

from __future__ import annotations

from collections.abc import Sequence

from core.commands import exits
from core.commands.clouds import Unfinished, connecting, connectors, store, tell
from core.enrolment import named_in_settings
from core.errors import ErniError
from core.places import Keyring, WatchedFolder, WatchedFolders
from core.render.safe import clean
from core.settings import Settings
from core.state import State


async def remove(settings: Settings, connector: str, text: str) -> int:
    """Watch it no longer. Raises Unfinished."""
    connectors(connector)
    async with store(settings, reading=True) as state:
        folders = WatchedFolders(state.store, settings, connector)
        watched = await folders.all()
        meant = named(watched, text) or await _found(state, settings, connector, watched, text)
        if not meant:
            raise Unfinished(
                f"{clean(text)} is not watched. `erni-audio folders list {connector}` shows what is."
            )
        if len(meant) > 1:
            ids = ", ".join(folder.id for folder in meant)
            raise Unfinished(f"Several watched folders are called {clean(text)}. Give one's id: {ids}.")
        (folder,) = meant
        await folders.remove(folder)
        await state.store.audit("folder-removed", {"platform": connector, "folder": folder.id})
        in_settings = await state.store.recall(named_in_settings(connector), folder.id) is not None
    tell(f"✓ {clean(folder.name)} is not watched any more. Its transcripts stay where they are.")
    if in_settings:
        tell(
            f"It is named in {connector.upper()}_FOLDERS: take it out there too, or it is watched again "
            "after the next start of the service."
        )
    return exits.OK


def named(watched: Sequence[WatchedFolder], text: str) -> list[WatchedFolder]:
    """Those that somebody means by an id, a link or a name, as far as what is on record tells."""
    text = text.strip()
    is_link = text.startswith(("http:", "https:"))
    link, name = text.rstrip("/"), text.strip("/").casefold()
    return (
        [folder for folder in watched if folder.id == text or (is_link and folder.id in text)]
        or [folder for folder in watched if is_link and folder.link.rstrip("/") == link]
        or [folder for folder in watched if folder.name.strip("/").casefold() == name]
    )


async def _found(
    state: State, settings: Settings, connector: str, watched: Sequence[WatchedFolder], text: str
) -> list[WatchedFolder]:
    """The watched one that the platform knows by this text, asked with every account."""
    if not watched:
        return []
    platform = connecting(connector, settings)
    for credentials in await Keyring(state.store, settings, connector).all():
        try:
            found = await platform.find(credentials, text)
        except ErniError:
            continue  # not to be had with this account
        if meant := [folder for folder in watched if folder.id == found.id]:
            return meant
    return []
