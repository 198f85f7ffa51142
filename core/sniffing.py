"""What a file is by its own bytes, before any decoder sees it.

Nothing here trusts a name, a media type or a length field: lengths are only ever compared with the number of
bytes that are there, to tell a cut file from a whole one. Every walk is bounded.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from core.refusals import Refusal

HEAD_BYTES = 65536
"""How much of a file's beginning `refusal` wants to see."""

_PAGE_BYTES = 4096  # of a web page, within which it says so
_MAX_BOXES = 10_000
_MAX_LINKS = 1000
_MAX_INDEX_BYTES = 64 * 2**20
_BOXES = frozenset(
    b"ftyp moov mdat free skip wide udta uuid meta styp sidx ssix moof mfra pnot emsg prft pdin".split()
)
_UNKNOWN_SIZES = frozenset({0, 0x7FFFFFFF, 0x80000000})

# None of these patterns steps back: a file of comments would keep one that does for ever.
_PAGE = re.compile(
    rb"\s*+(?:<!--(?>.*?-->)\s*+)*+<(?:!doctype\s+html|html|head)\b", re.IGNORECASE | re.DOTALL
)
_MARKUP = re.compile(
    rb"\s*+(?:<!--(?>.*?-->)\s*+|<\?xml[^>]*+>\s*+)*+<(!doctype\s+html|html|head|body|script|title|meta)\b",
    re.IGNORECASE | re.DOTALL,
)
_PLAYLIST = re.compile(
    rb"\s*(#EXTM3U|\[playlist\]|ffconcat\s|v=0\s*\no=|<\?xml[^>]*>\s*<(MPD|playlist|smil)|<(MPD|smil|asx|playlist)\b"
    rb"|\[Reference\]|(https?|rtsp|mms|rtmp|file)://\S+\s*$)",
    re.IGNORECASE,
)
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*", b"8BPS")
_PICTURE_BRANDS = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis")
_ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06", b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b\x08", b"BZh",
             b"\xfd7zXZ\x00", b"(\xb5/\xfd")  # fmt: skip
_DOCUMENTS = (b"%PDF-", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"{\\rtf")
_OFFICE = re.compile(
    rb"(word|xl|ppt)/|mimetypeapplication/vnd\.oasis|\[Content_Types\]\.xml|mimetypeapplication/epub"
)

_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_ENCRYPTED = (
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
)


def refusal(head: bytes) -> Refusal | None:
    """Why a file beginning with `head` is certainly no recording; None if it may be one."""
    if not head:
        return Refusal.EMPTY
    return _refusal_by_magic(head) or _refusal_of_text(head)


def is_page(head: bytes) -> bool:
    """Whether a download begins as a web page does, which servers send in the place of a file."""
    return _PAGE.match(head[:_PAGE_BYTES]) is not None


def _refusal_by_magic(head: bytes) -> Refusal | None:
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    if head.startswith(_PICTURES) or webp or (head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS):
        return Refusal.PICTURE
    if head.startswith(_DOCUMENTS):
        return Refusal.DOCUMENT
    if head.startswith(_ARCHIVES):
        return Refusal.DOCUMENT if head[:2] == b"PK" and _OFFICE.search(head) else Refusal.ARCHIVE
    return None


def _refusal_of_text(head: bytes) -> Refusal | None:
    # The frames of an AMR file can be printable characters.
    text = None if head.startswith(b"#!AMR") else _as_text(head)
    if text is None:
        return None
    if _PLAYLIST.match(text):
        return Refusal.PLAYLIST
    return Refusal.WEB_PAGE if _MARKUP.match(text) else Refusal.TEXT


def _as_text(head: bytes) -> bytes | None:
    """`head` as UTF-8 if it is text, else None. A character cut off at the end does not count against it."""
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"", "utf-8")):
        if not head.startswith(mark):
            continue
        usable = head[len(mark) : len(head) - (len(head) - len(mark)) % 2] if mark else head
        try:
            text = usable.decode(encoding)
        except UnicodeDecodeError as error:
            if mark or error.reason != "unexpected end of data" or len(head) < HEAD_BYTES:
                continue
            text = usable[: error.start].decode(encoding)
        if not any(ord(character) < 32 and character not in "\t\n\r\f\x1b" for character in text):
            return text.removeprefix("\ufeff").encode()
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """What the container says about its own extent.

    `declared_bytes` is the file size that it needs (0: it doesn't say). `declared_seconds` is a length that
    its writer counted exactly (0: unknown). `lacks_index` means that the part without which it can't be
    played is missing. `protected` means encrypted for one player. `known`: the bytes are some container's.
    """

    declared_bytes: int = 0
    declared_seconds: float = 0.0
    lacks_index: bool = False
    protected: bool = False
    known: bool = True


