"""Encoding a stretch of decoded audio for a vendor, on the child process's side."""

from __future__ import annotations

import av

from core.engines import pcm

_BLOCK = 20 * pcm.RATE  # samples in memory at once


def encode(*, path: str, start: float, end: float, into: str, codec: str, options: dict[str, str]) -> int:
    """Write `start` to `end` seconds of decoded audio to the new file `into`; its size in bytes.

    The container follows from the file's suffix. Nothing of the original file's metadata is in it. Raises
    ValueError if `path` is not 16 kHz mono 16-bit PCM, OSError if the disk is full.
    """
    with av.open(into, "w") as target:
        stream = target.add_stream(codec, rate=pcm.RATE, layout="mono", options=options)
        if not isinstance(stream, av.AudioStream):
            raise TypeError(f"{codec} is no audio codec")
        done = 0
        at = start
        while at < end:
            samples = pcm.read(path, at, min(end, at + _BLOCK / pcm.RATE))
            if not len(samples):
                break
            frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate = pcm.RATE
            frame.pts = done
            target.mux(stream.encode(frame))
            done += len(samples)
            at += len(samples) / pcm.RATE
        target.mux(stream.encode(None))
    with open(into, "rb") as written:  # noqa: PTH123  (a string from the other side)
        return written.seek(0, 2)
