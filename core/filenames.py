"""File names in watched folders: which are recordings, which are ours, and what outputs are called. Pure.

Names come from strangers. What leaves here is always a single path component that keeps clear of the limit
of 255 bytes which nearly all file systems share.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping

from core.registry import FORMATS

TEMPORARY_PREFIX = ".erni-audio-"
TEMPORARY_SUFFIX = ".tmp"

MEDIA_SUFFIXES = frozenset(
    """
    3ga aa aac aax ac3 adts aif aifc aiff alac amr ape au awb caf dct ds2 dss dts eac3 flac gsm m4a m4b m4p
    m4r mka mp1 mp2 mp3 mpa mpc mpga msv oga ogg oma opus qcp ra rf64 snd spx tta voc vox w64 wav wave weba
    wma wv
    3g2 3gp 3gpp 3gpp2 amv asf avi divx dv dvf f4v flv m2p m2ts m4v mkv mov mp4 mpe mpeg mpg mts mxf nsv ogm
    ogv qt rm rmvb ts vob webm wmv wtv
    """.split()  # noqa: SIM905  (a table of eighty words reads best as words)
)
"""What people's recorders, phones, cameras, meeting and telephone systems write, audio then video."""

PARTIAL_SUFFIXES = (
    ".part",
    ".partial",
    ".crdownload",
    ".download",
    ".opdownload",
    ".filepart",
    ".tmp",
    ".temp",
    ".!ut",
    ".!qb",
    ".bc!",
    ".aria2",
    ".ytdl",
    ".crswap",
    ".dropboxtmp",
    "~",
)
"""A file that ends so, or that has a neighbour called like it with one of these added, is still arriving:
browsers, torrent clients, aria2 and yt-dlp (control files beside the real name), WinSCP."""

_SOUNDLESS = frozenset(
    {"audio/mid", "audio/midi", "audio/x-midi", "audio/mpegurl", "audio/x-mpegurl", "audio/x-scpls"}
)
_SKIPPED_FOLDERS = frozenset({"@eadir", "#recycle", "#snapshot", "$recycle.bin", "system volume information"})
_PREFIXES = (".", "~$", "~syncthing~", ".syncthing.")
_BASE_BYTES = (
    200  # leaves 55 for the longest ending, ".transcript-error (999).txt", and for the suffix of tools
)
_USUAL = 300  # letters, of which any row is sorted in no time
_MOST_MARKS = 30  # on one letter
_JOINER = "\u034f"  # takes no space, and belongs to no row
_OUTPUT = re.compile(
    r".+\.(?:transcript(?: \(\d+\))?\.(?:{})|transcript-error(?: \(\d+\))?\.txt)".format(
        "|".join(re.escape(entry.suffix) for entry in FORMATS.values())
    ),
    re.IGNORECASE | re.DOTALL,
)


def is_output(name: str) -> bool:
    """Whether we write files of this name: transcripts, notes of failures, temporary files."""
    return name.startswith(TEMPORARY_PREFIX) or _OUTPUT.fullmatch(name) is not None


def stem(name: str) -> str:
    """A name without its ending, if that is one of media: titles may have dots too."""
    before, _, suffix = name.rpartition(".")
    return before if before and suffix.lower() in MEDIA_SUFFIXES else name


def is_recording(name: str, media_type: str | None = None) -> bool:
    """Whether a file of this name is to be transcribed once it is complete. Where the platform tells a
    `media_type` of sound or video, the name need not end like one."""
    by_type = _is_media(media_type) and not name.lower().endswith(PARTIAL_SUFFIXES)
    return (
        bool(name)
        and (by_type or stem(name) != name)
        and not name.startswith(_PREFIXES)
        and not is_output(name)
    )


def _is_media(media_type: str | None) -> bool:
    """Whether it is the type of what may be heard, rather than of notes or a list of files."""
    plain = (media_type or "").partition(";")[0].strip().lower()
    return plain.startswith(("audio/", "video/")) and plain not in _SOUNDLESS


def is_watched_folder(name: str) -> bool:
    """Whether to look into a folder of this name: not hidden, no recycle bin, no thumbnails."""
    return not name.startswith(".") and name.lower() not in _SKIPPED_FOLDERS


def is_watched(path: str, media_type: str | None = None) -> bool:
    """Whether the file at a relative path is a recording in a place that is looked into. `media_type`: see
    `is_recording`."""
    *folders, name = path.split("/")
    if "\0" in path or not is_recording(name, media_type):
        return False
    return all(is_watched_folder(folder) for folder in folders)


def is_arriving(name: str, neighbour: Callable[[str], bool]) -> bool:
    """Whether `neighbour` knows a file that marks `name` as incomplete."""
    return any(neighbour(name + suffix) for suffix in PARTIAL_SUFFIXES)


def valid_name(name: str) -> str:
    """A name without what JSON can say and UTF-8 can't, which neither the store nor a file system takes."""
    return name.encode("utf-8", "replace").decode()


def display_name(name: str) -> str:
    """A file name as text for people: valid Unicode in its usual composition, without control characters."""
    text = os.fsencode(name).decode("utf-8", "replace")
    return _printable(_composed(text), " ").strip() or "recording"


def family(name: str) -> str:
    """What files have in common that would share output names, also where case or accents don't count."""
    return folded(stem(name))


def output_base(name: str, shared: bool) -> str:
    """What the names of a recording's outputs begin with: its name without the extension of media.

    `shared` says that another recording in the folder has the same `family`: then the extension stays, so
    that `a.mp3` and `a.wav` keep their transcripts apart.
    """
    wanted = name if shared else stem(name)
    base = _printable(wanted.replace("/", "_"), "_")
    if base == wanted and len(os.fsencode(base)) <= _BASE_BYTES:
        return base
    tag = "~" + hashlib.sha256(os.fsencode(wanted)).hexdigest()[:8]
    base = base[:_BASE_BYTES]  # a letter is a byte at least
    while len(os.fsencode(base + tag)) > _BASE_BYTES:
        base = base[:-1]
    return base + tag


def output_names(base: str, suffixes: Iterable[str], number: int = 1) -> Mapping[str, str]:
    """Suffix -> file name, for set `number` of a recording's transcripts."""
    return {suffix: f"{base}.transcript{_numbered(number)}.{suffix}" for suffix in suffixes}


def note_name(base: str, number: int = 1) -> str:
    """What the note is called that says why there is no transcript."""
    return f"{base}.transcript-error{_numbered(number)}.txt"


def _numbered(number: int) -> str:
    return "" if number == 1 else f" ({number})"


def folded(name: str) -> str:
    """The name as file systems see it for which case and the composition of accents don't count."""
    return _composed(_composed(name).casefold())


def _composed(text: str) -> str:
    """In NFC. To sort a row of marks takes the square of its length: longer rows than any language has are
    parted first, as Unicode's Stream-Safe Text Format does it (UAX 15), so that none are lost."""
    if len(text) > _USUAL:
        parts, row = [], 0
        for char in text:
            row = row + 1 if unicodedata.combining(char) else 0
            if row > _MOST_MARKS:
                parts.append(_JOINER)
                row = 1
            parts.append(char)
        text = "".join(parts)
    return unicodedata.normalize("NFC", text)


def _printable(text: str, substitute: str) -> str:
    # Cf holds the marks that turn the direction of what follows, which would disguise an extension
    return "".join(substitute if unicodedata.category(char) in {"Cc", "Zl", "Zp"} else char for char in text)
