"""Readers: SegLST, STM, CTM, RTTM, our own JSON and plain text, all brought to `Session`s.

The line and list formats are parsed by meeteval; this module adds what a parser for trusted files leaves out:
encodings, line numbers, and times that can't be.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from core.evaluation.session import NoTranscript, Segment, Session, Unreadable, scoring_package
from core.evaluation.session import seconds as _seconds
from core.evaluation.session import span as _span
from core.evaluation.session import speaker_label as _speaker

MAX_BYTES = 256 * 2**20
"""A transcript of a whole day is about 40 MB of JSON; what is larger is no transcript."""

SUFFIXES = (".json", ".seglst", ".stm", ".ctm", ".rttm", ".txt")
"""File name endings that are read, the richest format first."""

_STM = "recording channel speaker start end words..."
_CTM = "recording channel start duration word [confidence]"
_RTTM = "SPEAKER recording channel start duration <NA> <NA> speaker <NA> <NA>"
_UEM = "recording channel start end"

_STM_LABEL = re.compile(r"^<[^<>\s]*,[^<>\s]*>\s*")
_STM_NO_SPEECH = frozenset({"ignore_time_segment_in_scoring", "inter_segment_gap"})
_RTTM_OTHER = frozenset(
    {"SEGMENT", "NOSCORE", "NO_RT_METADATA", "LEXEME", "NON-LEX", "NON-SPEECH", "FILLER", "EDIT", "IP", "SU"}
    | {"CB", "A/P", "SPKR-INFO"}
)


def format_suffix(path: Path) -> str | None:
    """The ending in `SUFFIXES` that says how to read `path`; None if there is none."""
    suffix = path.suffix.lower()
    return suffix if suffix in SUFFIXES else None


def read(path: Path) -> tuple[Session, ...]:
    """Every recording that the file `path` holds; at least one.

    A file of a line format without lines is one recording without speech: a recogniser that heard nothing.
    Raises Unreadable, or Misconfigured if the `evaluate` extra is not installed.
    """
    suffix = format_suffix(path)
    if suffix is None:
        raise Unreadable(f"{path}: unknown format; readable are {', '.join(SUFFIXES)}.")
    text = _text(path)
    with _located(str(path)):
        return _READERS[suffix](text)


def read_uem(path: Path) -> dict[str, tuple[tuple[float, float], ...]]:
    """The regions to be scored, by recording, from a NIST UEM file. Raises Unreadable or Misconfigured."""
    parse = scoring_package("meeteval.io.uem").UEMLine.parse
    found: dict[str, tuple[tuple[float, float], ...]] = {}
    for number, line in _numbered(_text(path)):
        with _located(f"{path}: line {number}"):
            row, _ = _parse_line(parse, line, _UEM)
            region = (_seconds(row.begin_time), _seconds(row.end_time))
        name = unicodedata.normalize("NFC", row.filename)
        found[name] = (*found.get(name, ()), region)
    if not found:
        raise Unreadable(f"{path}: no region in this file.")
    return found


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise Unreadable(f"{path}: no such file.")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise Unreadable(f"{path}: {size // 2**20} MB is too large for a transcript.")
        data = path.read_bytes()
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror or 'cannot be read'}.") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8.") from None
    if "\0" in text:
        raise Unreadable(f"{path}: not text (it holds zero bytes).")
    return text


def _numbered(text: str) -> Iterator[tuple[int, str]]:
    # Not splitlines(): it also cuts at characters that may stand in a transcript, such as U+2028.
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith(";"):
            yield number, stripped


@contextmanager
def _located(place: str) -> Iterator[None]:
    try:
        yield
    except Unreadable as error:
        raise type(error)(f"{place}: {error}") from None


def _parse_line(parse: Callable[..., Any], line: str, form: str) -> tuple[Any, str]:
    """What meeteval reads in `line`, and the channel, which stands before `start` in `form`.

    meeteval 0.4.3 refuses lines whose channel is a letter and whose start is a whole number (`call A 0 1`),
    so it is shown another channel.
    """
    place = form.split().index("channel")
    fields = line.split(maxsplit=place + 1)
    channel = fields[place] if place < len(fields) else ""
    try:
        return parse(" ".join([*fields[:place], "0", *fields[place + 1 :]]), parse_float=float), channel
    # meeteval checks with assert, and passes on what int() and unpacking raise
    except (ValueError, AssertionError, IndexError, TypeError):
        raise Unreadable(f"not of the form `{form}`.") from None


def _sessions(
    found: dict[str, list[Segment]], *, text: bool = True, speakers: bool = True
) -> tuple[Session, ...]:
    if not found:
        empty = Session(session_id=None, segments=(), has_text=text, has_speakers=speakers, has_times=True)
        return (empty,)
    return tuple(
        Session(
            session_id=name,
            segments=tuple(segments),
            has_text=text,
            has_speakers=speakers and any(segment.speaker is not None for segment in segments),
            has_times=all(segment.start is not None for segment in segments),
        )
        for name, segments in found.items()
    )


def _stm(text: str) -> tuple[Session, ...]:
    parse = scoring_package("meeteval.io.stm").STMLine.parse
    found: dict[str, list[Segment]] = {}
    for number, line in _numbered(text):
        with _located(f"line {number}"):
            row, _ = _parse_line(parse, line, _STM)
            start, end = _span(row.begin_time, row.end_time)
        segments = found.setdefault(row.filename, [])
        words = _STM_LABEL.sub("", row.transcript)
        if words.strip().lower() not in _STM_NO_SPEECH and row.speaker_id != "inter_segment_gap":
            segments.append(Segment(speaker=_speaker(row.speaker_id), start=start, end=end, text=words))
    return _sessions(found)


def _ctm(text: str) -> tuple[Session, ...]:
    """CTM has no speakers; where a recording has several channels, as telephone calls do, they stand in."""
    parse = scoring_package("meeteval.io.ctm").CTMLine.parse
    found: dict[str, list[Segment]] = {}
    for number, line in _numbered(text):
        with _located(f"line {number}"):
            row, channel = _parse_line(parse, line, _CTM)
            start, end = _span(row.begin_time, _seconds(row.begin_time) + _seconds(row.duration))
        segment = Segment(speaker=channel, start=start, end=end, text=row.word)
        found.setdefault(row.filename, []).append(segment)
    if not found:
        return _sessions(found, speakers=False)
    return tuple(
        session
        for name, segments in found.items()
        for session in _sessions(
            {name: segments}, speakers=len({segment.speaker for segment in segments}) > 1
        )
    )


def _rttm(text: str) -> tuple[Session, ...]:
    parse = scoring_package("meeteval.io.rttm").RTTMLine.parse
    found: dict[str, list[Segment]] = {}
    for number, line in _numbered(text):
        kind = line.split(maxsplit=1)[0]
        # Other record types (SPKR-INFO, LEXEME, NON-SPEECH...) say nothing about who speaks when.
        if kind in _RTTM_OTHER:
            continue
        with _located(f"line {number}"):
            row, _ = _parse_line(parse, line, _RTTM)
            if kind != "SPEAKER":
                raise Unreadable(f"not of the form `{_RTTM}`.")
            start, end = _span(row.begin_time, _seconds(row.begin_time) + _seconds(row.duration))
        segment = Segment(speaker=_speaker(row.speaker_id), start=start, end=end, text=None)
        found.setdefault(row.filename, []).append(segment)
    return _sessions(found, text=False)


def _plain(text: str) -> tuple[Session, ...]:
    words = Segment(speaker=None, start=None, end=None, text=text)
    return (Session(session_id=None, segments=(words,), has_text=True, has_speakers=False, has_times=False),)


def _json(text: str) -> tuple[Session, ...]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable("not valid JSON.") from None
    if isinstance(found, list):
        if found and not (isinstance(found[0], dict) and "session_id" in found[0]):
            raise NoTranscript("a JSON list, but not of SegLST segments (session_id, speaker, words...).")
        return _seglst(found)
    if isinstance(found, dict):
        for key in ("utterances", "segments"):
            if isinstance(found.get(key), list):
                return (_document(found[key], found.get("name")),)
    raise NoTranscript("JSON without `utterances` and no SegLST list: not a transcript.")


def _seglst(rows: list[Any]) -> tuple[Session, ...]:
    # meeteval's own loader needs simplejson, which it does not install, and would add nothing: SegLST is the
    # list that JSON gives.
    found: dict[str, list[Segment]] = {}
    for number, row in enumerate(rows, start=1):
        with _located(f"segment {number}"):
            session_id = str(_object(row).get("session_id") or "").strip()
            if not session_id:
                raise Unreadable("no session_id.")
            start, end = _span(row.get("start_time"), row.get("end_time"))
            segment = Segment(
                speaker=_speaker(row.get("speaker")), start=start, end=end, text=_spoken(row, "words")
            )
        found.setdefault(session_id, []).append(segment)
    return _sessions(found)


def _object(row: object) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise Unreadable("not an object.")
    return row


def _spoken(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise Unreadable(f"`{key}` is not text.")
    return value


def _document(rows: list[Any], name: object) -> Session:
    """Our own JSON, read by its structure, so that transcripts of every schema version can be scored.

    The recording's file name without its ending is the session, as in the SegLST that we write.
    """
    segments = []
    for number, row in enumerate(rows, start=1):
        with _located(f"utterance {number}"):
            words = _timed_words(_object(row).get("words"))
            spoken = " ".join(word for _, _, word in words)
            if "text" in row or not words:
                spoken = _spoken(row, "text")
            start, end = _span(row.get("start"), row.get("end"))
            speaker = _speaker(row.get("speaker"))
        segments.append(Segment(speaker=speaker, start=start, end=end, text=spoken, words=words))
    return Session(
        session_id=PurePosixPath(name).stem.strip() or None if isinstance(name, str) else None,
        segments=tuple(segments),
        has_text=True,
        # An unlabelled utterance among labelled ones is a speaker nobody knows; a file that never has the
        # key was made without diarization.
        has_speakers=not rows or any("speaker" in row for row in rows),
        has_times=all(segment.start is not None for segment in segments),
    )


def _timed_words(rows: object) -> tuple[tuple[float, float, str], ...]:
    """The words, if each of them has a time; else nothing, and the utterance's text is used."""
    if not isinstance(rows, list):
        return ()
    words = []
    for row in rows:
        if not isinstance(row, dict):
            return ()
        text = row.get("text", row.get("word"))
        start, end = _span(row.get("start"), row.get("end"))
        if start is None or end is None or not isinstance(text, str):
            return ()
        words.append((start, end, text))
    return tuple(words)


_READERS: dict[str, Callable[[str], tuple[Session, ...]]] = {
    ".json": _json,
    ".seglst": _json,
    ".stm": _stm,
    ".ctm": _ctm,
    ".rttm": _rttm,
    ".txt": _plain,
}
