"""Subtitles: SubRip and WebVTT.

WebVTT knows voices and cues that overlap, and carries the content key, the draft notice and the warnings in
notes. SubRip knows none of it: its cues follow one another, and names stand before the text where the speaker
changes. Nobody sees notes while watching, so in both formats a draft says so in its first cue as well, in a
line of its own, which takes no time from speech.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from core.model import Recording, Transcript
from core.render.cues import Cue, cut, flatten
from core.render.layout import DRAFT_NOTICE, FORMAT_VERSION, NO_SPEECH
from core.render.safe import clean, has_rtl, is_rtl, visible
from core.render.times import milliseconds, stamp

_DRAFT: Final = "[Draft: expect mistakes]"
_SILENCE: Final = f"[{NO_SPEECH}]"
_JOINER: Final = "\u2060"
_LEFT_TO_RIGHT, _RIGHT_TO_LEFT, _POP = "\u202a", "\u202b", "\u202c"
# Players take <i> and {\an8} for formatting, and readers of the format take an arrow for a new cue.
_SRT_MARKUP = re.compile(r"<(?=[a-z/!?])|\{(?=\\)|--(?=>)", re.IGNORECASE)


def render_srt(transcript: Transcript, recording: Recording) -> bytes:  # noqa: ARG001  (the port)
    """UTF-8 without a byte-order mark. What looks like markup is kept literal by an invisible word joiner;
    lines with right-to-left text are embedded in their direction, which players don't find out themselves."""
    cues = flatten(cut(transcript))
    blocks = [
        "\n".join([str(number), _times(cue, ","), *map(_srt_line, lines)])
        for number, (cue, lines) in enumerate(_named(cues, draft=transcript.draft), 1)
    ]
    if not cues:
        blocks = [f"1\n{_silence(transcript, ',')}"]
    return ("\n\n".join(blocks) + "\n").encode()


def render_vtt(transcript: Transcript, recording: Recording) -> bytes:  # noqa: ARG001  (the port)
    """UTF-8. Each cue names its voice; overlapping speech is overlapping cues."""
    key = clean(transcript.content_key)
    notes = [f"erni-audio transcript={FORMAT_VERSION} content={key}"]
    if transcript.draft:
        notes.append(f"Draft. {DRAFT_NOTICE}")
    notes += filter(visible, map(clean, transcript.warnings))
    blocks = ["WEBVTT", *(f"NOTE\n{_vtt_text(note)}" for note in notes)]
    cues = cut(transcript)
    for index, cue in enumerate(cues):
        voice = cue.voices[0]
        text = _vtt_text("\n".join(voice.lines(named=False)))
        notice = f"{_DRAFT}\n" if transcript.draft and index == 0 else ""
        blocks.append(f"{_times(cue, '.')}\n{notice}<v {_annotation(voice.speaker)}>{text}</v>")
    if not cues:
        blocks.append(_silence(transcript, "."))
    return ("\n\n".join(blocks) + "\n").encode()


def _named(cues: list[Cue], *, draft: bool) -> Iterator[tuple[Cue, list[str]]]:
    """Each cue with its lines; a name comes first wherever the speaker is not the one before."""
    speaker: str | None = None
    for index, cue in enumerate(cues):
        lines = [_DRAFT] if draft and index == 0 else []
        for voice in cue.voices:
            lines += voice.lines(named=voice.speaker != speaker)
            speaker = voice.speaker
        yield cue, lines


def _silence(transcript: Transcript, separator: str) -> str:
    """The only cue of a recording without speech: many programs refuse a file without cues."""
    end = min(max(milliseconds(transcript.seconds), 1000), 5000)
    lines = [_DRAFT, _SILENCE] if transcript.draft else [_SILENCE]
    return "\n".join([_times(Cue(start=0, end=end, voices=()), separator), *lines])


def _times(cue: Cue, separator: str) -> str:
    return f"{stamp(cue.start, separator)} --> {stamp(cue.end, separator)}"


def _srt_line(line: str) -> str:
    line = _SRT_MARKUP.sub(rf"\g<0>{_JOINER}", line)
    if not has_rtl(line):
        return line
    return (_RIGHT_TO_LEFT if is_rtl(line) else _LEFT_TO_RIGHT) + line + _POP


def _annotation(name: str) -> str:
    """A name that the end of its tag does not make into an arrow."""
    return _vtt_text(name + _JOINER if name.endswith("--") else name)


def _vtt_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
