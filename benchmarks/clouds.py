"""Google Drive and Dropbox: `python -m benchmarks.clouds [--only N] [--write]`.

How soon a recording is submitted that somebody uploads, what a watched folder costs in calls, and how the
connectors manage a folder with very many files and a very large file. The real service and the platforms'
own libraries, at the local Drive and Dropbox of the tests in processes of their own (`clouds_load`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from benchmarks.clouds_idle import measure_idle
from benchmarks.clouds_measuring import make_file, measure_download, measure_many, measure_uploads
from benchmarks.clouds_page import download_section, idle_section, many_section, page, uploads_section
from benchmarks.clouds_running import PLACES, Place
from benchmarks.service import Trouble
from benchmarks.tables import publish

_RECORDING_SECONDS = 10.0
_TOLD = [
    Place(connector="gdrive", way="push"),
    Place(connector="dropbox", way="longpoll"),
]
"""Where the service hears of changes at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much is measured: uploads at each place in so many minutes, hours without a change, files in a
    folder, bytes of a file."""

    uploads: int = 48
    minutes: float = 2.0
    hours: float = 12.0
    files: int = 100_000
    size: int = 2_000_000_000


def parts(options: Options, home: Path) -> list[Callable[[], str]]:
    """What is measured, each in a folder of its own below `home`. Raise Trouble."""

    def uploads() -> str:
        found, busy = measure_uploads(
            PLACES,
            home / "uploads",
            count=options.uploads,
            minutes=options.minutes,
            seconds=_RECORDING_SECONDS,
        )
        return uploads_section(found, busy, options.minutes)

    def idle() -> str:
        places = [place for place in PLACES if place.connector == "gdrive" or place in _TOLD]
        found = measure_idle([(place.connector, place.way) for place in places], options.hours)
        names = [place.title for place in places]
        return idle_section(dict(zip(names, found, strict=True)), options.hours)

    def many() -> str:
        found = {
            place.title: measure_many(place, home / f"many-{place.connector}", files=options.files)
            for place in _TOLD
        }
        return many_section(found, options.files)

    def download() -> str:
        source = home / "Large recording.mp4"
        make_file(source, options.size)
        found = {place.platform: measure_download(place, home, source) for place in _TOLD}
        return download_section(found)

    return [uploads, idle, many, download]


def main() -> int:
    """Measure and show; exit status 1 if something went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="replace the committed results")
    parser.add_argument("--only", type=int, choices=range(1, 5), help="one part, by its number from 1")
    parser.add_argument("--uploads", type=int, default=48, help="recordings for each folder (default 48)")
    parser.add_argument("--minutes", type=float, default=2, help="for which people upload (default 2)")
    parser.add_argument("--hours", type=float, default=12, help="in which nothing happens (default 12)")
    parser.add_argument("--files", type=int, default=100_000, help="in the large folder (default 100000)")
    parser.add_argument("--gigabytes", type=float, default=2, help="of the large file (default 2)")
    chosen = parser.parse_args()
    if chosen.write and chosen.only:
        parser.error("--write is for all parts")
    options = Options(
        uploads=chosen.uploads,
        minutes=chosen.minutes,
        hours=chosen.hours,
        files=chosen.files,
        size=round(chosen.gigabytes * 1e9),
    )
    described, sections, failed = machine.describe(), [], False
    with tempfile.TemporaryDirectory(prefix="erni-clouds-") as home:
        for number, part in enumerate(parts(options, Path(home)), 1):
            if chosen.only not in (None, number):
                continue
            began = time.monotonic()
            try:
                sections.append(part())
            except Trouble as error:
                print(error, file=sys.stderr)
                failed = True
            print(f"part {number}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    publish("clouds", page(sections, described), write=chosen.write and not failed)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
