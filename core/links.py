"""Links to recordings that lie elsewhere, fetched by the door that can."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from core.errors import Rejected
from core.ports import Adapter, Linked


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
