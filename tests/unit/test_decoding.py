"""Everything people share becomes 16 kHz mono WAV. Files are made by PyAV, so no ffmpeg is needed."""

from __future__ import annotations

import http.server
import io
import itertools
import struct
import tempfile
import threading
import wave
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from core import decoding
from core.child import Child
from core.errors import Rejected, Transient
from core.formats import CODECS, CONTAINERS, HEADERLESS, ending
from core.refusals import Refusal
from core.spool import RATE, Spool
from core.tracks import Merge, TrackFacts, choose, is_surround

Signal = npt.NDArray[np.float64]


def tone(seconds: float, rate: int, hertz: float = 300.0, level: float = 0.25) -> Signal:
    wave_form: Signal = np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)
    return level * wave_form


def talk(seconds: float, rate: int, seed: int) -> Signal:
    """Noise in the rhythm of speech."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.choice([0.0, 0.02, 0.1, 0.2], int(seconds * 6) + 1), rate // 6 + 1)
    noise: Signal = rng.normal(size=int(seconds * rate))
    return np.asarray(noise * level[: len(noise)])


def encode(
    container: str,
    codec: str,
    tracks: Sequence[Sequence[Signal]],
    rate: int,
    *,
    starts: Sequence[float] = (),
    languages: Sequence[str] = (),
    options: dict[str, str] | None = None,
) -> bytes:
    """A file with one track per element of `tracks`, each a list of channels, interleaved by time."""
    # A file with a name, because some muxers go back over what they wrote.
    with tempfile.NamedTemporaryFile() as file, av.open(file.name, "w", container, options or {}) as output:
        packets: list[list[Any]] = []
        for number, channels in enumerate(tracks):
            stream: Any = output.add_stream(codec, rate=rate)
            layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(channels)]
            stream.layout = layout
            stream.bit_rate = 64000 * len(channels) if "amr" not in codec else 12200
            formats = stream.codec_context.codec.audio_formats
            stream.format = formats[0].name if formats else "s16"
            if languages:
                stream.metadata["language"] = languages[number]
            samples = np.clip(np.stack(channels, axis=1), -1, 1) * 32767
            frame = av.AudioFrame.from_ndarray(samples.astype(np.int16).reshape(1, -1), "s16", layout)
            frame.sample_rate = rate
            frame.time_base = Fraction(1, rate)
            frame.pts = round((starts[number] if starts else 0) * rate)
            packets.append([*stream.encode(frame), *stream.encode(None)])
        merged = sorted(itertools.chain(*packets), key=lambda packet: float(packet.pts * packet.time_base))
        for packet in merged:
            output.mux(packet)
        output.close()
        return Path(file.name).read_bytes()


def decode(
    folder: Path, data: bytes, name: str = "recording", max_seconds: float = 100.0
) -> tuple[dict[str, Any], list[float]]:
    source = folder / "source"
    source.write_bytes(data)
    seen: list[float] = []
    return decoding.decode_file(str(source), str(folder), name, max_seconds, seen.append), seen


def read(path: str) -> Signal:
    with wave.open(path) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        assert Path(path).stat().st_size == 44 + 2 * file.getnframes()
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767


def pitch(signal: Signal) -> float:
    """The strongest frequency, hertz."""
    spectrum = np.abs(np.fft.rfft(signal))
    return float(np.argmax(spectrum)) * RATE / len(signal)


@pytest.mark.parametrize(
    ("container", "codec", "rate", "channels"),
    [
        ("wav", "pcm_s16le", 44100, 2),
        ("wav", "pcm_s24le", 96000, 2),
        ("wav", "pcm_u8", 11025, 1),
        ("wav", "pcm_f32le", 48000, 2),
        ("wav", "pcm_f64le", 48000, 1),
        ("wav", "pcm_mulaw", 8000, 1),
        ("wav", "pcm_alaw", 8000, 2),
        ("wav", "adpcm_ms", 22050, 1),
        ("wav", "adpcm_ima_wav", 22050, 1),
        ("wav", "adpcm_yamaha", 22050, 1),
        ("wav", "libmp3lame", 44100, 2),
        ("w64", "pcm_s16le", 48000, 2),
        ("mp3", "libmp3lame", 44100, 2),
        ("mp3", "libmp3lame", 16000, 1),
        ("mp2", "mp2", 48000, 2),
        ("adts", "aac", 44100, 1),
        ("latm", "aac", 48000, 2),
        ("ipod", "aac", 44100, 2),
        ("ipod", "alac", 48000, 2),
        ("mp4", "aac", 48000, 6),
        ("mp4", "libmp3lame", 48000, 2),
        ("mov", "aac", 48000, 2),
        ("mov", "pcm_s16be", 48000, 2),
        ("webm", "libopus", 48000, 1),
        ("matroska", "aac", 48000, 2),
        ("matroska", "flac", 48000, 2),
        ("matroska", "ac3", 48000, 2),
        ("ogg", "libopus", 48000, 2),
        ("ogg", "flac", 16000, 1),
        ("opus", "libopus", 16000, 1),
        ("flac", "flac", 48000, 2),
        ("asf", "wmav2", 44100, 2),
        ("asf", "wmav1", 44100, 1),
        ("3gp", "aac", 16000, 1),
        ("3gp", "libopencore_amrnb", 8000, 1),
        ("amr", "libopencore_amrnb", 8000, 1),
        ("caf", "pcm_s16be", 48000, 2),
        ("caf", "alac", 44100, 1),
        ("aiff", "pcm_s16be", 44100, 2),
        ("ac3", "ac3", 48000, 2),
        ("eac3", "eac3", 48000, 6),
        ("wv", "wavpack", 44100, 2),
        ("tta", "tta", 44100, 1),
        ("au", "pcm_mulaw", 8000, 1),
        ("mpegts", "aac", 48000, 2),
        ("mpeg", "mp2", 48000, 2),
        ("avi", "libmp3lame", 44100, 2),
        ("flv", "aac", 44100, 2),
        ("voc", "pcm_u8", 8000, 1),
        ("nut", "pcm_s16le", 16000, 1),
        ("rm", "ac3", 48000, 2),
    ],
)
def test_every_format(tmp_path: Path, container: str, codec: str, rate: int, channels: int) -> None:
    result, seen = decode(tmp_path, encode(container, codec, [[tone(1.5, rate)] * channels], rate))
    samples = read(result["path"])
    assert result["seconds"] == len(samples) / RATE == pytest.approx(1.5, abs=0.1)
    assert result["channels"] == []
    assert result["warnings"] == []
    assert pitch(samples) == pytest.approx(300, abs=3)
    # Six equal channels are raised as far as the peak allows, as if five of them had been silent.
    assert np.quantile(np.abs(samples), 0.9) == pytest.approx(0.65 if channels > 2 else 0.25, abs=0.1)
    assert seen == sorted(seen)
    assert seen[0] >= 0
    assert seen[-1] == 1.0


@pytest.mark.parametrize(("name", "rate"), [("call.sln", 8000), ("call.SLN16", 16000), ("call.ulaw", 8000)])
def test_telephone_recordings_without_a_header_are_known_by_their_ending(
    tmp_path: Path, name: str, rate: int
) -> None:
    codec = "pcm_mulaw" if name.endswith("ulaw") else "pcm_s16le"
    raw = encode("mulaw" if codec == "pcm_mulaw" else "s16le", codec, [[tone(1, rate)]], rate)
    result, _ = decode(tmp_path, raw, name)
    assert result["seconds"] == pytest.approx(1.0, abs=0.01)
    assert pitch(read(result["path"])) == pytest.approx(300, abs=3)
    with pytest.raises(Rejected, match="not a recording"):
        decode(tmp_path, raw, "call.bin")


def test_lists_name_real_formats_and_no_dangerous_ones() -> None:
    assert set(CONTAINERS) | {name for name, _ in HEADERLESS.values()} <= {
        part for name in av.formats_available for part in name.split(",")
    }
    known = CODECS & av.codecs_available
    assert len(known) > 100
    assert all(av.Codec(name, "r").type == "audio" for name in known)
    forbidden = """
        applehttp hls dash concat concatf sdp rtp rtsp sap image2 srt ass webvtt lrc tty lavfi tedcaptions imf
        smoothstreaming ffmetadata webm_dash_manifest data rawvideo
    """
    assert not set(CONTAINERS) & set(forbidden.split())


@pytest.fixture
def visits() -> Iterator[tuple[int, list[str]]]:
    """A local web server's port, and what was asked of it."""
    asked: list[str] = []

    class Visited(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *args: object) -> None: ...

    server = http.server.HTTPServer(("127.0.0.1", 0), Visited)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, asked
    server.shutdown()
    thread.join()
    server.server_close()


