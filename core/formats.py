"""Which containers and sound codecs are decoded: what people share, and nothing that only games use.

The names are libavformat's and libavcodec's. Formats that are text, or that name other files (HLS, DASH,
concat, SDP, subtitles), are left out on purpose: a recording must not make us open anything else.
"""

from __future__ import annotations

_CONTAINER_NAMES = """
    aac ac3 eac3 aiff amr amrnb amrwb ape asf asf_o au avi caf dsf dss dts dtshd dv flac flv gxf iff
    ircam loas matroska mlp mov mp3 mpc mpc8 mpeg mpegts mxf nistsphere nut oma ogg qcp rm rso shn
    sox swf tak truehd tta voc w64 wav webm wtv wv xwma
"""
CONTAINERS = tuple(_CONTAINER_NAMES.split())
"""Demuxers that may recognise a file by its content."""

HEADERLESS: dict[str, tuple[str, dict[str, str]]] = {
    "al": ("alaw", {"sample_rate": "8000", "ch_layout": "mono"}),
    "alaw": ("alaw", {"sample_rate": "8000", "ch_layout": "mono"}),
    "g722": ("g722", {}),
    "gsm": ("gsm", {}),
    "pcma": ("alaw", {"sample_rate": "8000", "ch_layout": "mono"}),
    "pcmu": ("mulaw", {"sample_rate": "8000", "ch_layout": "mono"}),
    "sln": ("sln", {"sample_rate": "8000", "ch_layout": "mono"}),
    "sln16": ("sln", {"sample_rate": "16000", "ch_layout": "mono"}),
    "ul": ("mulaw", {"sample_rate": "8000", "ch_layout": "mono"}),
    "ulaw": ("mulaw", {"sample_rate": "8000", "ch_layout": "mono"}),
}
"""Telephone systems record files without any header: only the name's ending says what they are."""

_CODEC_NAMES = """
    aac aac_fixed aac_latm ac3 ac3_fixed adpcm_g722 adpcm_g726 adpcm_g726le adpcm_ima_qt
    adpcm_ima_wav adpcm_ms adpcm_swf adpcm_yamaha alac als amrnb amrwb ape atrac3 atrac3al
    atrac3plus atrac3plusal cook dca dsd_lsbf dsd_lsbf_planar dsd_msbf dsd_msbf_planar dss_sp dst
    dvaudio eac3 evrc flac g722 g723_1 g726 g726le g729 gsm gsm_ms ilbc libopencore_amrnb
    libopencore_amrwb libopus libspeex libvorbis mace3 mace6 mlp mp1 mp1float mp2 mp2float mp3
    mp3adu mp3adufloat mp3float mp3on4 mp3on4float mpc7 mpc8 nellymoser opus pcm_alaw pcm_bluray
    pcm_dvd pcm_f16le pcm_f24le pcm_f32be pcm_f32le pcm_f64be pcm_f64le pcm_lxf pcm_mulaw pcm_s16be
    pcm_s16be_planar pcm_s16le pcm_s16le_planar pcm_s24be pcm_s24le pcm_s24le_planar pcm_s32be
    pcm_s32le pcm_s32le_planar pcm_s64be pcm_s64le pcm_s8 pcm_s8_planar pcm_u16be pcm_u16le
    pcm_u24be pcm_u24le pcm_u32be pcm_u32le pcm_u8 qcelp qdm2 qdmc ra_144 ra_288 real_144 real_288
    s302m shorten sipr speex tak truehd truespeech tta vorbis wavpack wmalossless wmapro wmav1 wmav2
    wmavoice
"""
CODECS = frozenset(_CODEC_NAMES.split())
"""Decoders that may run."""


def ending(name: str) -> str:
    """The ending of a file name in lower case without its dot; empty if it has none or an odd one."""
    _, dot, last = name.strip().rpartition(".")
    last = last.lower()
    return last if dot and last.isascii() and last.isalnum() and len(last) <= 8 else ""
