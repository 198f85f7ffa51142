"""The app's icons, drawn: a speech bubble with a sound wave in it. Pure, and the same pixels every time."""

from __future__ import annotations

import struct
import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

ACCENT: Final = "#1f3a4d"

_Shape = NDArray[np.float64]
"""Per pixel how far it is outside of a shape, in pixels; inside it is negative."""

# On whole pixels of the small icon, which is as large as the drawing: 32 x 32.
_CENTRE: Final = (16.0, 14.0)
_HALF: Final = (13.0, 10.0)
_CORNER: Final = 4.5
_TAIL: Final = ((8.0, 22.6), (15.5, 23.6), (8.0, 30.0))
_BARS: Final = ((8.0, 2.0), (12.0, 5.0), (16.0, 6.0), (20.0, 4.0), (24.0, 2.0))  # where, and half how high
_BAR_HALF: Final = 1.0
_LINE: Final = 2.0
# Teams rounds the colour icon, so there is room around the drawing.
_COLOR_PIXELS: Final = 192
_COLOR_SCALE: Final = 3.6
_OUTLINE_PIXELS: Final = 32


def color_icon() -> bytes:
    """A PNG of 192 x 192 pixels, without transparency."""
    x, y = _grid(_COLOR_PIXELS, _COLOR_SCALE)
    ground = np.array([int(ACCENT[at : at + 2], 16) for at in (1, 3, 5)], dtype=np.float64)
    drawn = _covered(_bubble(x, y) * _COLOR_SCALE) - _covered(_wave(x, y) * _COLOR_SCALE)
    pixels = ground + drawn[..., None] * (255.0 - ground)
    return _png(np.dstack([pixels, np.full(drawn.shape, 255.0)]).round().astype(np.uint8))


def outline_icon() -> bytes:
    """A PNG of 32 x 32 pixels: white on nothing, as Teams wants it for its bars."""
    x, y = _grid(_OUTLINE_PIXELS, 1.0)
    line = np.abs(_bubble(x, y) + _LINE / 2) - _LINE / 2
    drawn = np.maximum(_covered(line), _covered(_wave(x, y)))
    white = np.full((*drawn.shape, 3), 255.0)
    return _png(np.dstack([white, drawn * 255.0]).round().astype(np.uint8))


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG of rows of red, green, blue and opacity."""
    height, width, _ = pixels.shape
    rows = np.hstack([np.zeros((height, 1), np.uint8), pixels.reshape(height, width * 4)])
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def _grid(pixels: int, scale: float) -> tuple[_Shape, _Shape]:
    """Where the middle of each pixel is in the drawing, which lies in the middle of the picture."""
    at = (np.arange(pixels) + 0.5 - pixels / 2) / scale + 16.0
    return np.broadcast_to(at, (pixels, pixels)), np.broadcast_to(at[:, None], (pixels, pixels))


def _covered(distance: _Shape) -> _Shape:
    """How much of each pixel a shape covers, 0..1, so that edges are smooth."""
    return np.clip(0.5 - distance, 0.0, 1.0)


def _box(
    x: _Shape, y: _Shape, centre: tuple[float, float], half: tuple[float, float], round_: float
) -> _Shape:
    across = np.abs(x - centre[0]) - half[0] + round_
    down = np.abs(y - centre[1]) - half[1] + round_
    outside = np.hypot(np.maximum(across, 0.0), np.maximum(down, 0.0))
    return outside + np.minimum(np.maximum(across, down), 0.0) - round_


def _tail(x: _Shape, y: _Shape) -> _Shape:
    """The convex shape between the corners, which go clockwise."""
    distance = np.full(x.shape, -np.inf)
    for (ax, ay), (bx, by) in zip(_TAIL, (*_TAIL[1:], _TAIL[0]), strict=True):
        length = float(np.hypot(bx - ax, by - ay))
        distance = np.maximum(distance, ((by - ay) * (x - ax) - (bx - ax) * (y - ay)) / length)
    return distance


def _bubble(x: _Shape, y: _Shape) -> _Shape:
    return np.minimum(_box(x, y, _CENTRE, _HALF, _CORNER), _tail(x, y))


def _wave(x: _Shape, y: _Shape) -> _Shape:
    bars = [_box(x, y, (at, _CENTRE[1]), (_BAR_HALF, high), _BAR_HALF) for at, high in _BARS]
    wave: _Shape = np.minimum.reduce(bars)
    return wave
