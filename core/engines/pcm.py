"""Reading decoded audio (`core.model.Audio.path`) in pieces, so that memory does not grow with duration."""

from __future__ import annotations

import contextlib
import wave
from collections.abc import Iterator
from os import PathLike
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

RATE = 16000
"""Samples per second of all decoded audio."""

Samples: TypeAlias = npt.NDArray[np.int16]


@contextlib.contextmanager
def _opened(path: str | PathLike[str]) -> Iterator[wave.Wave_read]:
    with wave.open(str(path), "rb") as source:
        shape = (source.getframerate(), source.getnchannels(), source.getsampwidth())
        if shape != (RATE, 1, 2):
            raise ValueError(f"expected decoded audio (16 kHz, mono, 16 bit), found {shape}")
        yield source


def duration(path: str | PathLike[str]) -> float:
    """Seconds of audio in the file. Raises ValueError if it is not 16 kHz mono 16-bit PCM."""
    with _opened(path) as source:
        return source.getnframes() / RATE


def read(path: str | PathLike[str], start: float, end: float) -> Samples:
    """The samples from `start` to `end` seconds; shorter where the file ends earlier.

    Raises ValueError if the file is not 16 kHz mono 16-bit PCM.
    """
    with _opened(path) as source:
        first = min(max(0, round(start * RATE)), source.getnframes())
        source.setpos(first)
        data = source.readframes(max(0, round(end * RATE) - first))
    return np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2").astype(np.int16, copy=False)


def blocks(path: str | PathLike[str], samples: int) -> Iterator[Samples]:
    """The whole file in blocks of `samples` samples; the last one may be shorter.

    Raises ValueError if the file is not 16 kHz mono 16-bit PCM.
    """
    with _opened(path) as source:
        while data := source.readframes(samples):
            yield np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2").astype(np.int16, copy=False)
