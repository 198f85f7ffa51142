"""Settings of the Google Drive connector."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import Misconfigured
from core.places import check_output
from core.policies import ChannelPolicy, read_speakers, read_vocabulary
from core.registry import FORMATS
from core.settings import Names, Settings

API_BASE_URL: Final = "https://www.googleapis.com/drive/v3/"


def _speakers(value: str) -> str:
    read_speakers(value)
    return value


class GDriveSettings(BaseSettings):
    """Google Drive: a service account, and folders to watch."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    credentials: Path | None = Field(
        None,
        alias="GDRIVE_CREDENTIALS",
        description="Path of a service account's key file (JSON). Unset: accounts are those that were "
        "connected with `erni-audio connect gdrive`.",
    )
    subject: str = Field(
        "",
        alias="GDRIVE_SUBJECT",
        pattern=r"^([^@\s]+@[^@\s]+)?$",
        description="Address of the person as whom the service account acts (domain-wide delegation). Unset: "
        "it acts for itself.",
    )
    folders: Names = Field(
        (),
        alias="GDRIVE_FOLDERS",
        description="Folders to watch with GDRIVE_CREDENTIALS, by link or id, comma-separated. More, each "
        "with its own policy: `erni-audio folders add gdrive`.",
    )
    backfill: bool = Field(
        False,
        alias="GDRIVE_BACKFILL",
        description="Whether to transcribe what lies in GDRIVE_FOLDERS already, also if set later.",
    )
    formats: Names | None = Field(
        None,
        alias="GDRIVE_FORMATS",
        description="Transcript formats to write in GDRIVE_FOLDERS. Unset: as ERNI_FORMATS.",
    )
    output: Annotated[str, AfterValidator(check_output)] = Field(
        "beside",
        alias="GDRIVE_OUTPUT",
        description="`beside` the recording, or the name of a subfolder to make there for transcripts.",
    )
    languages: Names | None = Field(
        None,
        alias="GDRIVE_LANGUAGES",
        description="Languages that may occur in GDRIVE_FOLDERS (ISO 639-1). Unset: as ERNI_LANGUAGES.",
    )
    speakers: Annotated[str, AfterValidator(_speakers)] = Field(
        "",
        alias="GDRIVE_SPEAKERS",
        description="Number of speakers in recordings there, or a range such as 2-5. Unset: counted.",
    )
    vocabulary: Names = Field(
        (), alias="GDRIVE_VOCABULARY", description="Names and terms to expect there, comma-separated."
    )
    document: bool = Field(
        False, alias="GDRIVE_DOCUMENT", description="Whether to make a Google Doc of each transcript there."
    )
    comments: bool = Field(
        False,
        alias="GDRIVE_COMMENTS",
        description="Whether to say in comments on recordings there how their transcription goes.",
    )
    links: Literal["open", "watched"] = Field(
        "open",
        alias="GDRIVE_LINKS",
        description="Which links to files in Drive, posted in Slack say, are transcribed there: those that "
        "are `open` to anybody who has the link, or also those into `watched` folders, whose transcript can "
        "then be had by whoever has the link.",
    )
    push: bool | Literal["auto"] = Field(
        "auto",
        alias="GDRIVE_PUSH",
        description="Whether Google is asked to call when something changes, instead of being asked every "
        "30 seconds only. Needs ERNI_PUBLIC_URL. `auto` does so if that is set.",
    )
    api_base_url: str = Field(
        API_BASE_URL,
        alias="GDRIVE_API_BASE_URL",
        description="Drive's API, version 3: a gateway to it, or a server for tests.",
    )

    @field_validator("api_base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        value = value.strip().rstrip("/") + "/"
        try:
            parts = urlsplit(value)
            good = parts.scheme == "https" or (parts.scheme == "http" and is_local(parts.hostname or ""))
            good = good and bool(parts.hostname) and parts.port != 0
            good = good and not (parts.query or parts.fragment or "@" in parts.netloc)
        except ValueError:
            good = False
        if not good:
            raise ValueError(f"should be an https:// address such as {API_BASE_URL}")
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


def check(gdrive: GDriveSettings, settings: Settings) -> None:
    """Raise Misconfigured if one setting needs another one that is missing."""
    if gdrive.folders and gdrive.credentials is None:
        raise Misconfigured(
            "GDRIVE_FOLDERS needs GDRIVE_CREDENTIALS, the path of a service account's key file, which is not "
            "set. Set it, or use `erni-audio connect gdrive` and `erni-audio folders add gdrive` instead."
        )
    if gdrive.subject and gdrive.credentials is None:
        raise Misconfigured("GDRIVE_SUBJECT needs GDRIVE_CREDENTIALS, which is not set.")
    if gdrive.push is True and settings.public_url is None:
        raise Misconfigured(
            "GDRIVE_PUSH needs ERNI_PUBLIC_URL, the HTTPS address under which Google reaches this service."
        )


def is_local(host: str) -> bool:
    """Whether a host is this very machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
