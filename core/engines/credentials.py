"""Accounts at vendors: keys, addresses and models, one class per vendor. Only the names are known here; what
they mean for an engine is in its own module."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import Misconfigured
from core.settings import Names

_CONFIG = SettingsConfigDict(env_file=".env", extra="ignore", populate_by_name=True)


def _url(default: str, alias: str) -> Any:
    return Field(default, alias=alias, description="Address of the API: a region, a proxy, another server.")


def _key(alias: str, what: str) -> Any:
    return Field(None, alias=alias, description=what)


class OpenAIAccount(BaseSettings):
    """OpenAI, or a server that speaks its protocol (`openai` and half of `standard`)."""

    model_config = _CONFIG
    api_key: SecretStr | None = _key("OPENAI_API_KEY", "Key of the account.")
    base_url: str = _url("https://api.openai.com/v1", "OPENAI_BASE_URL")
    transcribe_model: str = Field(
        "whisper-1",
        alias="OPENAI_TRANSCRIBE_MODEL",
        description="Model that hears words in `standard`. OpenAI ends whisper-1 and the gpt-4o models on "
        "2027-02-26; `gpt-transcribe` stays.",
    )
    diarize_model: str = Field(
        "gpt-4o-transcribe-diarize",
        alias="OPENAI_DIARIZE_MODEL",
        description="Model of the method `openai`, which labels speakers itself. Empty: none.",
    )
    models: str = Field(
        "",
        alias="OPENAI_MODELS",
        description='What other models can do, as JSON: {"name": {"word_times": true, "max_seconds": 1400}}.',
    )
    concurrency: int = Field(16, alias="OPENAI_CONCURRENCY", gt=0, description="Requests at once.")
    per_minute: int = Field(
        500,
        alias="OPENAI_PER_MINUTE",
        gt=0,
        description="Requests a minute: what the lowest paid tier of the account allows.",
    )


class PyannoteAIAccount(BaseSettings):
    """pyannoteAI: diarization of `standard`, the method `pyannoteai`, and voices."""

    model_config = _CONFIG
    api_key: SecretStr | None = _key("PYANNOTEAI_API_KEY", "Key of the account.")
    base_url: str = _url("https://api.pyannote.ai", "PYANNOTEAI_BASE_URL")
    model: str = Field(
        "precision-2", alias="PYANNOTEAI_MODEL", description="Diarization model: precision-2 or community-1."
    )
    transcription_model: str = Field(
        "parakeet-tdt-0.6b-v3",
        alias="PYANNOTEAI_TRANSCRIPTION_MODEL",
        description="Model that hears words in the method `pyannoteai`.",
    )
    webhook_secret: SecretStr | None = _key(
        "PYANNOTEAI_WEBHOOK_SECRET", "Signing secret of webhooks. With ERNI_PUBLIC_URL they replace polling."
    )
    concurrency: int = Field(10, alias="PYANNOTEAI_CONCURRENCY", gt=0, description="Jobs at once.")
    per_minute: int = Field(
        45,
        alias="PYANNOTEAI_PER_MINUTE",
        gt=0,
        description="Jobs a minute; each is two requests of 100 allowed.",
    )


class ReplicateAccount(BaseSettings):
    """Replicate: whisper-diarization (`replicate`)."""

    model_config = _CONFIG
    api_key: SecretStr | None = _key("REPLICATE_API_TOKEN", "Token of the account.")
    base_url: str = _url("https://api.replicate.com", "REPLICATE_BASE_URL")
    version: str = Field(
        "",
        alias="REPLICATE_VERSION",
        description="Version of thomasmol/whisper-diarization to run, 64 hexadecimal digits from its page: "
        "its input and output change between versions, so it is pinned.",
    )
    webhook_secret: SecretStr | None = _key(
        "REPLICATE_WEBHOOK_SECRET", "Signing secret of webhooks (whsec_...). With ERNI_PUBLIC_URL."
    )
    concurrency: int = Field(4, alias="REPLICATE_CONCURRENCY", gt=0, description="Predictions at once.")
    per_minute: int = Field(300, alias="REPLICATE_PER_MINUTE", gt=0, description="Predictions a minute.")


class ElevenLabsAccount(BaseSettings):
    """ElevenLabs Scribe (`elevenlabs`)."""

    model_config = _CONFIG
    api_key: SecretStr | None = _key("ELEVENLABS_API_KEY", "Key of the account.")
    base_url: str = _url("https://api.elevenlabs.io", "ELEVENLABS_BASE_URL")
    model: str = Field(
        "scribe_v2", alias="ELEVENLABS_MODEL", description="Model that hears words and speakers."
    )
    concurrency: int = Field(8, alias="ELEVENLABS_CONCURRENCY", gt=0, description="Requests at once.")
    per_minute: int = Field(60, alias="ELEVENLABS_PER_MINUTE", gt=0, description="Requests a minute.")


class AssemblyAIAccount(BaseSettings):
    """AssemblyAI (`assemblyai`)."""

    model_config = _CONFIG
    api_key: SecretStr | None = _key("ASSEMBLYAI_API_KEY", "Key of the account.")
    base_url: str = _url("https://api.assemblyai.com", "ASSEMBLYAI_BASE_URL")
    models: Names = Field(
        ("universal-3-pro", "universal-2"),
        alias="ASSEMBLYAI_MODELS",
        description="Speech models in order of preference, comma-separated.",
    )
    concurrency: int = Field(16, alias="ASSEMBLYAI_CONCURRENCY", gt=0, description="Jobs at once.")
    per_minute: int = Field(200, alias="ASSEMBLYAI_PER_MINUTE", gt=0, description="Jobs submitted a minute.")


class DeepgramAccount(BaseSettings):
    """Deepgram (`deepgram`)."""

    model_config = _CONFIG
    api_key: SecretStr | None = _key("DEEPGRAM_API_KEY", "Key of the account.")
    base_url: str = _url("https://api.deepgram.com", "DEEPGRAM_BASE_URL")
    model: str = Field("nova-3", alias="DEEPGRAM_MODEL", description="Model that hears words and speakers.")
    concurrency: int = Field(16, alias="DEEPGRAM_CONCURRENCY", gt=0, description="Requests at once.")
    per_minute: int = Field(300, alias="DEEPGRAM_PER_MINUTE", gt=0, description="Requests a minute.")


ACCOUNTS: tuple[type[BaseSettings], ...] = (
    OpenAIAccount,
    PyannoteAIAccount,
    ElevenLabsAccount,
    AssemblyAIAccount,
    DeepgramAccount,
    ReplicateAccount,
)


def account_id(vendor: str, key: SecretStr | None) -> str:
    """A name for the account behind a key that gives nothing of the key away."""
    secret = key.get_secret_value() if key else ""
    return f"{vendor}:{hashlib.sha256(f'erni account {secret}'.encode()).hexdigest()[:8]}"


def key_in(secret: SecretStr | None, variable: str) -> str:
    """The key, empty if there is none. Raises Misconfigured if it can be none."""
    key = secret.get_secret_value().strip() if secret else ""
    if not (key.isascii() and (not key or key.isprintable())):
        raise Misconfigured(f"{variable} holds characters that no key has. Copy the key once more.")
    return key
