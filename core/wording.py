"""How people are told of formats, methods, stages and waiting, the same on every platform. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from core.model import Stage
from core.policies import Mode
from core.registry import FORMATS
from core.render import times

FORMAT_NAMES: Final[Mapping[str, str]] = {
    "docx": "Word document",
    "txt": "Plain text",
    "md": "Markdown",
    "srt": "Subtitles (.srt)",
    "vtt": "Subtitles for the web (.vtt)",
    "csv": "Table (.csv)",
    "json": "Data with the time of every word (.json)",
    "seglst": "Data for measuring accuracy (.seglst.json)",
}
"""How people call the formats, in the order in which they are offered."""

METHOD_NAMES: Final[Mapping[str, str]] = {
    "standard": "OpenAI and pyannoteAI",
    "pyannoteai": "pyannoteAI",
    "elevenlabs": "ElevenLabs",
    "assemblyai": "AssemblyAI",
    "deepgram": "Deepgram",
    "openai": "OpenAI",
    "replicate": "Replicate",
    "local": "Our own computers: sent to nobody",
    "draft": "Rough draft: fast, with many mistakes",
}
"""How people call the methods of recognition."""

STAGES: Final[Mapping[Stage, str]] = {
    Stage.QUEUED: "Waiting for its turn",
    Stage.FETCHING: "Fetching the recording",
    Stage.DECODING: "Reading the recording",
    Stage.RECOGNISING: "Listening",
    Stage.WRITING: "Writing the transcript",
    Stage.DELIVERING: "Bringing it here",
}
"""What is being done with a recording."""

HERE: Final[Mapping[Mode, str]] = {
    Mode.ALL: "Every recording that is shared here is transcribed.",
    Mode.ASKED: "Recordings that are shared here are transcribed when somebody asks for it.",
    Mode.NEVER: "Transcribing is switched off here.",
}
"""What happens to the recordings of a conversation."""

PURPOSE: Final = "I write down what is said in audio and video files, and who says it."
"""What the service does, in its own words."""

_BAR: Final = 12


def offered_formats() -> dict[str, str]:
    """All formats with what people call them, in the order in which they are offered."""
    names = dict.fromkeys([*(name for name in FORMAT_NAMES if name in FORMATS), *FORMATS])
    return {name: FORMAT_NAMES.get(name, f".{FORMATS[name].suffix}") for name in names}


def bar(fraction: float) -> str:
    """How much is done, 0..1, as `▓▓▓▓▓░░░░░░░ 42 %`."""
    fraction = min(1.0, max(0.0, fraction))
    full = int(fraction * _BAR)
    return f"{'▓' * full}{'░' * (_BAR - full)} {percent(fraction)}"


def percent(fraction: float) -> str:
    """The same as `42 %`; 100 % only if it is all done."""
    return f"{int(min(1.0, max(0.0, fraction)) * 100)} %"


def about_left(seconds: float) -> str:
    """A time to wait, as roughly as it is known: `less than a minute`, `about 5 min`, `about 1 h 20 min`."""
    if seconds < 50:
        return "less than a minute"
    minutes = seconds / 60
    step = 1 if minutes < 9.5 else 5 if minutes < 57 else 10
    return f"about {times.duration(60 * step * max(1, round(minutes / step)))}"
