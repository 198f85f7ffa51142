"""Formats for programs: our JSON with its way back, CSV for spreadsheets, SegLST for scoring tools.

The JSON is described by `transcript.schema.json` beside this module. It loses nothing of a `Transcript` but
fractions of milliseconds and characters that UTF-8 can't hold. Members that a reader does not know are to be
ignored; one that changes its meaning makes a new schema.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.model import Recording, Transcript, Utterance, Word
from core.render import times
from core.render.layout import in_order, shares
from core.render.safe import clean, encodable, shown, shown_names, visible
from core.render.words import join_words

SCHEMA: Final = "urn:erni-audio:transcript:1"

_FORMULA: Final = tuple("=+-@\uff1d\uff0b\uff0d\uff20\u2212")  # wide ones too, which some take for the same
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def render_json(transcript: Transcript, recording: Recording) -> bytes:
    """UTF-8; one line for each word. `parse_json` is the way back."""
    head = {
        "schema": SCHEMA,
        "content_key": transcript.content_key,
        "name": recording.name,
        "shared_at": times.iso(recording.shared_at),
        "seconds": times.rounded(transcript.seconds),
        "languages": list(transcript.languages),
        "engine": transcript.engine,
        "draft": transcript.draft,
        "warnings": list(transcript.warnings),
    }
    parts = [f"  {_dumps(name)}: {_dumps(value)},\n" for name, value in head.items()]
    parts += ['  "speakers": ', _array(map(_dumps, _speakers(transcript)), "    "), ",\n"]
    parts += ['  "utterances": ', _array(map(_utterance, transcript.utterances), "    ")]
    return encodable("{\n" + "".join(parts) + "\n}\n").encode()


def parse_json(data: bytes) -> Transcript:
    """The transcript that `render_json` wrote.

    Raises ValueError with a sentence that names the place, and quotes nothing, if it is something else.
    """
    try:
        document = _Document.model_validate_json(data.removeprefix(b"\xef\xbb\xbf"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ValueError(f"This is no transcript in our JSON ({SCHEMA}): {where}: {first['msg']}.") from None
    return Transcript(
        content_key=document.content_key,
        languages=tuple(document.languages),
        seconds=document.seconds,
        utterances=tuple(
            Utterance(
                speaker=said.speaker,
                start=said.start,
                end=said.end,
                overlap=said.overlap,
                words=tuple(
                    Word(
                        start=word.start,
                        end=word.end,
                        text=word.text,
                        confidence=word.confidence,
                        speaker=word.speaker,
                    )
                    for word in said.words
                ),
            )
            for said in document.utterances
        ),
        engine=document.engine,
        draft=document.draft,
        warnings=tuple(document.warnings),
        names={
            entry.speaker: entry.name
            for entry in document.speakers
            if entry.speaker is not None and entry.name is not None
        },
        suggestions={
            entry.speaker: entry.suggestion
            for entry in document.speakers
            if entry.speaker is not None and entry.suggestion is not None
        },
    )


def render_csv(transcript: Transcript, recording: Recording) -> bytes:  # noqa: ARG001  (the port)
    """RFC 4180, one row per utterance, UTF-8 with a byte-order mark, without which Excel shows other letters.

    A text that a spreadsheet would run as a formula (it begins with one of `= + - @`) gets an apostrophe
    before it, as OWASP advises.
    """
    buffer = io.StringIO(newline="")
    rows = csv.writer(buffer, lineterminator="\r\n")
    names = shown_names(transcript.names, transcript.suggestions)
    rows.writerow(["time", "start_seconds", "end_seconds", "speaker", "text", "overlap", "draft"])
    for said in in_order(transcript.utterances):
        start, end = _span(said)
        text = join_words(said.words)
        if visible(text):
            speaker = _cell(shown(said.speaker, names))
            flags = (_flag(said.overlap), _flag(transcript.draft))
            rows.writerow([times.clock(start), f"{start:.3f}", f"{end:.3f}", speaker, _cell(text), *flags])
    return b"\xef\xbb\xbf" + buffer.getvalue().encode()


def render_seglst(transcript: Transcript, recording: Recording) -> bytes:
    """Segments as the CHiME challenges and meeteval read them. The session is the file name without its
    ending, so that it meets a reference of the same name; a speaker whose name is only a suggestion keeps the
    label."""
    session = clean(PurePosixPath(recording.name).stem) or "recording"
    segments = []
    for said in in_order(transcript.utterances):
        start, end = _span(said)
        segment = {
            "session_id": session,
            "speaker": shown(said.speaker, transcript.names),
            "start_time": start,
            "end_time": end,
            "words": join_words(said.words),
        }
        if segment["words"]:
            segments.append(_dumps(segment))
    return (_array(iter(segments), "  ") + "\n").encode()


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class _Word(_Model):
    start: _Seconds
    end: _Seconds
    text: str
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    speaker: str | None = None


class _Utterance(_Model):
    speaker: str | None
    start: _Seconds
    end: _Seconds
    overlap: bool
    text: str
    words: list[_Word]


class _Speaker(_Model):
    speaker: str | None
    name: str | None
    suggestion: str | None = None


class _Document(_Model):
    schema_id: Literal["urn:erni-audio:transcript:1"] = Field(alias="schema")
    content_key: str
    seconds: _Seconds
    languages: list[str]
    engine: str
    draft: bool
    warnings: list[str]
    speakers: list[_Speaker]
    utterances: list[_Utterance]


_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def _speakers(transcript: Transcript) -> Iterator[dict[str, Any]]:
    talked = {
        share.speaker: share for share in shares((said.speaker, said) for said in transcript.utterances)
    }
    known = dict.fromkeys([*transcript.names, *transcript.suggestions])
    for label in [*talked, *(label for label in known if label not in talked)]:
        share = talked.get(label)
        entry = {
            "speaker": label,
            "name": None if label is None else transcript.names.get(label),
            "seconds": share.seconds if share else 0.0,
            "share": share.fraction if share else 0.0,
        }
        if label is not None and label in transcript.suggestions:
            entry["suggestion"] = transcript.suggestions[label]
        yield entry


def _utterance(said: Utterance) -> str:
    start, end = _span(said)
    head = {
        "speaker": said.speaker,
        "start": start,
        "end": end,
        "overlap": said.overlap,
        "text": join_words(said.words),
    }
    return f'{_dumps(head)[:-1]}, "words": {_array(map(_word, said.words), "      ")}}}'


def _word(word: Word) -> str:
    start = times.rounded(word.start)
    found: dict[str, Any] = {"start": start, "end": max(start, times.rounded(word.end)), "text": word.text}
    if word.confidence is not None and 0 <= word.confidence <= 1:  # not so for a not-a-number
        found["confidence"] = word.confidence
    if word.speaker is not None:
        found["speaker"] = word.speaker
    return _dumps(found)


def _array(items: Iterator[str], indent: str) -> str:
    """A JSON array with one item a line."""
    lines = f",\n{indent}".join(items)
    return f"[\n{indent}{lines}\n{indent[2:]}]" if lines else "[]"


def _span(said: Utterance) -> tuple[float, float]:
    start = times.rounded(said.start)
    return start, max(start, times.rounded(said.end))


def _cell(text: str) -> str:
    return f"'{text}" if text[:1] in _FORMULA else text


def _flag(value: bool) -> str:
    return "yes" if value else "no"
