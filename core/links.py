"""Links to recordings that lie elsewhere, fetched by the door that can, with an account that may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from core.errors import AuthFailed, Rejected
from core.places import Credentials
from core.ports import Adapter, Linked

FOLDER: Final = "This link leads to a folder. Share a link to the recording in it."


class Closed(Rejected):
    """This account may not see what a link leads to; another one perhaps may."""


async def first_that_may(
    accounts: Sequence[Credentials], fetch: Callable[[Credentials], Awaitable[None]], *, missing: str
) -> None:
    """`fetch` with the first of the `accounts` that may. Raises what it raises, of several troubles one that
    the sharer can mend, and AuthFailed, which says `missing`, without an account."""
    if not accounts:
        raise AuthFailed(missing)
    trouble: Exception | None = None
    for credentials in accounts:
        try:
            await fetch(credentials)
        except (Closed, AuthFailed) as error:
            trouble = trouble if isinstance(trouble, Closed) else error
        else:
            return
    if trouble is not None:
        raise trouble


class OpenLinks:
    """The `Links` port over the adapters of this process; the mapping may fill up later."""

    def __init__(self, adapters: Mapping[str, Adapter]) -> None:
        self._adapters = adapters

    def covers(self, url: str) -> bool:
        """See the port."""
        return self._door(url) is not None

    async def fetch_link(self, url: str, into: Path) -> None:
        """See the port."""
        door = self._door(url)
        if door is None:
            raise Rejected(
                "This recording lies with a service that is not connected here. Share the file itself."
            )
        await door.fetch_link(url, into)

    def _door(self, url: str) -> Linked | None:
        return next(
            (
                adapter
                for adapter in self._adapters.values()
                if isinstance(adapter, Linked) and adapter.covers(url)
            ),
            None,
        )
