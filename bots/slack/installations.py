"""Where the app's tokens come from: one workspace's from the settings, or those of all that installed it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pydantic import TypeAdapter
from slack_sdk.oauth.installation_store import Bot, Installation
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bots.slack.records import mapping
from bots.slack.tokens import (
    FAILURES,
    Installed,
    NotInstalled,
    Removed,
    TokenSource,
    installed_from,
    is_dead,
    nothing,
    trouble,
)
from bots.slack.troubles import Denied
from core.errors import ErniError, Transient
from core.ports import Store
from core.tasks import end

logger = logging.getLogger(__name__)

_REFRESH_SECONDS: Final = 7200.0  # what a token must still be valid for; Slack keeps two tokens alive
_USABLE_SECONDS: Final = 60.0
_ROTATION_SECONDS: Final = 30.0
_LEASE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1

_record = TypeAdapter(Installed)


class SingleWorkspace(TokenSource):
    """The workspace, or enterprise, that a token from the settings belongs to."""

    def __init__(self, token: str, client: AsyncWebClient, removed: Removed = nothing) -> None:
        super().__init__(removed)
        self._token = token
        self._client = client
        self._known: Installed | None = None
        self._asking = asyncio.Lock()

    async def identity(self) -> Installed:
        """What the token is for; Slack is asked once. Raises Denied, Transient."""
        async with self._asking:
            if self._known is None:
                self._known = await self._ask()
            return self._known

    async def _ask(self) -> Installed:
        try:
            answer = await self._client.auth_test(token=self._token)
            wide = answer.get("is_enterprise_install") is True
            found = Installed(
                team=None if wide else _id(answer, "team_id"),
                enterprise=_id(answer, "enterprise_id") if wide else answer.get("enterprise_id"),
                wide=wide,
                token=self._token,
                bot=_id(answer, "bot_id"),
                bot_user=_id(answer, "user_id"),
                scopes=tuple(filter(None, str(answer.headers.get("x-oauth-scopes", "")).split(","))),
            )
        except FAILURES as error:
            raise trouble("auth.test", error) from None
        return found

    async def find(self, team: str | None, enterprise: str | None, *, wide: bool = False) -> Installed | None:  # noqa: ARG002  (the interface)
        known = await self.identity()
        ours = (enterprise, known.enterprise) if known.wide else (team, known.team)
        return known if ours[0] in {None, ours[1]} else None

    async def token(self, team: str | None, enterprise: str | None = None) -> str:
        found = await self.find(team, enterprise)
        if found is None:
            raise NotInstalled(
                f"The app is not installed in the Slack workspace {team or enterprise}: SLACK_BOT_TOKEN "
                "belongs to another one."
            )
        return found.token

    async def revoked(self, team: str | None, enterprise: str | None) -> bool:
        known, self._known = self._known, None
        try:
            await self.identity()
        except Denied as error:
            if not is_dead(error):
                raise
            place = (team, enterprise) if known is None else (known.team, known.enterprise)
            await self.removed(*place)
            return True
        return False

    async def async_delete_bot(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        self._known = None
        await self.removed(team_id, enterprise_id)


class Installations(TokenSource):
    """All workspaces and enterprises that installed the app, in the service's store.

    Tokens that expire are rotated by one process at a time.
    """

    def __init__(
        self,
        store: Store,
        client: AsyncWebClient,
        *,
        client_id: str,
        client_secret: str,
        removed: Removed = nothing,
    ) -> None:
        super().__init__(removed)
        self._store = store
        self._client = client
        self._space = f"slack:installations:{client_id}"
        self._leases = f"slack:rotation:{client_id}"
        self._rotator = AsyncTokenRotator(client_id=client_id, client_secret=client_secret, client=client)

    async def installed(self) -> Sequence[Installed]:
        """Everywhere."""
        return [_record.validate_json(text) for text in (await self._store.memories(self._space)).values()]

    async def find(self, team: str | None, enterprise: str | None, *, wide: bool = False) -> Installed | None:
        for key in (enterprise, team) if wide else (team, enterprise):
            found = await self._read(key) if key else None
            if found is not None:
                return found
        return None

    async def async_save(self, installation: Installation) -> None:
        """Who installed it first stays the one who may remove it, unless an admin installs it anew. Raises
        ValueError if the app has no bot token there."""
        user = installation.user_id or ""
        installed = installed_from(installation.to_bot(), user)
        known = await self._read(installed.key)
        if known is not None and known.installer not in {"", user}:
            try:
                rules = await self.rules(installation)
            except ErniError as error:
                logger.info("who installs the app anew counts as no admin: %s", error)
                rules = False
            installed = installed if rules else replace(installed, installer=known.installer)
        await self._write(installed)
        by = {"by": user} if user else {}
        await self._store.audit("slack-installed", _place(installed.team, installed.enterprise) | by)

    async def rules(self, done: Installation) -> bool:
        """Whether who allowed the app is an admin of what it is installed in. Raises what asking Slack
        raises."""
        try:
            answer = await self._client.users_info(user=done.user_id, token=done.bot_token)
        except FAILURES as error:
            raise trouble("users.info", error) from None
        user = mapping(answer.get("user"))
        of_all = mapping(user.get("enterprise_user"))
        rules = any(of_all.get(name) is True for name in ("is_admin", "is_owner"))
        if done.is_enterprise_install:
            return rules
        return rules or any(user.get(name) is True for name in ("is_admin", "is_owner", "is_primary_owner"))

    async def async_save_bot(self, bot: Bot) -> None:
        known = await self._read(installed_from(bot, "").key)
        await self._write(installed_from(bot, known.installer if known else ""))

    async def async_delete_bot(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        # The token first, so that work stops; `removed` even if it is gone already, as it may have failed.
        await self._store.forget(self._space, team_id or enterprise_id or "")
        await self.removed(team_id, enterprise_id)
        await self._store.audit("slack-removed", _place(team_id, enterprise_id))

    async def revoked(self, team: str | None, enterprise: str | None) -> bool:
        found = await self.find(team, enterprise)
        if found is not None and await self._is_alive(found):
            return False
        if found is not None:
            team, enterprise = found.team, found.enterprise
            if team and enterprise and await self._read(enterprise) is not None:
                # Its own installation became the enterprise's, which serves it now.
                await self._store.forget(self._space, team)
                return False
        await self.async_delete_bot(enterprise_id=enterprise, team_id=team)
        return True

    async def _is_alive(self, found: Installed) -> bool:
        try:
            token = await self.token(found.team, found.enterprise)
            await self._client.auth_test(token=token)
        except FAILURES as error:
            failure = trouble("auth.test", error)
        except Denied as error:
            failure = error
        else:
            return True
        if is_dead(failure):
            return False
        raise failure

    async def token(self, team: str | None, enterprise: str | None = None) -> str:
        found = await self.find(team, enterprise)
        clock = asyncio.get_running_loop().time
        until = clock() + _LEASE_SECONDS
        while True:
            if found is None:
                raise NotInstalled(
                    f"The app is not installed in the Slack workspace {team or enterprise} (any more). "
                    "Install it at /slack/install."
                )
            if found.lasts(_REFRESH_SECONDS):
                return found.token
            lease = await self._store.acquire(self._leases, found.key, _LEASE_SECONDS)
            if lease is not None:
                return (await self._rotated_under(lease, found.key)).token
            found = await self._read(found.key)
            if found is not None and found.lasts(_USABLE_SECONDS):
                return found.token
            if clock() > until:
                raise Transient("Another process takes too long to renew a token of Slack.")
            await asyncio.sleep(_POLL_SECONDS)

    async def _rotated_under(self, lease: str, key: str) -> Installed:
        rotation = asyncio.create_task(self._rotated(key), name=f"slack rotation {key}")
        is_settled = True
        try:
            found = await asyncio.shield(rotation)
            is_settled = found.lasts(_REFRESH_SECONDS)
        except asyncio.CancelledError:
            # Slack may have taken the refresh token: what it gives for it must be kept.
            await asyncio.wait({rotation})
            raise
        finally:
            await end(rotation)
            if is_settled:  # else it failed, but the old token is good: the next try is after the lease
                await self._store.release(self._leases, key, lease)
        return found

    async def _rotated(self, key: str) -> Installed:
        old = await self._read(key)
        if old is None:
            raise NotInstalled(f"The app was removed from the Slack workspace {key}.")
        if old.lasts(_REFRESH_SECONDS):
            return old
        try:
            async with asyncio.timeout(_ROTATION_SECONDS):
                bot = await self._rotator.perform_bot_token_rotation(
                    bot=old.as_bot(), minutes_before_expiration=int(_REFRESH_SECONDS / 60)
                )
            if bot is None or not bot.bot_token or not bot.bot_refresh_token:
                raise ValueError("no token")
        except FAILURES as error:
            failure = trouble("oauth.v2.access", error)
            now = await self._read(key)
            if now is not None and now.lasts(_USABLE_SECONDS):
                logger.warning("the token of Slack workspace %s could not be renewed: %s", key, failure)
                return now
            raise failure from None
        now = await self._read(key)
        if now is None:
            raise NotInstalled(f"The app was removed from the Slack workspace {key}.")
        if now.refresh_token != old.refresh_token:
            return now  # installed again meanwhile
        new = replace(
            old, token=bot.bot_token, refresh_token=bot.bot_refresh_token, expires_at=bot.bot_token_expires_at
        )
        await self._write(new)
        return new

    async def _read(self, key: str) -> Installed | None:
        text = await self._store.recall(self._space, key)
        return None if text is None else _record.validate_json(text)

    async def _write(self, installed: Installed) -> None:
        await self._store.remember(self._space, installed.key, _record.dump_json(installed).decode())


def _id(answer: AsyncSlackResponse, name: str) -> str:
    found = answer.get(name)
    if not isinstance(found, str) or not found:
        raise ValueError(f"no {name}")
    return found


def _place(team: str | None, enterprise: str | None) -> dict[str, str]:
    return {
        name: value for name, value in (("workspace", team), ("enterprise", enterprise)) if value is not None
    }
