"""The core's settings, and the only module that reads the environment. Adapters add a class of their own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core.errors import Misconfigured


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""A comma-separated list in the environment."""


def _default_data_dir() -> Path:
    # What `make run` made in this folder, so that other commands given here find its service.
    here = Path(".erni-audio")
    if here.is_dir() and here.stat().st_uid == os.getuid():
        return here
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "erni-audio"


S = TypeVar("S", bound=BaseSettings)


class Settings(BaseSettings):
    """Everything about the service that is not about one platform."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", populate_by_name=True)

    # where things are
    data_dir: Path = Field(
        default_factory=_default_data_dir,
        alias="ERNI_DATA_DIR",
        description="Everything the service keeps: queue, transcripts, audit log. Mode 0700.",
    )
    models_dir: Path | None = Field(
        None,
        alias="MODELS_DIR",
        description="Folder with local model weights. Default: `models` in the data directory.",
    )
    redis_url: SecretStr | None = Field(
        None,
        alias="REDIS_URL",
        description="Redis or Valkey shared by several machines. Unset: the service starts its own Valkey.",
    )

    # what it does
    adapters: Names = Field(
        ("folder",), alias="ERNI_ADAPTERS", description="Front doors to open, comma-separated."
    )
    methods: Names = Field(
        (),
        alias="METHODS",
        description="Recognition methods in order of preference. Unset: the best that can run.",
    )
    languages: Names = Field(
        (), alias="ERNI_LANGUAGES", description="Languages that may occur (ISO 639-1). Unset: detected."
    )
    formats: Names = Field(
        ("md", "srt", "json"), alias="ERNI_FORMATS", description="Transcript formats to write."
    )
    local_model: str = Field(
        "auto",
        alias="ERNI_LOCAL_MODEL",
        description="Whisper model of the `local` engine; `auto` takes what suits this machine.",
    )
    local_speakers: str = Field(
        "speakers",
        alias="ERNI_LOCAL_SPEAKERS",
        description="Speaker models of the `local` engine: a folder in the models folder.",
    )
    models_base_url: str = Field(
        "https://huggingface.co",
        alias="MODELS_BASE_URL",
        description="Server that local weights are fetched from: the hub or a mirror of it.",
    )

    # limits
    max_bytes: int = Field(
        8 * 2**30, alias="ERNI_MAX_BYTES", gt=0, description="Largest recording accepted, bytes."
    )
    max_seconds: float = Field(
        12 * 3600, alias="ERNI_MAX_SECONDS", gt=0, description="Longest recording accepted, seconds of audio."
    )
    decode_memory_bytes: int = Field(
        2 * 2**30, alias="ERNI_DECODE_MEMORY_BYTES", gt=0, description="Memory limit of one decoder, bytes."
    )
    decode_cpu_seconds: int = Field(
        1800, alias="ERNI_DECODE_CPU_SECONDS", gt=0, description="CPU time limit of one decoder, seconds."
    )
    short_workers: int = Field(
        4, alias="ERNI_SHORT_WORKERS", ge=0, description="Short recordings worked on at once in this process."
    )
    long_workers: int = Field(
        1, alias="ERNI_LONG_WORKERS", ge=0, description="Long recordings worked on at once in this process."
    )
    long_seconds: float = Field(
        1200, alias="ERNI_LONG_SECONDS", gt=0, description="From here a recording counts as long, seconds."
    )
    tenant_jobs: int = Field(
        4,
        alias="ERNI_TENANT_JOBS",
        gt=0,
        description="Recordings of one workspace or folder worked on at once.",
    )

    # patience
    max_attempts: int = Field(
        5, alias="ERNI_MAX_ATTEMPTS", gt=0, description="Tries of a recording before giving up."
    )
    max_crashes: int = Field(
        3, alias="ERNI_MAX_CRASHES", gt=0, description="Dead workers that one recording may cost."
    )
    redelivery_seconds: float = Field(
        20, alias="ERNI_REDELIVERY_SECONDS", gt=0, description="Silence after which a worker counts as dead."
    )
    drain_seconds: float = Field(
        30,
        alias="ERNI_DRAIN_SECONDS",
        ge=0,
        description="How long a stopping service lets running work finish.",
    )

    # keeping
    cache_bytes: int = Field(
        256 * 2**20, alias="ERNI_CACHE_BYTES", gt=0, description="Room for finished transcripts, bytes."
    )
    retention_days: float | None = Field(
        None,
        alias="ERNI_RETENTION_DAYS",
        gt=0,
        description="Stored transcripts are deleted after this many days.",
    )
    encryption_key: SecretStr | None = Field(
        None,
        alias="ERNI_ENCRYPTION_KEY",
        description="Encrypts stored transcripts and audio. Make one with `erni-audio doctor --new-key`.",
    )

    # money and people
    monthly_budget: float | None = Field(
        None,
        alias="ERNI_MONTHLY_BUDGET",
        ge=0,
        description="What recognition may cost in a calendar month (UTC), US dollars. Unset: no limit.",
    )
    tenant_monthly_budget: float | None = Field(
        None,
        alias="ERNI_TENANT_MONTHLY_BUDGET",
        ge=0,
        description="The same for each workspace or watched folder.",
    )
    voices: bool = Field(
        False,
        alias="ERNI_VOICES",
        description="Recognise people whose voices were added with `erni-audio voices add`. Voiceprints are "
        "biometric data: ask them first. Needs ERNI_ENCRYPTION_KEY.",
    )
    voices_sure: float = Field(
        0.75,
        alias="ERNI_VOICES_SURE",
        ge=0,
        le=1,
        description="Similarity from which a voice is given its name; somewhat below it is a suggestion.",
    )

    # talking to the operator
    public_url: str | None = Field(
        None,
        alias="ERNI_PUBLIC_URL",
        pattern=r"^https://[^\s]+$",
        description="HTTPS address under which vendors reach this service's HTTP server, for webhooks, "
        "such as https://erni.example.com.",
    )
    http_host: str = Field("127.0.0.1", alias="ERNI_HTTP_HOST", description="Address of the HTTP server.")
    http_port: int = Field(
        8765,
        alias="ERNI_HTTP_PORT",
        ge=0,
        le=65535,
        description="Port of the HTTP server; 0 takes a free one.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", alias="ERNI_LOG_LEVEL", description="How much is logged."
    )
    log_format: Literal["text", "json"] = Field(
        "text", alias="ERNI_LOG_FORMAT", description="Log lines for people or for machines."
    )


def load_settings(kind: type[S], **overrides: Any) -> S:
    """Read `kind` from the environment and `.env`. Raises Misconfigured naming the variable at fault."""
    try:
        return kind(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Misconfigured(f"Setting {where}: {_plain(first, kind, where)}.") from None


_PLAIN = {
    "bool_parsing": "should be true or false",
    "float_parsing": "should be a number",
    "greater_than": "should be above {gt:g}",
    "greater_than_equal": "should be {ge:g} or more",
    "int_from_float": "should be a whole number",
    "int_parsing": "should be a whole number",
    "less_than_equal": "should be {le:g} or less",
    "literal_error": "should be {expected}",
    "missing": "has to be set",
}


def _plain(found: ErrorDetails, kind: type[BaseSettings], where: str) -> str:
    """What is wrong with the setting `where`, without a stop."""
    if text := _PLAIN.get(found["type"]):
        return text.format(**found.get("ctx", {}))
    if found["type"] == "string_pattern_mismatch":
        meaning = next(
            (field.description for field in kind.model_fields.values() if field.alias == where), ""
        )
        return f"is not written as it should be. It is: {meaning}".removesuffix(".")
    return found["msg"].removeprefix("Value error, ").removesuffix(".")
