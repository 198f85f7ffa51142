"""What the app's tokens are for, and where they come from."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from logging import Logger
from typing import Any, Final, cast

import aiohttp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.authorization.async_authorize import AsyncAuthorize
from slack_bolt.context.async_context import AsyncBoltContext
from slack_sdk.errors import SlackApiError, SlackClientError, SlackTokenRotationError
from slack_sdk.oauth.installation_store import Bot, Installation
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore

from bots.slack.records import mapping
from bots.slack.troubles import Denied, Revoked, broken, from_sdk
from core.errors import ErniError, Transient

logger = logging.getLogger(__name__)

Removed = Callable[[str | None, str | None], Awaitable[None]]
"""Called with a workspace and its enterprise when the app is installed there no more, so that their data is
deleted. No workspace: all of the enterprise. May be called again for the same one."""

FAILURES: Final = (
    SlackClientError,
    aiohttp.ClientError,
    OSError,
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
)
"""What the SDK raises where Slack refuses, can't be reached, or answers something else than it should."""

_DEAD: Final = frozenset(
    {
        "account_inactive",
        "invalid_auth",
        "invalid_refresh_token",
        "not_authed",
        "not_installed",
        "token_expired",
        "token_revoked",
    }
)
_APP: Final = frozenset({"bad_client_secret", "invalid_client_id", "invalid_client"})
_CODE: Final = frozenset({"invalid_code", "code_already_used", "bad_redirect_uri"})


async def nothing(_team: str | None, _enterprise: str | None) -> None:
    """No data to delete."""


class NotInstalled(Revoked):
    """The app is not installed there (any more)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="not_installed")


def trouble(method: str, error: Exception) -> ErniError:
    """What one of `FAILURES` means that came of `method`: Denied (or Revoked) if Slack refuses the token or
    the app's credentials, else what `bots.slack.troubles` makes of it."""
    if isinstance(error, SlackTokenRotationError):
        error = error.api_error
    if isinstance(error, SlackApiError):
        code = str(mapping(getattr(error.response, "data", None)).get("error", ""))
        if code in _APP:
            return Denied(
                f"Slack does not know the app ({code}). Set SLACK_CLIENT_ID and SLACK_CLIENT_SECRET to those "
                "on the app's page Basic Information.",
                code=code,
            )
        if code in _CODE:
            return Denied(f"Slack does not accept the code of this installation ({code}).", code=code)
        if code == "invalid_refresh_token":
            return Revoked("The token for Slack can't be renewed any more. Install the app again.", code=code)
        return from_sdk(method, error)
    if isinstance(error, (aiohttp.ClientError, OSError)):
        return broken(method, error)
    return Transient(f"Slack answered {method} with something else than it should.")


def is_dead(error: ErniError) -> bool:
    """Whether it says that Slack does not know the token (any more)."""
    return isinstance(error, Denied) and error.code in _DEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """The app in a workspace, or (`wide`) in a whole enterprise. `expires_at` and `installed_at` are Unix
    seconds, `installer` is a user id."""

    team: str | None
    enterprise: str | None
    wide: bool
    token: str = field(repr=False)
    bot: str
    bot_user: str
    app: str | None = None
    scopes: tuple[str, ...] = ()
    refresh_token: str | None = field(default=None, repr=False)
    expires_at: int | None = None
    installed_at: float = 0.0
    installer: str = ""

    @property
    def key(self) -> str:
        """The id of the enterprise if it is installed there, else the workspace's."""
        return (self.enterprise if self.wide else self.team) or ""

    def lasts(self, seconds: float) -> bool:
        """Whether the token is valid for so long."""
        return self.expires_at is None or self.expires_at > time.time() + seconds

    def as_bot(self) -> Bot:
        """The same for Slack's SDK."""
        return Bot(**self._common())

    def as_installation(self) -> Installation:
        """The same for Slack's SDK."""
        return Installation(user_id=self.installer, **self._common())

    def _common(self) -> dict[str, Any]:
        return {
            "app_id": self.app,
            "enterprise_id": self.enterprise,
            "team_id": self.team,
            "bot_token": self.token,
            "bot_id": self.bot,
            "bot_user_id": self.bot_user,
            "bot_scopes": list(self.scopes),
            "bot_refresh_token": self.refresh_token,
            "bot_token_expires_at": self.expires_at,
            "is_enterprise_install": self.wide,
            "installed_at": self.installed_at,
        }


