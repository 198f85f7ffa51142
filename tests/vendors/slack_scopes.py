"""What each method of Slack's Web API needs and how often it may be called."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.vendors.slack_model import Kind, Refused

_PREFIX: Mapping[Kind, str] = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}


def per_kind(right: str) -> Mapping[Kind, str]:
    """The scope of a right, such as "history", for each kind of conversation."""
    return {kind: f"{prefix}:{right}" for kind, prefix in _PREFIX.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """`scope` is one scope, one for each kind of conversation, or none. `per_minute` is the tier's number, 0
    where Slack says "special". `reads_json` is whether a JSON body is read at all."""

    scope: str | Mapping[Kind, str] | None = None
    per_minute: int = 0
    reads_json: bool = False
    token: str = "xoxb"


_READ, _HISTORY, _WRITE = per_kind("read"), per_kind("history"), per_kind("write")

METHODS: Mapping[str, Method] = {
    "apps.connections.open": Method(per_minute=1, token="xapp", scope="connections:write"),
    "apps.uninstall": Method(per_minute=1),
    "auth.revoke": Method(per_minute=50),
    "auth.test": Method(reads_json=True),
    "chat.delete": Method(scope="chat:write", per_minute=50, reads_json=True),
    "chat.getPermalink": Method(),
    "chat.postEphemeral": Method(scope="chat:write", per_minute=100, reads_json=True),
    "chat.postMessage": Method(scope="chat:write", reads_json=True),
    "chat.update": Method(scope="chat:write", per_minute=50, reads_json=True),
    "conversations.history": Method(scope=_HISTORY, per_minute=50),
    "conversations.info": Method(scope=_READ, per_minute=50),
    "conversations.members": Method(scope=_READ, per_minute=100),
    "conversations.open": Method(scope=_WRITE, per_minute=50, reads_json=True),
    "conversations.replies": Method(scope=_HISTORY, per_minute=50),
    "files.completeUploadExternal": Method(scope="files:write", per_minute=100, reads_json=True),
    "files.delete": Method(scope="files:write", per_minute=50, reads_json=True),
    "files.getUploadURLExternal": Method(scope="files:write", per_minute=100),
    "files.info": Method(scope="files:read", per_minute=100),
    "oauth.v2.access": Method(per_minute=100, token=""),
    "team.info": Method(scope="team:read", per_minute=50),
    "usergroups.users.list": Method(scope="usergroups:read", per_minute=20),
    "users.conversations": Method(scope=_READ, per_minute=50),
    "users.info": Method(scope="users:read", per_minute=100),
    "views.open": Method(per_minute=100, reads_json=True),
    "views.publish": Method(per_minute=100, reads_json=True),
    "views.push": Method(per_minute=100, reads_json=True),
    "views.update": Method(per_minute=100, reads_json=True),
}
"""The tiers of single methods are unverified (platforms.md); they err on the strict side."""

EVENT_SCOPES: Mapping[str, str | Mapping[Kind, str] | None] = {
    "app_home_opened": None,
    "app_mention": "app_mentions:read",
    "app_uninstalled": None,
    "channel_archive": per_kind("read"),
    "file_change": "files:read",
    "file_deleted": "files:read",
    "file_shared": "files:read",
    "member_joined_channel": per_kind("read"),
    "member_left_channel": per_kind("read"),
    "message": per_kind("history"),
    "tokens_revoked": None,
}
"""Event -> the scope without which it is not sent."""

BOT_SCOPES = frozenset(
    {
        *("app_mentions:read", "channels:history", "channels:read", "chat:write", "commands", "files:read"),
        *(
            "files:write",
            "groups:history",
            "groups:read",
            "im:history",
            "im:read",
            "mpim:history",
            "mpim:read",
        ),
        *("usergroups:read", "users:read"),
    }
)
"""What our app asks for."""


def check(method: str, granted: frozenset[str], kind: Kind | None = None) -> None:
    """Refuse a call whose scope is missing. Without a kind, one scope of any kind is enough."""
    wanted = METHODS[method].scope
    if wanted is None:
        return
    if isinstance(wanted, str):
        wanted = {"channel": wanted, "group": wanted, "im": wanted, "mpim": wanted}
    needed = list(dict.fromkeys(wanted.values())) if kind is None else [wanted[kind]]
    if not granted & set(needed):
        raise Refused("missing_scope", needed=",".join(needed), provided=",".join(sorted(granted)))


@dataclass(slots=True)
class Rates:
    """How often methods were called in the last `window` seconds; `scale` makes limits wider or narrower."""

    clock: Callable[[], float]
    window: float = 60.0
    scale: float = 1.0
    _calls: defaultdict[tuple[str, ...], deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def wait(self, method: str, workspace: str, channel: str | None) -> float:
        """Seconds that a caller must wait, 0.0 if it may go on (and then this call is counted)."""
        limit, window = METHODS[method].per_minute, self.window
        key: tuple[str, ...] = (method, workspace)
        if method == "chat.postMessage":
            # One a second, with short bursts of a few more.
            limit, window, key = 4, self.window / 15, (method, workspace, channel or "")
        if not limit:
            return 0.0
        now, calls = self.clock(), self._calls[key]
        while calls and calls[0] <= now - window:
            calls.popleft()
        if len(calls) >= limit * self.scale:
            return calls[0] + window - now
        calls.append(now)
        return 0.0
