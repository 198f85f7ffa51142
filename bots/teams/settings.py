"""Settings of the Teams front door, and whom it believes because of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.addresses import is_loopback
from core.errors import Misconfigured
from core.registry import FORMATS
from core.settings import Names

MESSAGES_PATH: Final = "/teams/messages"
"""Where Teams reaches the service: the Azure Bot's messaging endpoint is ERNI_PUBLIC_URL with this."""

GRAPH: Final = "https://graph.microsoft.com"
INSECURE: Final = "TEAMS_INSECURE_LOCAL_DEVELOPMENT"

_GUID: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_ENTRA: Final = (
    "It is on the app's page Overview, under App registrations in the Microsoft Entra admin centre."
)
_REMEDIES: Final[Mapping[str, str]] = {
    "TEAMS_APP_ID": f"Set it to the Application (client) ID. {_ENTRA}",
    "TEAMS_APP_PASSWORD": "Set it to the value of a client secret: make one on the app's page Certificates & "
    "secrets, under App registrations in the Microsoft Entra admin centre.",
    "TEAMS_TENANT_ID": f"Set it to the Directory (tenant) ID. {_ENTRA}",
}


def _secret(value: SecretStr) -> SecretStr:
    """The same without what pasting adds; the value itself is never part of a message."""
    plain = value.get_secret_value().strip()
    if not plain:
        raise ValueError("is empty")
    if re.fullmatch(_GUID, plain.lower()):
        raise ValueError("should be the secret's Value, but this is a Secret ID (or another id)")
    return SecretStr(plain)


Secret = Annotated[SecretStr, AfterValidator(_secret)]


class TeamsSettings(BaseSettings):
    """Microsoft Teams: the app's credentials, and what holds in conversations where nobody chose."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    app_id: str | None = Field(
        None,
        alias="TEAMS_APP_ID",
        pattern=_GUID,
        description="Application (client) ID of the app registration, which is also the bot's.",
    )
    app_password: Secret | None = Field(
        None, alias="TEAMS_APP_PASSWORD", description="Value of a client secret of the app registration."
    )
    tenant_id: str | None = Field(
        None,
        alias="TEAMS_TENANT_ID",
        pattern=_GUID,
        description="Directory (tenant) ID of the one organisation that the app serves.",
    )
    openid_metadata: str = Field(
        "https://login.botframework.com/v1/.well-known/openidconfiguration",
        alias="TEAMS_OPENID_METADATA",
        description="Where Teams publishes the keys that its requests are signed with. US Government: "
        "https://login.botframework.azure.us/v1/.well-known/openidconfiguration.",
    )
    login_base_url: str = Field(
        "https://login.microsoftonline.com",
        alias="TEAMS_LOGIN_BASE_URL",
        description="Where the app signs in. US Government: https://login.microsoftonline.us.",
    )
    graph_base_url: str = Field(
        f"{GRAPH}/v1.0",
        alias="GRAPH_BASE_URL",
        description="Address of Microsoft Graph. US Government: https://graph.microsoft.us/v1.0.",
    )
    transcribe: Literal["all", "asked", "never"] = Field(
        "asked",
        alias="TEAMS_TRANSCRIBE",
        description="Which recordings are transcribed in a channel or group chat where nobody chose: all "
        "that are shared, those that somebody asks for, or none. In a personal chat with the app it is all.",
    )
    formats: Names = Field(
        ("md", "srt"),
        alias="TEAMS_FORMATS",
        description="Transcript files that are handed over where nobody chose.",
    )
    insecure_local_development: bool = Field(
        False,
        alias=INSECURE,
        description="Believes whoever reaches the service, without app and credentials: for the Microsoft "
        "365 Agents Playground on this machine. Needs ERNI_HTTP_HOST on loopback and no ERNI_PUBLIC_URL.",
    )

    @field_validator("app_id", "tenant_id", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("openid_metadata", "login_base_url", "graph_base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        try:
            parts = urlsplit(value.strip())
            host = parts.hostname or ""
            good = bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))
            good = good and parts.port != 0 and not (parts.query or parts.fragment or "@" in parts.netloc)
        except ValueError:
            good = False
        if not good:
            raise ValueError("should be an https:// address")
        return value.strip().rstrip("/")

    @field_validator("graph_base_url")
    @classmethod
    def _version(cls, value: str) -> str:
        return value if urlsplit(value).path else f"{value}/v1.0"

    @field_validator("formats")
    @classmethod
    def _known_formats(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or any(name not in FORMATS for name in value):
            raise ValueError(f"there are: {', '.join(FORMATS)}")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Who the app is: the ids are GUIDs in lower case, `secret` proves it to Microsoft's login."""

    app: str
    tenant: str
    secret: SecretStr

    @property
    def bot(self) -> str:
        """The id of the app's bot in conversations."""
        return f"28:{self.app}"


