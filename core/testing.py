"""Fakes of the ports, for tests of this project and of extensions."""

from __future__ import annotations

from collections.abc import Mapping

from core.model import Delivery, Transcript


class MemoryStore:
    """A `Store` in memory. Put transcripts and deliveries into the dictionaries directly."""

    def __init__(self) -> None:
        self.transcripts: dict[str, Transcript] = {}
        self.deliveries: dict[str, Delivery] = {}
        self.spaces: dict[str, dict[str, str]] = {}
        self.audited: list[tuple[str, dict[str, str]]] = []

    async def transcript(self, result_key: str) -> Transcript | None:
        return self.transcripts.get(result_key)

    async def delivery(self, job_id: str) -> Delivery | None:
        return self.deliveries.get(job_id)

    async def recall(self, space: str, key: str) -> str | None:
        return self.spaces.get(space, {}).get(key)

    async def remember(self, space: str, key: str, value: str) -> None:
        self.spaces.setdefault(space, {})[key] = value

    async def forget(self, space: str, key: str) -> None:
        self.spaces.get(space, {}).pop(key, None)

    async def memories(self, space: str) -> Mapping[str, str]:
        return dict(self.spaces.get(space, {}))

    async def audit(self, event: str, facts: Mapping[str, str]) -> None:
        self.audited.append((event, dict(facts)))
