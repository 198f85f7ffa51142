"""Settings of the Dropbox connector."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import Misconfigured
from core.places import check_output
from core.policies import ChannelPolicy, read_speakers, read_vocabulary
from core.registry import FORMATS
from core.settings import Names, Settings

API_BASE_URL: Final = "https://api.dropboxapi.com"


def _stripped(value: SecretStr) -> SecretStr:
    return SecretStr(value.get_secret_value().strip())


def _speakers(value: str) -> str:
    read_speakers(value)
    return value


Secret = Annotated[SecretStr, AfterValidator(_stripped)]


class DropboxSettings(BaseSettings):
    """Dropbox: the app's credentials, and folders to watch."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    app_key: str | None = Field(
        None,
        alias="DROPBOX_APP_KEY",
        pattern=r"^[A-Za-z0-9]{8,40}$",
        description="App key, from the app's page Settings in Dropbox's App Console. Unset: `erni-audio "
        "connect dropbox` asks for it.",
    )
    app_secret: Secret | None = Field(
        None,
        alias="DROPBOX_APP_SECRET",
        description="App secret, from the same page. Only for Dropbox's webhook, and for a "
        "DROPBOX_REFRESH_TOKEN that was made with it.",
    )
    refresh_token: Secret | None = Field(
        None,
        alias="DROPBOX_REFRESH_TOKEN",
        description="Refresh token of one account, with DROPBOX_APP_KEY. Unset: accounts are those that were "
        "connected with `erni-audio connect dropbox`.",
    )
    folders: Names = Field(
        (),
        alias="DROPBOX_FOLDERS",
        description="Folders to watch with DROPBOX_REFRESH_TOKEN, by path or link, comma-separated; `/` is "
        "everything. More, each with its own policy: `erni-audio folders add dropbox`.",
    )
    backfill: bool = Field(
        False,
        alias="DROPBOX_BACKFILL",
        description="Whether to transcribe what lies in DROPBOX_FOLDERS already, also if set later.",
    )
    formats: Names | None = Field(
        None,
        alias="DROPBOX_FORMATS",
        description="Transcript formats to write in DROPBOX_FOLDERS. Unset: as ERNI_FORMATS.",
    )
    output: Annotated[str, AfterValidator(check_output)] = Field(
        "beside",
        alias="DROPBOX_OUTPUT",
        description="`beside` the recording, or the name of a subfolder to make there for transcripts.",
    )
    languages: Names | None = Field(
        None,
        alias="DROPBOX_LANGUAGES",
        description="Languages that may occur in DROPBOX_FOLDERS (ISO 639-1). Unset: as ERNI_LANGUAGES.",
    )
    speakers: Annotated[str, AfterValidator(_speakers)] = Field(
        "",
        alias="DROPBOX_SPEAKERS",
        description="Number of speakers in recordings there, or a range such as 2-5. Unset: counted.",
    )
    vocabulary: Names = Field(
        (), alias="DROPBOX_VOCABULARY", description="Names and terms to expect there, comma-separated."
    )
    tags: bool = Field(
        False,
        alias="DROPBOX_TAGS",
        description="Whether to tag recordings there as `transcribing`, `transcribed` or `not_transcribed`. "
        "Needs the permission files.metadata.write.",
    )
    links: Literal["open", "account"] = Field(
        "open",
        alias="DROPBOX_LINKS",
        description="Which links to files in Dropbox, posted in Slack say, are transcribed there: those that "
        "are `open` to all, or all that a connected `account` can open, such as those for its team only, "
        "whose transcript can then be had by whoever has the link.",
    )
    api_base_url: str = Field(
        API_BASE_URL,
        alias="DROPBOX_API_BASE_URL",
        description="Where requests for Dropbox's API hosts are sent: a gateway, or a server for tests.",
    )

    @field_validator("api_base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        value = value.strip().rstrip("/")
        try:
            parts = urlsplit(value)
            good = parts.scheme == "https" or (parts.scheme == "http" and _is_local(parts.hostname or ""))
            good = good and bool(parts.hostname) and parts.port != 0
            good = good and not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
        except ValueError:
            good = False
        if not good:
            raise ValueError(f"should be an https:// address without a path, such as {API_BASE_URL}")
        return value

    @field_validator("formats")
    @classmethod
    def _known_formats(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and (not value or any(name not in FORMATS for name in value)):
            raise ValueError(f"there are: {', '.join(FORMATS)}")
        return value

    @field_validator("vocabulary")
    @classmethod
    def _short_vocabulary(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return read_vocabulary("\n".join(value))

    def policy(self, settings: Settings) -> ChannelPolicy:
        """What holds in `folders`."""
        low, high = read_speakers(self.speakers)
        return ChannelPolicy(
            languages=settings.languages if self.languages is None else self.languages,
            vocabulary=self.vocabulary,
            min_speakers=low,
            max_speakers=high,
            formats=self.formats or settings.formats,
        )


def check(settings: DropboxSettings) -> None:
    """Raise Misconfigured if one setting needs another one that is missing."""
    if settings.refresh_token is not None and settings.app_key is None:
        raise Misconfigured(
            "DROPBOX_REFRESH_TOKEN needs DROPBOX_APP_KEY, which is not set. It is on the app's page "
            "Settings in Dropbox's App Console."
        )
    if settings.folders and settings.refresh_token is None:
        raise Misconfigured(
            "DROPBOX_FOLDERS needs DROPBOX_REFRESH_TOKEN, which is not set. Set it, or use `erni-audio "
            "connect dropbox` and `erni-audio folders add dropbox` instead."
        )


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
