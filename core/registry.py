"""Tables of what can be plugged in, as strings: nothing is imported until it is used.

Adding a platform, an engine or a format is one line here and one module or function there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from core.errors import Misconfigured

ADAPTERS: dict[str, str] = {
    "folder": "connectors.folder.adapter:create",
    "slack": "bots.slack.adapter:create",
    "teams": "bots.teams.adapter:create",
    "dropbox": "connectors.dropbox.adapter:create",
    "gdrive": "connectors.gdrive.adapter:create",
}
"""Name in `ERNI_ADAPTERS` -> `create(AdapterContext) -> Adapter`."""

CONNECTS: dict[str, str] = {
    "gdrive": "connectors.gdrive.connecting:create",
    "dropbox": "connectors.dropbox.connecting:create",
}
"""Name for `erni-audio connect` and `folders` -> `create(Settings) -> core.enrolment.Enrolling`."""

COMMANDS: dict[str, tuple[str, str]] = {
    "teams": ("bots.teams.command:app", "Write the app package by which people get the app in Teams."),
}
"""Commands of `erni-audio` that platforms bring: name -> a function or `typer.Typer`, and what it is for."""

ENGINES: dict[str, str] = {
    "openai": "core.engines.openai_audio:create",
    "openai-diarize": "core.engines.openai_audio:create_diarizing",
    "pyannoteai": "core.engines.pyannoteai:create",
    "elevenlabs": "core.engines.elevenlabs:create",
    "assemblyai": "core.engines.assemblyai:create",
    "deepgram": "core.engines.deepgram:create",
    "replicate": "core.engines.replicate_diarization:create",
    "local": "core.engines.local:create",
    "draft": "core.engines.draft:create",
}
"""Engine name -> `create(Settings) -> Engine`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """Which engines work together: `transcriber` and `diarizer` name entries of `ENGINES`. Without a
    `diarizer` the transcriber's words carry speakers."""

    transcriber: str
    diarizer: str | None = None

    @property
    def engines(self) -> tuple[str, ...]:
        """Both engines, each once."""
        return tuple(name for name in dict.fromkeys((self.transcriber, self.diarizer)) if name is not None)


METHODS: dict[str, Method] = {
    "standard": Method(transcriber="openai", diarizer="pyannoteai"),
    "pyannoteai": Method(transcriber="pyannoteai"),
    "elevenlabs": Method(transcriber="elevenlabs"),
    "assemblyai": Method(transcriber="assemblyai"),
    "deepgram": Method(transcriber="deepgram"),
    "openai": Method(transcriber="openai-diarize"),
    "replicate": Method(transcriber="replicate"),
    "local": Method(transcriber="local", diarizer="local"),
    "draft": Method(transcriber="draft", diarizer="draft"),
}
"""In order of preference: without a `METHODS` setting the first ones that can run form the chain."""


WEBHOOKS: dict[str, str] = {
    "pyannoteai": "core.engines.pyannoteai:webhook",
    "replicate": "core.engines.replicate_diarization:webhook",
}
"""Vendor -> `webhook() -> core.webhooks.Verifier | None`, None where its secret is not set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """An output format: file suffix, media type, and `render(Transcript, Recording) -> bytes`."""

    suffix: str
    media_type: str
    render: str


FORMATS: dict[str, Format] = {
    "txt": Format(suffix="txt", media_type="text/plain", render="core.render.text:render_txt"),
    "md": Format(suffix="md", media_type="text/markdown", render="core.render.markdown:render_md"),
    "srt": Format(suffix="srt", media_type="application/x-subrip", render="core.render.subtitles:render_srt"),
    "vtt": Format(suffix="vtt", media_type="text/vtt", render="core.render.subtitles:render_vtt"),
    "json": Format(suffix="json", media_type="application/json", render="core.render.data:render_json"),
    "csv": Format(suffix="csv", media_type="text/csv", render="core.render.data:render_csv"),
    "seglst": Format(
        suffix="seglst.json", media_type="application/json", render="core.render.data:render_seglst"
    ),
    "docx": Format(
        suffix="docx",
        media_type="application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        render="core.render.word:render_docx",
    ),
}


def load(target: str) -> Callable[..., Any]:
    """The function that `module:name` points to. Raises Misconfigured if its extra is not installed."""
    module, _, name = target.partition(":")
    try:
        found: Callable[..., Any] = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise Misconfigured(f"{target} needs the package {error.name}, which is not installed.") from error
    return found


def require(table: dict[str, Any], name: str, what: str) -> Any:
    """The entry `name` of `table`. Raises Misconfigured naming what there is."""
    if name not in table:
        raise Misconfigured(f"Unknown {what} {name!r}. There are: {', '.join(table)}.")
    return table[name]
