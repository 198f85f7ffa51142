"""Which recording has which names for its outputs in a folder, where the files don't tell."""

from __future__ import annotations

import hashlib
from contextlib import AbstractAsyncContextManager

from core.filenames import folded
from core.leases import turn
from core.ports import Store


class OutputNames:
    """Of the sets of one watched folder; remembered beside `space`. What is remembered is no more than a hint
    whose record to look at: it may be out of date."""

    def __init__(self, store: Store, space: str) -> None:
        self._store = store
        self._space = f"{space}:names"

    def choosing(self, folder: str, base: str) -> AbstractAsyncContextManager[None]:
        """Held while a number is looked for, until it is claimed: two processes would choose the same. Raises
        Transient."""
        return turn(self._store, self._space, f"{folder} {folded(base)}")

    async def line(self, kind: str, folder: str, base: str, number: int) -> str | None:
        """The line that claimed these names last."""
        return await self._store.recall(self._space, _key(kind, folder, base, number))

    async def claim(self, kind: str, folder: str, base: str, number: int, line: str) -> None:
        """They are those of `line` now."""
        await self._store.remember(self._space, _key(kind, folder, base, number), line)

    async def release(self, kind: str, folder: str, base: str, number: int, line: str) -> None:
        """`line` has its outputs elsewhere now, or none."""
        if await self.line(kind, folder, base, number) == line:
            await self._store.forget(self._space, _key(kind, folder, base, number))


def _key(kind: str, folder: str, base: str, number: int) -> str:
    text = f"{kind}\0{folder}\0{folded(base)}\0{number}"
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
