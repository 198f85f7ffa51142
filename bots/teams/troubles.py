"""What Microsoft refuses, as our errors: the one place that knows its status and error codes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpx

from bots.teams.records import Json, mapping
from bots.teams.retries import NOT_DONE, UNCLEAR, seconds_in, was_not_sent
from core.errors import AuthFailed, ErniError, Misconfigured, Rejected, Transient


class Unsure(Transient):
    """The answer was lost: what was asked may have been done. Look before asking again."""


class Denied(AuthFailed):
    """The app may not do this, or Microsoft does not know it. `code` is Microsoft's name for it."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class MissingPermission(Denied):
    """An admin has to grant the permission `permission` first."""

    def __init__(self, message: str, *, code: str, permission: str) -> None:
        super().__init__(message, code=code)
        self.permission = permission


class Refused(Rejected):
    """Not here, or not to this: a matter of the place or its settings. `code` is Microsoft's name for it."""

    def __init__(self, user_message: str, *, code: str) -> None:
        super().__init__(user_message)
        self.code = code


class Gone(Refused):
    """What was meant does not exist (any more), or the app can't see it."""


class Removed(Refused):
    """The app is not in the conversation (any more), or its user blocked it: nothing can be said there."""


class Conflict(Refused):
    """There is something of that name already, or it was changed meanwhile."""


