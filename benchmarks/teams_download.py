"""A very large recording from Teams: `python -m benchmarks.teams_download [--gigabytes 2] [--write]`.

How fast it comes onto disk, and how much memory that takes. The Microsoft 365 is the tests' own, in a process
of its own (`teams_download_server`); another process fetches (`teams_download_client`).
"""

from __future__ import annotations

import argparse
import filecmp
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.clouds_measuring import Download, make_file
from benchmarks.clouds_page import download_table
from benchmarks.service import Trouble
from benchmarks.tables import publish

_SETTING = """\
Fetched as the service fetches a recording, in a process that does nothing else, onto disk; afterwards the
benchmark compares all bytes. **In a channel**: Graph is asked where the file at an address lies, and says
from where it can be downloaded; **sent to the app**: Teams told that at once. **Only read**: the same bytes
over HTTP in one request with nothing done to them, which is what the local Microsoft 365 can send: it is the
tests' own, in a process of its own on the same processors. From the real one a file takes as long as the line
allows."""


@contextmanager
def _server(source: Path) -> Iterator[dict[str, Any]]:
    """What the Microsoft 365 with that recording tells of itself, as long as it is there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.teams_download_server", str(source)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise Trouble("The Microsoft 365 ended.")
        yield json.loads(line)
    finally:
        process.communicate(timeout=30)  # which closes its input


def measure(source: Path, home: Path) -> dict[str, Download]:
    """How `source` is fetched, by the way in which it was shared. Raises Trouble if something ends, or other
    bytes arrive."""
    found, into = {}, home / "fetched"
    with _server(source) as told:
        for way, address in told["addresses"].items():
            asked = {"settings": told["settings"], "address": address, "plain": told["plain"]}
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.teams_download_client"],
                input=json.dumps(asked | {"into": str(into), "limit": told["size"]}),
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            )
            if done.returncode:
                raise Trouble(f"{way}: the download failed.")
            if not filecmp.cmp(source, into, shallow=False):
                raise Trouble(f"{way}: other bytes arrived.")
            into.unlink()
            found[way] = Download(size=told["size"], **json.loads(done.stdout))
    return found


def page(results: Mapping[str, Download], described: str) -> str:
    """The page of results."""
    made = f"Made by `python -m benchmarks.teams_download --write` on {described}."
    return "\n\n".join(["# A very large recording from Teams", made, _SETTING, download_table(results)])


def main() -> int:
    """Measure and show; exit status 1 if something went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="replace the committed results")
    parser.add_argument("--gigabytes", type=float, default=2, help="of the recording (default 2)")
    options = parser.parse_args()
    described = machine.describe()
    with tempfile.TemporaryDirectory(prefix="erni-teams-") as home:
        source = Path(home) / "Large recording.mp4"
        make_file(source, round(options.gigabytes * 1e9))
        try:
            results = measure(source, Path(home))
        except Trouble as error:
            print(error, file=sys.stderr)
            return 1
    publish("teams_download", page(results, described), write=options.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