def installed_from(bot: Bot, installer: str) -> Installed:
    """What Slack's SDK knows of an installation; `installer` is a user id. Raises ValueError if that
    is not enough."""
    if not bot.bot_token or not (bot.enterprise_id if bot.is_enterprise_install else bot.team_id):
        raise ValueError("An installation needs a bot token and a workspace.")
    return Installed(
        team=None if bot.is_enterprise_install else bot.team_id,
        enterprise=bot.enterprise_id,
        wide=bot.is_enterprise_install,
        token=bot.bot_token,
        bot=bot.bot_id,
        bot_user=bot.bot_user_id,
        app=bot.app_id,
        scopes=tuple(bot.bot_scopes or ()),
        refresh_token=bot.bot_refresh_token,
        expires_at=bot.bot_token_expires_at,
        installed_at=bot.installed_at,
        installer=installer,
    )


class TokenSource(AsyncInstallationStore, ABC):
    """What both kinds can do. `authorize` is for `AsyncApp`."""

    def __init__(self, removed: Removed = nothing) -> None:
        self.removed = removed
        # As `AsyncApp` declares what it takes, which leaves out that there may be no installation.
        self.authorize = cast("Callable[..., Awaitable[AuthorizeResult]]", Authorize(self))

    @property
    def logger(self) -> Logger:
        return logger

    @abstractmethod
    async def find(self, team: str | None, enterprise: str | None, *, wide: bool = False) -> Installed | None:
        """The app in a workspace; with `wide`, in its whole enterprise if it is installed there. None: it is
        not installed. The token may have expired."""

    @abstractmethod
    async def token(self, team: str | None, enterprise: str | None = None) -> str:
        """A bot token that is valid now. Raises NotInstalled if there is none, Denied, Transient."""

    @abstractmethod
    async def revoked(self, team: str | None, enterprise: str | None) -> bool:
        """Slack says that the app was removed, or a token of it revoked. Whether that is still so: then the
        tokens are forgotten and `removed` was called. An event that is late, after the app was installed
        again, changes nothing. Raises Transient or Denied if Slack can't be asked."""

    async def async_find_bot(
        self, *, enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool | None = False
    ) -> Bot | None:
        found = await self.find(team_id, enterprise_id, wide=bool(is_enterprise_install))
        return None if found is None else found.as_bot()

    async def async_find_installation(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None = None,
        is_enterprise_install: bool | None = False,
    ) -> Installation | None:
        found = await self.find(team_id, enterprise_id, wide=bool(is_enterprise_install))
        if found is None or (user_id is not None and user_id != found.installer):
            return None
        return found.as_installation()

    async def async_delete_installation(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None = None
    ) -> None:
        if user_id is None:  # there are no tokens of single users
            await self.async_delete_bot(enterprise_id=enterprise_id, team_id=team_id)

    async def async_delete_all(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        await self.async_delete_bot(enterprise_id=enterprise_id, team_id=team_id)


class Authorize(AsyncAuthorize):
    """Who sent an event, from what is known here: bolt's own asks Slack for every event, and rotates tokens
    without asking anybody else."""

    def __init__(self, source: TokenSource) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the SDK's
        self._source = source

    async def __call__(
        self,
        *,
        context: AsyncBoltContext,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None,
        actor_enterprise_id: str | None = None,  # noqa: ARG002  (the interface)
        actor_team_id: str | None = None,  # noqa: ARG002
        actor_user_id: str | None = None,  # noqa: ARG002
    ) -> AuthorizeResult | None:
        found = await self._source.find(team_id, enterprise_id, wide=bool(context.is_enterprise_install))
        if found is None:
            return None
        return AuthorizeResult(
            enterprise_id=enterprise_id,
            team_id=team_id,
            bot_user_id=found.bot_user,
            bot_id=found.bot,
            bot_token=found.token,
            bot_scopes=found.scopes,
            user_id=user_id,
        )
