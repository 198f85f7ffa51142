"""How the last page of an installation knows that it belongs to the first."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore

from core.ports import Store

STATE_SECONDS: Final = 600
"""How long an installation may take, from the first page to the last."""


class States(AsyncOAuthStateStore):
    """What Slack carries from one page to the other, as OAuth's `state`.

    A state is signed, so that nothing has to be stored for a page that anybody may load as often as they
    like; one that was used is remembered until it has expired.
    """

    def __init__(self, store: Store, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._key = hashlib.sha256(b"erni slack state" + secret.encode()).digest()
        self._clock = clock

    async def async_issue(self, *_args: Any, **_options: Any) -> str:
        """A new state, good for `STATE_SECONDS`."""
        made = f"{int(self._clock())}-{secrets.token_hex(16)}"
        return f"{made}-{self._signature(made)}"

    async def async_consume(self, state: str) -> bool:
        """Whether it is ours, young enough, and used for the first time."""
        made, _, signature = state.rpartition("-")
        if not hmac.compare_digest(self._signature(made).encode(), signature.encode(errors="replace")):
            return False
        left = int(made.partition("-")[0]) + STATE_SECONDS - self._clock()
        return left > 0 and await self._store.acquire("slack:states", made, left + 60) is not None

    def _signature(self, made: str) -> str:
        return hmac.new(self._key, made.encode(errors="replace"), hashlib.sha256).hexdigest()
