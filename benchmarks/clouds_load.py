"""A Google Drive or a Dropbox in a process of its own, for `clouds`: `python -m benchmarks.clouds_load`.

It does what it is told in lines of JSON, `{"do": WHAT, ...}`, one after another, and answers each with a
line: see the methods of `Load`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.clouds_servers import WAYS, Cloud, running
from benchmarks.service import end_with_parent
from benchmarks.sharing import another, at_their_times, made_recording, tell, times

SUFFIXES = ("md", "srt")
"""The formats of transcripts."""

_AFTERWARDS = 3.0  # seconds in which a second answer would show
_EVERY = 0.25


def lacking(names: list[str], outputs: list[str]) -> int:
    """How many recordings don't have all their transcripts."""
    there = set(outputs)
    return sum(not {*transcripts(name)} <= there for name in names)


def surplus(names: list[str], outputs: list[str]) -> int:
    """How many files are there that should not be: for whatever recording, or once too often."""
    wanted = Counter(output for name in names for output in transcripts(name))
    return (Counter(outputs) - wanted).total()


def transcripts(name: str) -> list[str]:
    """What the transcripts of a recording are called."""
    return [f"{name.rpartition('.')[0]}.transcript.{suffix}" for suffix in SUFFIXES]


@dataclass(kw_only=True)
class Load:
    """What can be done with a cloud. Every method is something to `do`; what it returns is the answer."""

    cloud: Cloud
    uploaded: dict[str, float] = field(default_factory=dict)

    async def settings(self) -> dict[str, Any]:
        """The environment of a service."""
        return self.cloud.settings() | {"ERNI_FORMATS": ",".join(SUFFIXES)}

    async def reach(self, address: str) -> dict[str, Any]:
        """The service is there."""
        await self.cloud.reach(address)
        return {}

    async def fill(self, files: int) -> dict[str, Any]:
        """So many files have been in the folder since yesterday."""
        self.cloud.fill(f"Meeting {number:06d}.m4a" for number in range(files))
        return {}

    async def arrange(self, patience: float) -> dict[str, Any]:
        """Wait until the service hears of changes; whether it does."""
        return {"arranged": await _becomes(self.cloud.tells, patience)}

    async def share(self, count: int, minutes: float, seconds: float, seed: int) -> dict[str, Any]:
        """People put that many recordings of some seconds there; when each was there, by name."""
        recording = await asyncio.to_thread(made_recording, seconds)

        async def upload(number: int) -> None:
            name = f"Talk {len(self.uploaded):04d}.m4a"
            self.cloud.upload(name, another(recording, 1000 * seed + number))
            self.uploaded[name] = time.monotonic()

        await at_their_times(times(count / minutes, minutes, seed), upload)
        return {"uploaded": self.uploaded}

    async def settle(self, patience: float) -> dict[str, Any]:
        """Wait until all that was shared has its transcripts; how much has not, and is there too often."""
        names = list(self.uploaded)
        await _becomes(lambda: not lacking(names, self.cloud.outputs()), patience)
        await asyncio.sleep(_AFTERWARDS)
        outputs = self.cloud.outputs()
        return {"lost": lacking(names, outputs), "surplus": surplus(names, outputs)}

    async def stir(self) -> dict[str, Any]:
        """Tell the service of a change that is none."""
        await self.cloud.stir()
        return {}

    async def calls(self) -> dict[str, Any]:
        """What was called so far, and the seconds that this process computed."""
        return {"calls": self.cloud.calls(), "processor": time.process_time()}

    async def upload(self, path: str) -> dict[str, Any]:
        """A file of this machine lies in the folder; what a client needs to fetch it."""
        file_id = self.cloud.upload(Path(path).name, Path(path))
        folder, secret = self.cloud.secret()
        plain = asdict(self.cloud.plainly(file_id))
        return {"file": file_id, "folder": folder, "secret": secret, "plain": plain}


async def _becomes(condition: Callable[[], bool], patience: float) -> bool:
    """Whether it becomes so within so many seconds."""
    until = time.monotonic() + patience
    while not (so := condition()) and time.monotonic() < until:  # noqa: ASYNC110  (nobody tells)
        await asyncio.sleep(_EVERY)
    return so


async def run(connector: str, way: Any) -> None:
    """Until nothing more is to be done."""
    with tempfile.TemporaryDirectory(prefix="erni-clouds-") as home:
        async with running(connector, way, Path(home)) as cloud:
            load = Load(cloud=cloud)
            while line := await asyncio.to_thread(sys.stdin.readline):
                asked = json.loads(line)
                tell(**await getattr(load, asked.pop("do"))(**asked))


def main() -> None:
    """Be that cloud."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("connector", choices=WAYS)
    parser.add_argument("way", choices=sorted({way for ways in WAYS.values() for way in ways}))
    options = parser.parse_args()
    end_with_parent()
    asyncio.run(run(options.connector, options.way))


if __name__ == "__main__":
    main()