REFERENCES = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
    "<BaseURL>{target}</BaseURL></MPD>",
}


@pytest.mark.parametrize("kind", REFERENCES)
@pytest.mark.parametrize(
    "target", ["secret.wav", "file://{folder}/secret.wav", "http://127.0.0.1:{port}/x.ts"]
)
def test_a_file_can_not_make_us_open_another(
    tmp_path: Path, visits: tuple[int, list[str]], kind: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, asked = visits
    (tmp_path / "secret.wav").write_bytes(encode("wav", "pcm_s16le", [[tone(1, 16000)]], 16000))
    monkeypatch.chdir(tmp_path)
    text = REFERENCES[kind].format(target=target.format(folder=tmp_path, port=port))
    with pytest.raises(Rejected) as refused:
        decode(tmp_path, text.encode(), "meeting.mp3")
    assert refused.value.user_message == Refusal.PLAYLIST
    # The second wall, should a playlist ever pass for something else:
    monkeypatch.setattr("core.sniffing.refusal", lambda _: None)
    for name in ("meeting.mp3", "meeting.m3u8", f"meeting.{kind}"):
        with pytest.raises(Rejected):
            decode(tmp_path, text.encode(), name)
    assert asked == []
    assert not (tmp_path / "audio.wav").exists()


def test_pictures_are_not_decoded_and_no_hindrance(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        video: Any = output.add_stream("libx264", rate=5)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        audio: Any = output.add_stream("aac", rate=16000)
        audio.layout = "mono"
        for number in range(10):
            picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), number, np.uint8), "rgb24")
            picture.pts = number
            output.mux(video.encode(picture))
        output.mux(video.encode(None))
        sound = (tone(2, 16000) * 32767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(sound, "s16", "mono")
        frame.sample_rate = 16000
        output.mux(audio.encode(frame))
        output.mux(audio.encode(None))
    result, _ = decode(tmp_path, buffer.getvalue())
    assert result["seconds"] == pytest.approx(2.0, abs=0.15)


def test_callers_in_separate_channels_get_files_of_their_own(tmp_path: Path) -> None:
    left, right = talk(6, 48000, 1), talk(6, 48000, 2)
    result, _ = decode(tmp_path, encode("mp3", "libmp3lame", [[left, right]], 48000))
    assert [Path(path).name for path in result["channels"]] == ["channel-1.wav", "channel-2.wav"]
    mix, first, second = (read(path) for path in (result["path"], *result["channels"]))
    assert len(mix) == len(first) == len(second)
    assert np.abs(mix - (first + second) / 2).max() < 1e-3
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1


def test_channels_that_begin_alike_keep_their_common_beginning(tmp_path: Path) -> None:
    greeting = tone(2, 16000)
    left, right = np.append(greeting, talk(8, 16000, 1)), np.append(greeting, talk(8, 16000, 2))
    result, _ = decode(tmp_path, encode("wav", "pcm_s16le", [[left, right]], 16000))
    assert len(result["channels"]) == 2
    for path, expected in zip(result["channels"], (left, right), strict=True):
        assert np.abs(read(path) - np.clip(expected, -1, 1)).max() < 1e-3


@pytest.mark.parametrize(
    ("right", "loudness"), [(1.0, 0.25), (-1.0, 0.25), (0.0, 0.25)], ids=["same", "inverted", "dead"]
)
def test_the_mix_neither_cancels_nor_halves(tmp_path: Path, right: float, loudness: float) -> None:
    sound = tone(3, 16000)
    result, _ = decode(tmp_path, encode("wav", "pcm_s16le", [[sound, right * sound]], 16000))
    assert result["channels"] == []
    assert np.abs(read(result["path"])).max() == pytest.approx(loudness, abs=0.01)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audio.wav", "source"]


def test_surround_is_one_mix_that_does_not_clip(tmp_path: Path) -> None:
    silent = np.zeros(3 * 48000)
    centre = encode("wav", "pcm_s16le", [[silent, silent, talk(3, 48000, 1), silent, silent, silent]], 48000)
    result, _ = decode(tmp_path, centre)
    assert result["channels"] == []
    assert 0.2 < np.abs(read(result["path"])).max() <= 0.75
    result, _ = decode(tmp_path, encode("wav", "pcm_s16le", [[tone(3, 48000, level=1.0)] * 6], 48000))
    assert np.abs(read(result["path"])).max() <= 1.0


def test_system_sound_and_microphone_are_both_heard(tmp_path: Path) -> None:
    system, microphone = talk(6, 48000, 1), talk(6, 48000, 2)
    data = encode("matroska", "flac", [[system, system], [microphone]], 48000)
    result, _ = decode(tmp_path, data)
    assert len(result["channels"]) == 2
    assert result["seconds"] == pytest.approx(6.0, abs=0.05)


def test_of_two_languages_the_first_is_heard(tmp_path: Path) -> None:
    data = encode(
        "matroska", "flac", [[tone(3, 48000, 300)], [tone(3, 48000, 900)]], 48000, languages=("eng", "fre")
    )
    result, _ = decode(tmp_path, data)
    assert pitch(read(result["path"])) == pytest.approx(300, abs=3)


def test_a_track_that_starts_late_keeps_its_place_in_time(tmp_path: Path) -> None:
    data = encode("matroska", "flac", [[talk(6, 48000, 1)], [talk(2, 48000, 2)]], 48000, starts=(0.0, 3.0))
    result, _ = decode(tmp_path, data)
    late = read(result["channels"][1])
    assert len(late) == len(read(result["path"]))
    assert np.abs(late[: int(2.9 * RATE)]).max() == 0
    assert np.abs(late[3 * RATE : 5 * RATE]).max() > 0.05


def test_a_pause_of_the_recorder_is_silence_of_that_length(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        stream: Any = output.add_stream("pcm_s16le", rate=16000)
        stream.layout = "mono"
        for start in (0, 5):
            data = (tone(1, 16000) * 32767).astype(np.int16).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(data, "s16", "mono")
            frame.sample_rate, frame.time_base, frame.pts = 16000, Fraction(1, 16000), start * 16000
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    result, _ = decode(tmp_path, buffer.getvalue())
    samples = read(result["path"])
    assert result["seconds"] == pytest.approx(6.0, abs=0.05)
    assert np.abs(samples[int(1.1 * RATE) : int(4.9 * RATE)]).max() == 0
    assert np.abs(samples[int(5.1 * RATE) :]).max() > 0.2
    assert result["warnings"] == []


def test_chained_ogg_is_read_to_its_end(tmp_path: Path) -> None:
    parts = [encode("ogg", "libopus", [[tone(2, 48000, hertz)]], 48000) for hertz in (300, 600, 900)]
    result, seen = decode(tmp_path, b"".join(parts))
    samples = read(result["path"])
    assert result["seconds"] == pytest.approx(6.0, abs=0.1)
    for number, hertz in enumerate((300, 600, 900)):
        part = samples[int((2 * number + 0.5) * RATE) : int((2 * number + 1.5) * RATE)]
        assert pitch(part) == pytest.approx(hertz, abs=3)
    assert seen == sorted(seen)


def test_channels_may_change_within_a_chain(tmp_path: Path) -> None:
    stereo = encode("ogg", "flac", [[tone(2, 16000), tone(2, 16000, 500)]], 16000)
    mono = encode("ogg", "flac", [[tone(2, 16000)]], 16000)
    for chain in (stereo + mono, mono + stereo):
        result, _ = decode(tmp_path, chain)
        assert result["seconds"] == pytest.approx(4.0, abs=0.05)


@pytest.mark.parametrize(
    ("container", "codec", "options"),
    [("wav", "pcm_s16le", {}), ("mp4", "aac", {"movflags": "faststart"}), ("flac", "flac", {}),
     ("asf", "wmav2", {}), ("aiff", "pcm_s16be", {}), ("mp3", "libmp3lame", {})],
)  # fmt: skip
def test_a_cut_file_is_kept_with_a_warning_that_says_where(
    tmp_path: Path, container: str, codec: str, options: dict[str, str]
) -> None:
    sound = talk(10, 44100, 3)
    data = encode(container, codec, [[sound]], 44100, options=options)
    whole, _ = decode(tmp_path, data)
    assert whole["warnings"] == []
    result, _ = decode(tmp_path, data[: len(data) * 6 // 10])
    assert 4 <= result["seconds"] <= 8
    (warning,) = result["warnings"]
    assert f"up to 0:0{round(result['seconds'])}" in warning


def test_damage_in_the_middle_is_told_and_times_stay_right(tmp_path: Path) -> None:
    data = bytearray(encode("matroska", "flac", [[talk(10, 16000, 3)]], 16000))
    middle = len(data) // 2
    data[middle : middle + len(data) // 4] = bytes(len(data) // 4)
    result, _ = decode(tmp_path, bytes(data))
    assert result["seconds"] == pytest.approx(10.0, abs=0.3)
    (warning,) = result["warnings"]
    assert "missing" in warning


def test_a_length_in_a_header_alone_is_no_evidence(tmp_path: Path) -> None:
    data = bytearray(encode("mp4", "aac", [[tone(2, 48000)]], 48000))
    at = data.index(b"mvhd") + 4 + 16
    data[at : at + 4] = struct.pack(">I", 2**31)
    result, _ = decode(tmp_path, bytes(data))
    assert result["seconds"] == pytest.approx(2.0, abs=0.1)
    assert result["warnings"] == []


def wav(header: bytes, data: bytes) -> bytes:
    body = (
        b"WAVEfmt " + struct.pack("<I", len(header)) + header + b"data" + struct.pack("<I", len(data)) + data
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Refusal.EMPTY),
        (b"<html><body>Sign in</body></html>", Refusal.WEB_PAGE),
        (b"just some words", Refusal.TEXT),
        (bytes(range(256)) * 40, Refusal.UNKNOWN),
        (b"ID3\x03\x00\x00\x00\x00\x00\x00" + bytes(50), Refusal.DAMAGED),
        (wav(struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16), bytes(64000)), Refusal.SILENT),
        (wav(struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16), b"\x00\x40" * 800), Refusal.TOO_SHORT),
        (wav(struct.pack("<HHIIHH", 1, 1, 2**31, 2**32 - 1, 2, 16), b"\x00\x40" * 9000), Refusal.DAMAGED),
        (wav(struct.pack("<HHIIHH", 1, 1, 1, 2, 2, 16), b"\x00\x40" * 9000), Refusal.DAMAGED),
        (wav(struct.pack("<HHIIHH", 0xBEEF, 1, 16000, 32000, 2, 16), bytes(9000)), Refusal.UNKNOWN),
    ],
)  # fmt: skip
def test_what_can_not_be_heard_is_refused_with_a_reason(tmp_path: Path, data: bytes, reason: Refusal) -> None:
    with pytest.raises(Rejected) as refused:
        decode(tmp_path, data, "meeting.mp3")
    assert Refusal(refused.value.user_message) is reason


def test_a_file_that_points_beyond_all_bounds_reads_as_ended(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"0123456789")
    with (tmp_path / "x").open("rb") as file:
        window = decoding._Window(file, 2, 8)
        assert window.seek(2**63 - 5) == window.tell() == 2**63 - 5
        assert window.read(10) == b""
        assert window.seek(-2, io.SEEK_END) == 4
        assert window.read() == b"67"
        assert window.seek(-99) == 0
        assert window.read(3) == b"234"


def test_an_unfinished_mp4_is_told_from_a_cut_one(tmp_path: Path) -> None:
    data = encode("mp4", "aac", [[tone(3, 48000)]], 48000)
    with pytest.raises(Rejected) as refused:
        decode(tmp_path, data[: data.index(b"moov") - 4])
    assert Refusal(refused.value.user_message) is Refusal.CUT


def test_copy_protection_is_named(tmp_path: Path) -> None:
    data = encode("mp4", "aac", [[tone(3, 48000)]], 48000)
    at = data.index(b"esds") - 4
    guarded = data[:at] + struct.pack(">I4sI4s4s", 20, b"sinf", 12, b"frma", b"mp4a") + data[at:]
    with pytest.raises(Rejected) as refused:
        decode(tmp_path, guarded)
    assert Refusal(refused.value.user_message) is Refusal.PROTECTED


def test_a_video_without_sound_is_named(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        video: Any = output.add_stream("libx264", rate=5)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        output.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")))
        output.mux(video.encode(None))
    with pytest.raises(Rejected) as refused:
        decode(tmp_path, buffer.getvalue())
    assert Refusal(refused.value.user_message) is Refusal.NO_AUDIO


def test_longer_than_accepted_is_refused_while_decoding(tmp_path: Path) -> None:
    data = encode("ogg", "libopus", [[tone(10, 48000)]], 48000)
    with pytest.raises(Rejected, match="longer than 5 seconds") as refused:
        decode(tmp_path, data, max_seconds=5)
    assert "split" in refused.value.user_message
    assert (tmp_path / "audio.wav").stat().st_size < 44 + 2 * RATE * 7


def test_a_full_disk_is_not_the_recording_s_fault(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    (tmp_path / "audio.wav").symlink_to("/dev/full")
    with pytest.raises(Transient, match="written"):
        decode(tmp_path, encode("wav", "pcm_s16le", [[tone(3, 16000)]], 16000))


def test_a_loud_float_file_is_clipped_not_wrapped(tmp_path: Path) -> None:
    samples = (tone(2, 16000, level=4.0)).astype("<f4")
    samples[100:200] = np.nan
    samples[300] = np.inf
    result, _ = decode(tmp_path, wav(struct.pack("<HHIIHH", 3, 1, 16000, 64000, 4, 32), samples.tobytes()))
    heard = read(result["path"])
    assert np.abs(heard).max() == pytest.approx(1.0, abs=1e-3)
    assert pitch(heard) == pytest.approx(300, abs=3)


async def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    def recording(seconds: int) -> Path:
        path = tmp_path / f"{seconds}.wav"
        minute = encode("mulaw", "pcm_mulaw", [[talk(60, 8000, 4), talk(60, 8000, 5)]], 8000)
        header = struct.pack("<HHIIHH", 7, 2, 8000, 16000, 2, 8)
        with path.open("wb") as file:
            file.write(wav(header, b"")[:-4] + struct.pack("<I", seconds * 16000))
            for _ in range(seconds // 60):
                file.write(minute)
        return path

    peaks = []
    async with Child() as child:
        for seconds in (60, 900):
            arguments = {
                "source": str(recording(seconds)),
                "into": str(tmp_path),
                "announced_name": "call.wav",
                "max_seconds": 9999,
            }
            result = await child.call("core.decoding:decode_file", arguments)
            assert result["seconds"] == pytest.approx(seconds, abs=0.1)
            assert len(result["channels"]) == 2
            process = child._process
            assert process is not None
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            peaks.append(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")))
    assert peaks[1] - peaks[0] < 16 * 1024, peaks


def test_tracks_for_another_audience_are_left_out() -> None:
    tracks = [
        TrackFacts(index=1, language="eng"),
        TrackFacts(index=2, language="eng", special=True),
        TrackFacts(index=3, language="und"),
    ]
    assert choose(tracks) == (1, 3)
    assert choose([TrackFacts(index=2, special=True)]) == (2,)
    assert choose(
        [TrackFacts(index=1, language="ger"), TrackFacts(index=2, language="eng", default=True)]
    ) == (2,)
    assert len(choose([TrackFacts(index=index) for index in range(20)])) == 8


@pytest.mark.parametrize(
    ("layout", "channels", "expected"),
    [
        ("5.1", 6, True),
        ("7.1(wide)", 8, True),
        ("quad", 4, True),
        ("4 channels", 4, False),
        ("stereo", 2, False),
    ],
)
def test_surround_layouts(layout: str, channels: int, expected: bool) -> None:
    assert is_surround(layout, channels) is expected


def test_a_track_far_behind_does_not_hold_memory() -> None:
    merge = Merge([0, 1])
    emitted = sum(len(block) for _ in range(200) for block in merge.add(0, np.ones((RATE, 1), np.float32)))
    assert emitted >= 160 * RATE
    late = [block for _ in range(200) for block in merge.add(1, np.full((RATE, 1), 2, np.float32))]
    rest = [*late, *merge.finish()]
    assert emitted + sum(map(len, rest)) == 200 * RATE
    assert all((block[:, 1] == 2).all() for block in rest)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.MP3", "mp3"),
        ("no ending", ""),
        ("x.tar/../../etc", ""),
        ("a.b c", ""),
        ("a." + "x" * 99, ""),
        ("a.é", ""),
    ],
)
def test_endings(name: str, expected: str) -> None:
    assert ending(name) == expected


def test_the_spool_leaves_valid_files_when_decoding_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with Spool(tmp_path) as spool:
            spool.write(np.full((1000, 1), 0.5, np.float32))
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert len(read(str(tmp_path / "audio.wav"))) == 1000
