"""What a file is by its own bytes."""

from __future__ import annotations

import io
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import sniffing
from core.refusals import Refusal, clock, spoken_length
from core.sniffing import HEAD_BYTES, ogg_links, refusal, structure

CAF_AND_FRIENDS = [b"caff\x00\x01\x00\x00", b"ID3\x03\x00\x00", b"OggS\x00\x02\x00", b"fLaC\x00\x00\x00\x22"]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"", Refusal.EMPTY),
        (b"<!DOCTYPE html><html><head><title>Sign in", Refusal.WEB_PAGE),
        (b"\xef\xbb\xbf  \n<HTML lang=de>", Refusal.WEB_PAGE),
        (b"<!-- saved from url -->\n<html>", Refusal.WEB_PAGE),
        ("<!doctype html>".encode("utf-16"), Refusal.WEB_PAGE),
        (b'<?xml version="1.0"?>\n<html xmlns="x">', Refusal.WEB_PAGE),
        (b'{"error": "invalid_grant"}', Refusal.TEXT),
        ("Привет, это не запись".encode(), Refusal.TEXT),
        (b"#EXTM3U\nhttp://127.0.0.1/a.ts\n", Refusal.PLAYLIST),
        (b"[playlist]\nFile1=/etc/passwd\n", Refusal.PLAYLIST),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", Refusal.PLAYLIST),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", Refusal.PLAYLIST),
        (b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011">', Refusal.PLAYLIST),
        (b"https://example.org/recording.mp3\n", Refusal.PLAYLIST),
        (b"%PDF-1.7\n\xe2\xe3", Refusal.DOCUMENT),
        (b"PK\x03\x04\x14\x00\x06\x00[Content_Types].xml", Refusal.DOCUMENT),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Refusal.DOCUMENT),
        (b"PK\x03\x04\x14\x00\x00\x00meeting.mp3", Refusal.ARCHIVE),
        (b"Rar!\x1a\x07\x01\x00", Refusal.ARCHIVE),
        (b"\x89PNG\r\n\x1a\n\x00", Refusal.PICTURE),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", Refusal.PICTURE),
        (b"RIFF\x00\x10\x00\x00WEBPVP8 ", Refusal.PICTURE),
        (b"\x00\x00\x00\x18ftypheic", Refusal.PICTURE),
        (b"#!AMR\n||||||||||||", None),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", None),
        (b"\x00\x00\x00\x18ftypM4A ", None),
        *[(head, None) for head in CAF_AND_FRIENDS],
    ],
)
def test_what_is_no_recording_is_named(head: bytes, expected: Refusal | None) -> None:
    assert refusal(head) is expected


def test_a_character_cut_at_the_end_of_the_window_is_still_text() -> None:
    assert refusal(b"x" * (HEAD_BYTES - 1) + "é".encode()[:1]) is Refusal.TEXT


@given(st.binary(max_size=400))
def test_no_bytes_break_it(data: bytes) -> None:
    refusal(data)
    outline = structure(io.BytesIO(data), len(data))
    assert outline.declared_bytes >= 0
    links = ogg_links(io.BytesIO(data), len(data))
    assert links[0][0] == 0
    assert links[-1][1] == len(data)
    assert all(end == start for (_, end), (start, _) in pairwise(links))


