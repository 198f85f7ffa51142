"""Settings of the folder connector."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.filenames import is_watched_folder
from core.registry import FORMATS
from core.settings import Names

_SPEAKERS = re.compile(r"\s*(\d{1,3})\s*(?:-\s*(\d{1,3})\s*)?")


def _bounds(value: str) -> str:
    speaker_bounds(value)
    return value


def speaker_bounds(value: str) -> tuple[int, int]:
    """`3` or `2-5` as lowest and highest number of speakers. Raises ValueError."""
    found = _SPEAKERS.fullmatch(value)
    low = int(found[1]) if found else 0
    high = int(found[2] or low) if found else 0
    if not 1 <= low <= high:
        raise ValueError("should be a number of speakers, or a range such as 2-5")
    return low, high


class FolderSettings(BaseSettings):
    """Which folders are watched, and what happens with what is dropped there."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", populate_by_name=True)

    paths: Names = Field(
        ("inbox",),
        alias="FOLDER_PATHS",
        min_length=1,
        description="Folders to watch, comma-separated. A missing one is created where its parent exists.",
    )
    recursive: bool = Field(
        True, alias="FOLDER_RECURSIVE", description="Whether folders inside the folders are watched too."
    )
    polling: bool | Literal["auto"] = Field(
        "auto",
        alias="FOLDER_POLLING",
        description="Look regularly instead of waiting for the system's notices, which network mounts don't "
        "send. `auto` does so on network mounts.",
    )
    poll_seconds: float | None = Field(
        None,
        alias="FOLDER_POLL_SECONDS",
        gt=0,
        description="Time between complete looks at a folder, seconds. Unset: 10 when polling, else 60.",
    )
    settle_seconds: float = Field(
        2.0,
        alias="FOLDER_SETTLE_SECONDS",
        gt=0,
        description="A file whose size and time stayed the same for so long is complete, seconds.",
    )
    backfill: bool = Field(
        True,
        alias="FOLDER_BACKFILL",
        description="Whether to transcribe what lies in a folder when it is watched for the first time.",
    )
    formats: Names | None = Field(
        None, alias="FOLDER_FORMATS", description="Transcript formats to write. Unset: as ERNI_FORMATS."
    )
    output: str = Field(
        "beside",
        alias="FOLDER_OUTPUT",
        description="`beside` the recording, or the name of a subfolder to make there for transcripts.",
    )
    languages: Names | None = Field(
        None,
        alias="FOLDER_LANGUAGES",
        description="Languages that may occur (ISO 639-1). Unset: as ERNI_LANGUAGES.",
    )
    speakers: Annotated[str, AfterValidator(_bounds)] | None = Field(
        None,
        alias="FOLDER_SPEAKERS",
        description="Number of speakers, or a range such as 2-5. Unset: counted.",
    )
    vocabulary: Names = Field(
        (), alias="FOLDER_VOCABULARY", description="Names and terms to expect, comma-separated."
    )

    @field_validator("formats")
    @classmethod
    def _known_formats(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        unknown = [name for name in value or () if name not in FORMATS]
        if unknown or value == ():
            raise ValueError(f"there are: {', '.join(FORMATS)}")
        return value

    @field_validator("output")
    @classmethod
    def _one_component(cls, value: str) -> str:
        if (
            "/" in value
            or "\\" in value
            or "\0" in value
            or not is_watched_folder(value)
            or not value.strip()
        ):
            raise ValueError("should be `beside` or the plain name of a subfolder")
        return value