def registration_of(
    settings: TeamsSettings, *, http_host: str, public_url: str | None
) -> Registration | None:
    """The app that this service is, None in local development, where there is none.

    `http_host` is where the service's HTTP server listens, `public_url` how it is reached from outside, if it
    is. Raises Misconfigured naming what is missing or too much: without credentials nothing is opened that
    anybody else could reach.
    """
    given = {
        "TEAMS_APP_ID": settings.app_id,
        "TEAMS_APP_PASSWORD": settings.app_password,
        "TEAMS_TENANT_ID": settings.tenant_id,
    }
    missing = [name for name, value in given.items() if value is None]
    if settings.insecure_local_development:
        if len(missing) < len(given):
            present = next(name for name in given if name not in missing)
            raise Misconfigured(
                f"{INSECURE} is for work without an app, but {present} is set. Remove {INSECURE} to serve "
                f"Teams, or {present} to develop."
            )
        _require_seclusion(http_host, public_url)
        return None
    if settings.app_id is None or settings.app_password is None or settings.tenant_id is None:
        raise Misconfigured(f"{missing[0]} is missing. {_REMEDIES[missing[0]]}")
    local = {
        "TEAMS_OPENID_METADATA": settings.openid_metadata,
        "TEAMS_LOGIN_BASE_URL": settings.login_base_url,
        "GRAPH_BASE_URL": settings.graph_base_url,
    }
    here = [name for name, address in local.items() if is_loopback(urlsplit(address).hostname or "")]
    if here and len(here) < len(local):
        away = next(name for name in local if name not in here)
        raise Misconfigured(
            f"{here[0]} is an address of this machine and {away} is not. Set all three of {', '.join(local)} "
            "to the same Microsoft 365, or none."
        )
    return Registration(app=settings.app_id, tenant=settings.tenant_id, secret=settings.app_password)


def _require_seclusion(http_host: str, public_url: str | None) -> None:
    if not is_loopback(http_host):
        raise Misconfigured(
            f"{INSECURE} believes whoever reaches the service, so ERNI_HTTP_HOST must be 127.0.0.1, not "
            f"{http_host}. Set it so, or remove {INSECURE}."
        )
    if public_url is not None:
        raise Misconfigured(
            f"{INSECURE} believes whoever reaches the service, and ERNI_PUBLIC_URL says that others do. "
            "Remove one of them."
        )


def is_local(settings: TeamsSettings) -> bool:
    """Whether Microsoft 365 is one on this machine, so that its addresses may be too."""
    return settings.insecure_local_development or is_loopback(
        urlsplit(settings.graph_base_url).hostname or ""
    )


def graph_scope(settings: TeamsSettings) -> str:
    """What a token for Graph is asked for: Graph's own origin, also where a local server stands in for it."""
    parts = urlsplit(settings.graph_base_url)
    return GRAPH if is_loopback(parts.hostname or "") else f"{parts.scheme}://{parts.netloc}"
