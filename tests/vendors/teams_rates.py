"""How often a bot may call the Bot Connector: per conversation, and over all of a tenant."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

LIMITS: Mapping[str, tuple[tuple[float, int], ...]] = {
    "send": ((1, 7), (2, 8), (30, 60), (3600, 1800)),
    "create": ((1, 7), (2, 8), (30, 60), (3600, 1800)),
    "members": ((1, 14), (2, 16), (30, 120), (3600, 3600)),
}
"""Operation -> seconds and the most calls in them, per bot and conversation (platforms.md). Whether an update
or a deletion counts as sending is not published: here it does."""

PER_TENANT = 30  # calls a second of an app in a tenant; newer text may say 50


@dataclass(slots=True)
class Rates:
    """`scale` makes the limits wider or narrower; `per_tenant` is calls a second."""

    clock: Callable[[], float]
    scale: float = 1.0
    per_tenant: int = PER_TENANT
    _calls: defaultdict[tuple[str, str], deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def wait(self, operation: str, conversation: str, tenant: str) -> float:
        """Seconds that a caller must wait, 0.0 if it may go on (and then this call is counted)."""
        now = self.clock()
        windows = [
            ((operation, conversation), seconds, max(1, int(most * self.scale)))
            for seconds, most in LIMITS[operation]
        ]
        windows.append((("tenant", tenant), 1.0, self.per_tenant))
        waits = []
        for key, seconds, most in windows:
            times = [at for at in self._calls[key] if at > now - seconds]
            if len(times) >= most:
                waits.append(times[-most] + seconds - now)
        if waits:
            return max(waits)
        for key in {key for key, _, _ in windows}:
            self._calls[key].append(now)
            while self._calls[key][0] <= now - 3600:
                self._calls[key].popleft()
        return 0.0