class Unshowable(ErniError):
    """Teams does not take this message as it is made: our mistake. A plain short text may pass."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class TooLarge(Unshowable):
    """The message is too large for Teams: a shorter one may pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What is asked of Graph, as the rest of "the app may not ...", and the application permission for it.
    `here` is the resource-specific one, which the app package asks for in one team or chat alone."""

    doing: str
    permission: str
    here: str = ""

    def missing(self, code: str) -> MissingPermission:
        """What an admin has to do about it."""
        also = (
            f" Or the app is not installed in this team or chat with its permission {self.here}."
            if self.here
            else ""
        )
        return MissingPermission(
            f"The app may not {self.doing}. An admin must grant it the application permission "
            f"{self.permission} of Microsoft Graph: in the Microsoft Entra admin centre under App "
            f"registrations, the app, API permissions, then grant admin consent.{also}",
            code=code,
            permission=self.permission,
        )


_LOCKED_SECONDS: Final = 30.0
_REMOVED: Final = frozenset(
    {
        "BotNotInConversationRoster",
        "BotDisabledByAdmin",
        "ConversationBlockedByUser",
        "ForbiddenOperationException",
        "InvalidBotApiHost",
        "MessageWritesBlocked",
    }
)
_SECRETS: Final[Mapping[str, str]] = {
    "7000215": "TEAMS_APP_PASSWORD is wrong: take the client secret's Value, not its ID.",
    "7000222": "The client secret in TEAMS_APP_PASSWORD has expired. Make a new one on the app's page "
    "Certificates & secrets and set TEAMS_APP_PASSWORD to its value.",
    "700016": "The app of TEAMS_APP_ID is not registered in the organisation of TEAMS_TENANT_ID. Check both "
    "on the app's page Overview.",
    "90002": "There is no organisation with the id in TEAMS_TENANT_ID. Check it on the app's page Overview.",
    "7000112": "The app of TEAMS_APP_ID is disabled. Enable it in the Microsoft Entra admin centre under "
    "Enterprise applications.",
}


def code_in(data: Json) -> str:
    """Microsoft's name for an error, from the body of an answer; empty without one."""
    error = data.get("error")
    code = mapping(error).get("code") if isinstance(error, dict) else error
    return code if isinstance(code, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", code) else ""


def from_connector(doing: str, status: int, headers: Mapping[str, str], data: Json) -> ErniError:
    """Our error for what the Bot Connector answered when it was asked to do something, such as "send"."""
    code = code_in(data) or f"http_{status}"
    wait = seconds_in(headers)
    if status in NOT_DONE:
        return _busy("Teams", doing, status, wait)
    if status == 413 or code == "MessageSizeTooBig":
        return TooLarge(f"The message is too large for Teams ({doing}).", code=code)
    refusals: Mapping[int, ErniError] = {
        401: Denied(
            f"Teams does not accept the app's token ({doing}). Check that TEAMS_APP_ID is the id of the "
            "Azure Bot, and that the bot is single-tenant in TEAMS_TENANT_ID.",
            code=code,
        ),
        403: Removed("The app is not in this conversation any more, or it is blocked there.", code=code)
        if code in _REMOVED
        else Refused("Teams does not let the app do this here.", code=code),
        404: Gone("The message or its conversation does not exist any more.", code=code),
        410: Gone("The message or its conversation does not exist any more.", code=code),
        405: Refused("This can't be done here.", code=code),
        501: Refused("This can't be done here.", code=code),
    }
    if status in refusals:
        return refusals[status]
    if 400 <= status < 500 and status not in UNCLEAR:
        return Unshowable(f"Teams answered {doing} with {status} {code}.", code=code)
    return Transient(f"Teams answered {doing} with {status} {code}.", retry_after=wait)


def from_graph(need: Need, status: int, headers: Mapping[str, str], data: Json) -> ErniError:
    """Our error for what Graph answered."""
    code = code_in(data) or f"http_{status}"
    wait = seconds_in(headers)
    refusals: Mapping[int, ErniError] = {
        401: Denied(
            f"Microsoft Graph does not accept the app's token ({code}). Check GRAPH_BASE_URL and "
            "TEAMS_LOGIN_BASE_URL: both belong to the same cloud.",
            code=code,
        ),
        403: need.missing(code),
        404: Gone("This does not exist any more, or the app can't see it.", code=code),
        409: Conflict("There is something of that name already.", code=code),
        410: Gone("This does not exist any more.", code=code),
        412: Conflict("It was changed meanwhile.", code=code),
        501: Refused("Microsoft 365 can't do this.", code=code),
        507: Refused("There is no room left where the recording lies.", code=code),
    }
    if status in {429, 503}:
        return _busy("Microsoft Graph", need.doing, status, wait)
    if status == 423:
        return Transient("The file is locked at the moment.", retry_after=wait or _LOCKED_SECONDS)
    if status in refusals:
        return refusals[status]
    if 400 <= status < 500 and status not in UNCLEAR:
        return Refused("Microsoft 365 does not take this.", code=code)
    return Transient(f"Microsoft Graph answered {status} {code}.", retry_after=wait)


def from_login(status: int, headers: Mapping[str, str], data: Json) -> ErniError:
    """Our error for what Microsoft's login answered when the app asked for a token."""
    wait = seconds_in(headers)
    if status == 429 or status >= 500 or status in UNCLEAR:
        return Transient(f"Microsoft's login is busy (HTTP {status}).", retry_after=wait)
    numbers = data.get("error_codes")
    known = [str(each) for each in numbers if isinstance(each, int)] if isinstance(numbers, list) else []
    code = code_in(data) or f"http_{status}"
    for number in known:
        if number in _SECRETS:
            return Denied(_SECRETS[number], code=code)
    if code == "invalid_scope":
        return Misconfigured("Microsoft's login does not know the address in GRAPH_BASE_URL. Check it.")
    if status < 400:
        return Transient("Microsoft's login answered with something that is no JSON.", retry_after=wait)
    if status in {404, 405}:
        return Misconfigured(f"There is no login at TEAMS_LOGIN_BASE_URL (HTTP {status}). Check it.")
    named = f" AADSTS{known[0]}" if known else ""
    return Denied(
        f"Microsoft's login refuses the app ({code}{named}). Check TEAMS_APP_ID, TEAMS_APP_PASSWORD and "
        "TEAMS_TENANT_ID.",
        code=code,
    )


def _busy(who: str, doing: str, status: int, wait: float | None) -> Transient:
    return Transient(f"{who} is asked too often ({doing}, {status}).", retry_after=wait)


def broken(who: str, error: BaseException) -> Transient:
    """After a connection that failed. Whether it may have been done is the caller's to tell."""
    if was_not_sent(error):
        return Transient(f"{who} can't be reached ({type(error).__name__}).")
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return Transient(f"{who} did not answer in time.")
    return Transient(f"{who} broke off ({type(error).__name__}).")


def unsure(error: Transient, doing: str) -> Unsure:
    """The same where it may have been done."""
    return Unsure(f"It is not known whether Teams did {doing}. {error}", retry_after=error.retry_after)
