"""Settings of the Slack front door, and which of Slack's ways they choose."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import Misconfigured
from core.registry import FORMATS
from core.settings import Names

SCOPES: Final = (
    "app_mentions:read",
    "channels:history",
    "channels:read",
    "chat:write",
    "commands",
    "files:read",
    "files:write",
    "groups:history",
    "groups:read",
    "im:history",
    "im:read",
    "mpim:history",
    "mpim:read",
    "usergroups:read",
    "users:read",
)
"""What the app may do in a workspace. `manifest.yaml` repeats them; docs/slack.md says what each is for."""

EVENTS_PATH: Final = "/slack/events"
INSTALL_PATH: Final = "/slack/install"
REDIRECT_PATH: Final = "/slack/oauth_redirect"
UNINSTALL_PATH: Final = "/slack/uninstall"
"""Where Slack and people who install the app reach the service."""

_BOT_TOKEN: Final = "xoxb-"  # noqa: S105  (how one begins)
_APP_TOKEN: Final = "xapp-"  # noqa: S105
_KINDS: Final[Mapping[str, str]] = {
    "xapp-": "an app-level token: put it into SLACK_APP_TOKEN",
    "xoxb-": "a bot token: put it into SLACK_BOT_TOKEN",
    "xoxe.xoxb-": "a bot token that ends after 12 hours, because token rotation is on: set SLACK_CLIENT_ID "
    "and SLACK_CLIENT_SECRET and install the app at /slack/install, or make an app without token rotation",
    "xoxe": "a refresh or configuration token, which is not used here",
    "xoxp-": "a user's token, which is not used here",
    "xox": "another kind of token, which is not used here",
}


def _token(prefix: str, where: str) -> Callable[[SecretStr], SecretStr]:
    """A check that names what was put there instead; the value itself is never part of a message."""

    def check(value: SecretStr) -> SecretStr:
        plain = value.get_secret_value().strip()
        if plain.startswith(prefix):
            return SecretStr(plain)
        kind = next((kind for start, kind in _KINDS.items() if plain.startswith(start)), "something else")
        raise ValueError(f"should begin with {prefix} ({where}), but this is {kind}")

    return check


def _stripped(value: SecretStr) -> SecretStr:
    return SecretStr(value.get_secret_value().strip())


BotToken = Annotated[
    SecretStr,
    AfterValidator(_token(_BOT_TOKEN, "Bot User OAuth Token on the app's page OAuth & Permissions")),
]
AppToken = Annotated[
    SecretStr, AfterValidator(_token(_APP_TOKEN, "App-Level Tokens on the app's page Basic Information"))
]
Secret = Annotated[SecretStr, AfterValidator(_stripped)]


class SlackSettings(BaseSettings):
    """Slack: the app's credentials, and what holds in channels where nobody chose otherwise."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    bot_token: BotToken | None = Field(
        None,
        alias="SLACK_BOT_TOKEN",
        description="Bot User OAuth Token (xoxb-...) of the workspace. For many workspaces set "
        "SLACK_CLIENT_ID and SLACK_CLIENT_SECRET instead.",
    )
    app_token: AppToken | None = Field(
        None,
        alias="SLACK_APP_TOKEN",
        description="App-level token (xapp-...) with connections:write. With it, Slack is reached by Socket "
        "Mode, which needs no public address.",
    )
    signing_secret: Secret | None = Field(
        None,
        alias="SLACK_SIGNING_SECRET",
        description="Proves that a request comes from Slack. With ERNI_PUBLIC_URL, for HTTP instead of "
        "Socket Mode.",
    )
    client_id: str | None = Field(
        None,
        alias="SLACK_CLIENT_ID",
        pattern=r"^\d+\.\d+$",
        description="Client ID, for installing the app in many workspaces at /slack/install.",
    )
    client_secret: Secret | None = Field(
        None, alias="SLACK_CLIENT_SECRET", description="Client Secret, with SLACK_CLIENT_ID."
    )
    api_base_url: str = Field(
        "https://slack.com/api/",
        alias="SLACK_API_BASE_URL",
        description="Address of Slack's API. GovSlack: https://slack-gov.com/api/.",
    )
    transcribe: Literal["all", "asked", "never"] = Field(
        "all",
        alias="SLACK_TRANSCRIBE",
        description="Which recordings are transcribed in a channel where nobody chose: all that are shared, "
        "those that somebody asks for, or none.",
    )
    formats: Names = Field(
        ("md", "srt"),
        alias="SLACK_FORMATS",
        description="Transcript files put into the thread where nobody chose.",
    )
    settings_groups: Names = Field(
        (),
        alias="SLACK_SETTINGS_GROUP",
        description="Ids of user groups (S...), one for each workspace, comma-separated. Their members may "
        "change channels' settings, besides those who made a channel and workspace admins.",
    )

    @field_validator("api_base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        try:
            parts = urlsplit(value.strip())
            here = parts.hostname in {"127.0.0.1", "::1", "localhost"}
            good = bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and here))
            good = good and parts.port != 0 and not (parts.query or parts.fragment or "@" in parts.netloc)
        except ValueError:
            good = False
        if not good:
            raise ValueError("should be an https:// address such as https://slack.com/api/")
        return value.strip().rstrip("/") + "/"

    @field_validator("formats")
    @classmethod
    def _known_formats(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or any(name not in FORMATS for name in value):
            raise ValueError(f"there are: {', '.join(FORMATS)}")
        return value

    @field_validator("settings_groups")
    @classmethod
    def _group_ids(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(r"S[A-Z0-9]{2,20}", name) for name in value):
            raise ValueError("should be the id of a user group, which begins with S, such as S0614TZR7")
        return value


def mode_of(settings: SlackSettings, public_url: str | None) -> Literal["socket", "http"]:
    """How Slack reaches this service: it is called by Slack, or it opens a connection to Slack.

    Raises Misconfigured naming what is missing, or what is too much: an app uses one of the two.
    """
    can_be_called = settings.signing_secret is not None and public_url is not None
    if settings.app_token is not None:
        if can_be_called:
            raise Misconfigured(
                "SLACK_APP_TOKEN is for Socket Mode, SLACK_SIGNING_SECRET with ERNI_PUBLIC_URL for HTTP, and "
                "a Slack app uses one of them. Remove SLACK_SIGNING_SECRET if Socket Mode is on in the app's "
                "settings, SLACK_APP_TOKEN if it is off."
            )
        return "socket"
    if can_be_called:
        return "http"
    if settings.signing_secret is not None:
        raise Misconfigured(
            "SLACK_SIGNING_SECRET is set, so Slack is to call this service, but ERNI_PUBLIC_URL is not. Set "
            "ERNI_PUBLIC_URL to the https:// address under which Slack reaches it, or use Socket Mode: set "
            "SLACK_APP_TOKEN instead."
        )
    raise Misconfigured(
        "Slack can't reach this service yet. Set SLACK_APP_TOKEN to an app-level token (xapp-..., with the "
        "scope connections:write; make one on the app's page Basic Information) for Socket Mode"
        + (
            ", or SLACK_SIGNING_SECRET (same page) for HTTP."
            if public_url is not None
            else ". For HTTP instead, set ERNI_PUBLIC_URL and SLACK_SIGNING_SECRET."
        )
    )


def reach_of(settings: SlackSettings, public_url: str | None, *, encrypted: bool) -> Literal["one", "many"]:
    """Whether the app serves one workspace, whose token is a setting, or all that install it.

    `encrypted`: what is stored is encrypted. Raises Misconfigured naming what is missing or too much.
    """
    if settings.client_id is None and settings.client_secret is None:
        if settings.bot_token is None:
            raise Misconfigured(
                "SLACK_BOT_TOKEN is missing. Install the app in the workspace and set it to the Bot User "
                "OAuth Token (xoxb-...) on the app's page OAuth & Permissions. For many workspaces set "
                "SLACK_CLIENT_ID and SLACK_CLIENT_SECRET instead."
            )
        return "one"
    if settings.bot_token is not None:
        raise Misconfigured(
            "SLACK_BOT_TOKEN is for one workspace, SLACK_CLIENT_ID and SLACK_CLIENT_SECRET are for many. "
            "Remove SLACK_BOT_TOKEN, or the other two."
        )
    missing = {
        "SLACK_CLIENT_ID": settings.client_id is None,
        "SLACK_CLIENT_SECRET": settings.client_secret is None,
        "ERNI_PUBLIC_URL": public_url is None,
        "ERNI_ENCRYPTION_KEY": not encrypted,
    }
    remedies = {
        "SLACK_CLIENT_ID": "It is on the app's page Basic Information.",
        "SLACK_CLIENT_SECRET": "It is on the app's page Basic Information.",
        "ERNI_PUBLIC_URL": "Set it to the https:// address under which people reach this service's pages.",
        "ERNI_ENCRYPTION_KEY": "Tokens of workspaces are stored only encrypted. Make a key with `erni-audio "
        "doctor --new-key`.",
    }
    for name, is_missing in missing.items():
        if is_missing:
            raise Misconfigured(f"Many Slack workspaces need {name}, which is not set. {remedies[name]}")
    return "many"


def authorize_url(api_base_url: str) -> str:
    """Slack's page where people agree to an installation, on the same host as the API."""
    return f"{web_origin(api_base_url)}/oauth/v2/authorize"


def web_origin(api_base_url: str) -> str:
    """The origin of Slack's pages: https://slack.com, or GovSlack's."""
    parts = urlsplit(api_base_url)
    return f"{parts.scheme}://{parts.netloc}"
