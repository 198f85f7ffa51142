"""A transcript as files with names of their own, for platforms where they stand beside other files. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.filenames import output_base, output_names
from core.model import Recording, Transcript
from core.registry import FORMATS, load


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A file. `format` is a key of `core.registry.FORMATS`."""

    format: str
    name: str
    data: bytes


def rendered(transcript: Transcript, recording: Recording, formats: Sequence[str]) -> list[Rendered]:
    """The transcript in these formats; nothing for one without words, or of formats that nobody knows."""
    if not transcript.utterances:
        return []
    entries = {name: FORMATS[name] for name in formats if name in FORMATS}
    base = output_base(recording.name, shared=False)
    names = output_names(base, [entry.suffix for entry in entries.values()])
    return [
        Rendered(format=name, name=names[entry.suffix], data=load(entry.render)(transcript, recording))
        for name, entry in entries.items()
    ]