@given(
    st.sampled_from([b"\x00\x00\x00\x10ftyp", b"RIFF\xff\xff\xff\x7fWAVE", b"FORM\x00\x00\x01\x00AIFF",
                     b"\x1aE\xdf\xa3", b"fLaC", b"ID3\x04\x00\x00", b"\xff\xfb", b"OggS",
                     bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")]),
    st.binary(max_size=400),
)  # fmt: skip
def test_no_outline_breaks_it(magic: bytes, rest: bytes) -> None:
    data = magic + rest
    outline = structure(io.BytesIO(data), len(data))
    assert outline.declared_bytes >= 0
    assert outline.declared_seconds >= 0


def box(kind: bytes, content: bytes = b"", *, length: int | None = None) -> bytes:
    return struct.pack(">I4s", 8 + len(content) if length is None else length, kind) + content


def test_mp4_without_an_index() -> None:
    data = box(b"ftyp", b"M4A \x00\x00\x00\x00") + box(b"mdat", bytes(100))
    assert structure(io.BytesIO(data), len(data)).lacks_index


def test_mp4_cut_within_its_sound() -> None:
    data = (
        box(b"ftyp", b"M4A \x00\x00\x00\x00") + box(b"moov", bytes(50)) + box(b"mdat", bytes(9), length=1000)
    )
    outline = structure(io.BytesIO(data), len(data))
    assert outline.declared_bytes == len(data) - 17 + 1000
    assert not outline.lacks_index


def test_mp4_with_junk_behind_it_is_whole() -> None:
    data = box(b"ftyp", b"M4A \x00\x00\x00\x00") + box(b"moov", bytes(50)) + b"\x7f\xff\xff\xffJUNKjunk"
    assert structure(io.BytesIO(data), len(data)).declared_bytes <= len(data)


@pytest.mark.parametrize("entry", [b"drms", b"enca"])
def test_copy_protection_in_mp4(entry: bytes) -> None:
    sound = box(entry, bytes(28) + box(b"sinf", box(b"frma", b"mp4a")))
    data = box(b"ftyp", b"M4P \x00\x00\x00\x00") + box(b"moov", box(b"trak", sound))
    assert structure(io.BytesIO(data), len(data)).protected


def test_copy_protection_in_windows_media() -> None:
    data = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(14)
    data += bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e") + bytes(40)
    assert structure(io.BytesIO(data), len(data)).protected


@pytest.mark.parametrize("length", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_wav_from_a_recorder_that_streams_declares_nothing(length: int) -> None:
    data = b"RIFF" + struct.pack("<I", length) + b"WAVEdata" + struct.pack("<I", length) + bytes(64)
    assert structure(io.BytesIO(data), len(data)).declared_bytes == 0


def test_matroska_that_was_being_written_declares_nothing() -> None:
    data = b"\x1aE\xdf\xa3\x80" + b"\x18\x53\x80\x67" + b"\x01" + b"\xff" * 7 + bytes(20)
    assert structure(io.BytesIO(data), len(data)).declared_bytes == 0
    data = b"\x1aE\xdf\xa3\x80" + b"\x18\x53\x80\x67" + b"\x84" + bytes(4)
    assert structure(io.BytesIO(data), len(data)).declared_bytes == len(data)


def page(*, begins: bool, size: int = 10) -> bytes:
    return b"OggS\x00" + (b"\x02" if begins else b"\x00") + bytes(20) + b"\x01" + bytes([size]) + bytes(size)


def test_ogg_chains_are_cut_where_a_new_stream_begins() -> None:
    link = page(begins=True) + page(begins=True) + page(begins=False) * 3
    junk = b"\x00" * 7
    data = link + junk + link + link
    starts = [0, len(link) + 7, 2 * len(link) + 7]
    assert ogg_links(io.BytesIO(data), len(data)) == list(zip(starts, [*starts[1:], len(data)], strict=True))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(43200, "12 hours"), (5400, "1 hour 30 minutes"), (1, "1 second"), (0.2, "1 second")],
)
def test_lengths_as_people_say_them(seconds: float, expected: str) -> None:
    assert spoken_length(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(7, "0:07"), (192, "3:12"), (3792.4, "1:03:12"), (90000, "25:00:00")]
)
def test_positions_as_players_show_them(seconds: float, expected: str) -> None:
    assert clock(seconds) == expected


def test_every_refusal_says_what_to_do_in_plain_words() -> None:
    jargon = ("codec", "moov", "stream", "pyav", "ffmpeg", "error")
    for reason in Refusal:
        message = str(reason.rejected(limit="12 hours"))
        assert "lease" in message  # "please", "Please"
        assert "{" not in message
        assert "/" not in message
        assert not any(word in message.lower() for word in jargon)


def test_a_page_of_comments_takes_no_time() -> None:
    # With a pattern that steps back, each two comments more took four times as long: this would not end.
    assert not sniffing._MARKUP.match(b"<!-- -->" * 500 + b"<p")
    assert sniffing._MARKUP.match(b" <!-- a --> <?xml version='1.0'?> <!-- b -->\n<html")