def structure(file: BinaryIO, size: int) -> Structure:
    """Read the outline of the container in `file`, which holds `size` bytes."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    try:
        return _structure(file, head, size)
    except (struct.error, IndexError):  # the outline itself is cut off
        return Structure(declared_bytes=size + 1)


def _structure(file: BinaryIO, head: bytes, size: int) -> Structure:
    found = Structure(known=head[:4] in (b"OggS", b"wvpk") or head[:3] == b"ID3" or head[:5] == b"#!AMR")
    if head[4:8] in _BOXES:
        found = _mp4(file, size)
    elif head[:4] in (b"RIFF", b"FORM", b"RF64") and head[8:12] in (b"WAVE", b"AVI ", b"AIFF", b"AIFC"):
        found = Structure(declared_bytes=_chunked(head))
    elif head[:4] == b"\x1aE\xdf\xa3":
        found = Structure(declared_bytes=_matroska(head))
    elif head.startswith(_ASF):
        found = _asf(head)
    elif head[:4] == b"fLaC":
        rate = int.from_bytes(head[18:21], "big") >> 4
        samples = int.from_bytes(head[21:26], "big") & (2**36 - 1)
        found = Structure(declared_seconds=samples / rate if rate else 0.0)
    elif declared := _xing(file, head):
        found = Structure(declared_bytes=declared)
    return found


def _mp4(file: BinaryIO, size: int) -> Structure:
    position = declared = 0
    kinds: set[bytes] = set()
    protected = False
    for _ in range(_MAX_BOXES):
        file.seek(position)
        header = file.read(16)
        if len(header) < 8 or header[4:8] not in _BOXES:
            break
        length, kind = struct.unpack(">I4s", header[:8])
        if length == 1:
            length = struct.unpack(">Q", header[8:16])[0]
        elif length == 0:
            length = size - position
        if length < 8:
            break
        kinds.add(kind)
        if kind == b"ftyp":
            protected |= header[8:12] in (b"aax ", b"aaxc")
        if kind == b"moov":
            file.seek(position)
            index = file.read(min(length, _MAX_INDEX_BYTES))
            protected |= re.search(rb"sinf.{4}frma.{4}", index, re.DOTALL) is not None
        position += length
        if kind in (b"moov", b"mdat", b"moof"):
            declared = position
        if position >= size:
            break
    return Structure(declared_bytes=declared, lacks_index=b"moov" not in kinds, protected=protected)


def _chunked(head: bytes) -> int:
    """RIFF and AIFF: the end of the sound chunk, or of the outermost chunk of an AVI."""
    order = ">" if head[:4] == b"FORM" else "<"
    outer = struct.unpack(f"{order}I", head[4:8])[0]
    whole = 0 if outer in _UNKNOWN_SIZES or outer > 0x7FFFFFFF else 8 + outer
    if head[8:12] == b"AVI ":
        return whole
    position = 12
    while position + 8 <= len(head):
        kind, length = struct.unpack(f"{order}4sI", head[position : position + 8])
        if kind in (b"data", b"SSND"):
            # Recorders that stream leave 0 or the largest number there.
            return 0 if length in _UNKNOWN_SIZES or length > 0xFFFF0000 else position + 8 + length
        position += 8 + length + length % 2
    return whole


def _matroska(head: bytes) -> int:
    position = 4
    length, width = _vint(head, position)
    position += width + length
    if head[position : position + 4] != b"\x18\x53\x80\x67":
        return 0
    length, width = _vint(head, position + 4)
    unknown = length == 2 ** (7 * width) - 1
    return 0 if unknown else position + 4 + width + length


def _vint(data: bytes, position: int) -> tuple[int, int]:
    first = data[position]
    width = 9 - first.bit_length()
    if width > 8:
        raise IndexError
    return int.from_bytes(data[position : position + width], "big") & (2 ** (7 * width) - 1), width


def _asf(head: bytes) -> Structure:
    protected = any(mark in head for mark in _ASF_ENCRYPTED)
    at = head.find(_ASF_FILE)
    if at < 0:
        return Structure(protected=protected)
    declared = struct.unpack("<Q", head[at + 40 : at + 48])[0]
    broadcast = struct.unpack("<I", head[at + 88 : at + 92])[0] & 1
    return Structure(declared_bytes=0 if broadcast else declared, protected=protected)


def _xing(file: BinaryIO, head: bytes) -> int:
    """MP3: where the first frame's Xing tag says that the sound ends."""
    start = 0
    if head[:3] == b"ID3" and len(head) >= 10:
        start = 10 + sum(
            (byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)
        )
        file.seek(start)
        head = file.read(4096)
    if head[:1] != b"\xff" or head[1] & 0xE0 != 0xE0:
        return 0
    tag = re.search(rb"(?:Xing|Info)\x00\x00\x00([\x03\x07\x0b\x0f])(.{4})(.{4})", head[:4096], re.DOTALL)
    return start + int.from_bytes(tag[3], "big") if tag else 0


def ogg_links(file: BinaryIO, size: int) -> list[tuple[int, int]]:
    """The byte ranges of the streams that follow one another in a chained Ogg file (RFC 3533, section 4).

    A link starts at a page that begins a stream after pages that carried one on. Always covers the file.
    """
    starts = [0]
    carried_on = False
    for position, begins in _pages(file, size):
        if begins and carried_on and len(starts) < _MAX_LINKS:
            starts.append(position)
            carried_on = False
        carried_on |= not begins
    return list(zip(starts, [*starts[1:], size], strict=True))


def _pages(file: BinaryIO, size: int) -> Iterator[tuple[int, bool]]:
    position = 0
    while position < size:
        file.seek(position)
        header = file.read(27 + 255)
        if header[:4] != b"OggS" or len(header) < 27:
            file.seek(position)
            found = file.read(HEAD_BYTES).find(b"OggS", 1)
            if found < 0:
                return
            position += found
            continue
        yield position, bool(header[5] & 2)
        position += 27 + header[26] + sum(header[27 : 27 + header[26]])
