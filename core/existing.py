"""What lies in a folder already, and about what it would cost to transcribe it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from core.engines.prices import price_of
from core.filenames import stem
from core.following import Selection
from core.remote import RemoteFile, RemoteFolder

# Bytes a second of what is rather slim, so that lengths and costs are guessed rather too high.
_UNCOMPRESSED = (32_000, frozenset("aif aifc aiff au caf rf64 snd voc w64 wav wave".split()))  # noqa: SIM905
_LOSSLESS = (24_000, frozenset("alac ape flac mka tta wv".split()))  # noqa: SIM905
_VIDEO_ENDINGS = """
    3g2 3gp 3gpp amv asf avi dv f4v flv m2ts m4v mkv mov mp4 mpe mpeg mpg mts mxf ogv ts vob webm wmv
"""
_VIDEO = (60_000, frozenset(_VIDEO_ENDINGS.split()))
_COMPRESSED = 6_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Recordings in a folder: how many, their bytes, and how long they play in seconds. `guessed`: some of
    that is a guess by size."""

    files: int = 0
    size: int = 0
    seconds: float = 0.0
    guessed: bool = False


def guess_seconds(name: str, size: int, media_type: str | None = None) -> float:
    """How long a recording of this size plays, rather too long than too short. `media_type` counts where the
    name does not end like one of media."""
    ending = name.removeprefix(stem(name)).removeprefix(".").lower()
    if not ending and (media_type or "").startswith("video/"):
        return size / _VIDEO[0]
    for rate, endings in (_UNCOMPRESSED, _LOSSLESS, _VIDEO):
        if ending in endings:
            return size / rate
    return size / _COMPRESSED


async def count(folder: RemoteFolder, selection: Selection, report: Callable[[Tally], None]) -> Tally:
    """Go through everything in a folder, reporting the tally so far now and then. Raises as the port does."""
    tally = Tally()
    async for page in folder.listing():
        for item in page.items:
            if isinstance(item, RemoteFile) and selection.wants(item):
                known = item.seconds is not None
                seconds = item.seconds
                if seconds is None:
                    seconds = guess_seconds(item.name, item.size, item.media_type)
                tally = replace(
                    tally,
                    files=tally.files + 1,
                    size=tally.size + item.size,
                    seconds=tally.seconds + seconds,
                    guessed=tally.guessed or not known,
                )
        report(tally)
    return tally


def cost(tally: Tally, prices: Iterable[str]) -> float | None:
    """US dollars by list prices for what each recording is sent to; None if one of the `prices` is unknown.
    Empty ones cost nothing."""
    total = 0.0
    for key in filter(None, prices):
        price = price_of(key)
        if price is None or price.per_hour_usd is None:
            return None
        seconds = max(tally.seconds, tally.files * price.minimum_seconds)
        total += seconds * price.per_hour_usd / 3600
    return total
