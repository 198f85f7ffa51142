"""Kill everything at random, and count what was lost and what was done twice.

    python -m benchmarks.killing --kills 300 --seed 1

Recordings are dropped into a folder while the service, its workers and its Valkey are killed with SIGKILL,
frozen with SIGSTOP past the time after which a worker counts as dead and resumed, and the append-only file is
cut. In the end every recording must have exactly one transcript. A *loss* is a recording without one; a
*duplicate* is a second output for it. Recognitions done more than once are reported too: they cost time, not
truth.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import wave
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

FORMATS = ("md", "srt", "json")
_REDELIVERY_SECONDS = 1.0
_SETTLE_SECONDS = 0.2


def make_recording(path: Path, index: int) -> None:
    """Half a second of a tone that no other recording has; it appears complete."""
    hidden = path.with_name(f".{path.name}.part")
    with wave.open(str(hidden), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        pitch = 200 + index * 0.37
        samples = (int(9000 * math.sin(2 * math.pi * pitch * n / 8000)) for n in range(4000))
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    hidden.rename(path)


@dataclass(slots=True)
class Actors:
    """The processes under test. `home` holds their data directory and inbox; `settings` come on top."""

    home: Path
    workers: int
    settings: dict[str, str] = field(default_factory=dict)
    template: subprocess.Popen[str] = field(init=False)
    running: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        environment = os.environ | {
            "ERNI_DATA_DIR": str(self.home / "data"),
            "FOLDER_PATHS": str(self.home / "inbox"),
            "FOLDER_SETTLE_SECONDS": str(_SETTLE_SECONDS),
            "FOLDER_POLL_SECONDS": "2",
            "ERNI_HTTP_PORT": "0",
            "ERNI_REDELIVERY_SECONDS": str(_REDELIVERY_SECONDS),
            "ERNI_MAX_CRASHES": "1000000",
            "ERNI_MAX_ATTEMPTS": "1000000",
            "ERNI_TENANT_JOBS": "8",
            "ERNI_LOG_LEVEL": "WARNING",
            "ERNI_DRAIN_SECONDS": "5",
            "METHODS": "quick",
            "QUICK_SECONDS": "0.1",
            "QUICK_LOG": str(self.home / "recognised"),
        }
        environment.pop("REDIS_URL", None)
        environment |= self.settings
        with (self.home / "log").open("a") as log:
            self.template = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.killing_actors"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )

    @property
    def names(self) -> list[str]:
        return ["service", *(f"worker{index}" for index in range(self.workers))]

    def start(self, name: str, trap: str = "") -> None:
        """Start an actor; `trap` is as in `killing_actors.set_trap`."""
        assert self.template.stdin is not None
        assert self.template.stdout is not None
        self.template.stdin.write(f"{'service' if name == 'service' else 'worker'} {trap}\n")
        self.template.stdin.flush()
        self.running[name] = int(self.template.stdout.readline())

    def kill(self, name: str) -> None:
        """End the actor, and all that it started but its Valkey, as the system does when memory runs out."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.running[name], signal.SIGKILL)

    def signal(self, name: str, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.running[name], number)

    def valkey(self) -> int | None:
        try:
            pid = int((self.home / "data" / "valkey" / "valkey.pid").read_text())
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        return pid

    def kill_valkey(self) -> bool:
        pid = self.valkey()
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return True

    def cut_log(self, chance: random.Random) -> None:
        """Take up to 4 KiB from the end of the append-only file: acknowledged writes that a disk lost."""
        logs = sorted((self.home / "data" / "valkey" / "appendonlydir").glob("*.incr.aof"))
        if logs:
            size = logs[-1].stat().st_size
            os.truncate(logs[-1], max(0, size - chance.randint(1, 4096)))

    def end(self) -> None:
        """Stop them in order, as an operator does, and whatever does not stop as the system does."""
        for name in self.running:
            self.signal(name, signal.SIGCONT)
            self.signal(name, signal.SIGTERM)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and any(self.alive(name) for name in self.running):
            time.sleep(0.05)
        for name in self.running:
            self.kill(name)
        self.kill_valkey()
        with self.template:  # closes its pipes and waits for it
            pass

    def alive(self, name: str) -> bool:
        """Whether the process is still there."""
        try:
            os.kill(self.running[name], 0)
        except ProcessLookupError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Result:
    """What came out; `kills` counts SIGKILLs, by victim, and `freezes` and `cuts` come on top."""

    jobs: int
    kills: Counter[str]
    losses: tuple[str, ...]
    duplicates: tuple[str, ...]
    repeated: int
    seconds: float

    @property
    def row(self) -> str:
        killed = sum(self.kills[victim] for victim in ("service", "worker", "valkey"))
        return (
            f"| {self.jobs} | {killed} | {self.kills['service']} | {self.kills['worker']} "
            f"| {self.kills['valkey']} | {self.kills['freeze']} | {self.kills['cut']} "
            f"| **{len(self.losses)}** | **{len(self.duplicates)}** | {self.repeated} | {self.seconds:.0f} |"
        )


HEADER = (
    "| recordings | kills | of service | of workers | of Valkey | freezes | cut logs "
    "| losses | duplicates | recognised again | seconds |\n|--|--|--|--|--|--|--|--|--|--|--|"
)


def unfinished(inbox: Path, names: list[str]) -> list[str]:
    """The recordings that lack an output."""
    there = {path.name for path in inbox.iterdir()}
    return [name for name in names if any(f"{name}.transcript.{form}" not in there for form in FORMATS)]


def surplus(inbox: Path, names: list[str]) -> list[str]:
    """Everything in the folder that is neither a recording nor its one set of outputs."""
    expected = {f"{name}.wav" for name in names}
    expected |= {f"{name}.transcript.{form}" for name in names for form in FORMATS}
    return sorted(
        path.name for path in inbox.iterdir() if path.name not in expected and not path.name.startswith(".")
    )


def run(
    kills: int,
    seed: int,
    *,
    workers: int = 2,
    in_flight: int = 12,
    patience: float = 120,
    keep: Path | None = None,
) -> Result:
    """Do it, in a directory of its own. `patience` is how long to wait for the rest after the last kill,
    seconds; `keep` is where to put everything if something was lost."""
    chance = random.Random(seed)
    counts: Counter[str] = Counter()
    names: list[str] = []
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="erni-killing-") as directory:
        home = Path(directory)
        inbox = home / "inbox"
        inbox.mkdir()
        actors = Actors(home, workers)
        for name in actors.names:
            actors.start(name)
        frozen: dict[str, float] = {}
        try:
            while sum(counts[victim] for victim in ("service", "worker", "valkey")) < kills:
                while len(unfinished(inbox, names[-4 * in_flight :])) < in_flight:
                    names.append(f"recording{len(names)}")
                    make_recording(inbox / f"{names[-1]}.wav", len(names))
                time.sleep(chance.expovariate(1 / 0.18))
                for name, until in list(frozen.items()):
                    if time.monotonic() >= until:
                        actors.signal(name, signal.SIGCONT)
                        del frozen[name]
                _strike(actors, chance, counts, frozen)
            for name in frozen:
                actors.signal(name, signal.SIGCONT)
            deadline = time.monotonic() + patience
            while unfinished(inbox, names) and time.monotonic() < deadline:
                time.sleep(0.2)
            time.sleep(3 * _REDELIVERY_SECONDS)  # whoever still holds something finishes it now
            if keep and unfinished(inbox, names):
                shutil.copytree(home, keep / f"seed{seed}", ignore=shutil.ignore_patterns("*.sock"))
        finally:
            actors.end()
        recognised = (home / "recognised").read_text().split()
        return Result(
            jobs=len(names),
            kills=counts,
            losses=tuple(unfinished(inbox, names)),
            duplicates=tuple(surplus(inbox, names)),
            repeated=len(recognised) - len(set(recognised)),
            seconds=time.monotonic() - started,
        )


def _strike(actors: Actors, chance: random.Random, counts: Counter[str], frozen: dict[str, float]) -> None:
    name = chance.choice(actors.names)
    move = chance.random()
    if move < 0.12:
        if name not in frozen:
            actors.signal(name, signal.SIGSTOP)
            frozen[name] = time.monotonic() + chance.uniform(0.2, 4 * _REDELIVERY_SECONDS)
            counts["freeze"] += 1
    elif move < 0.20:
        counts["valkey"] += actors.kill_valkey()
    elif move < 0.22:
        for each in actors.names:
            actors.kill(each)
            counts["service" if each == "service" else "worker"] += 1
        counts["valkey"] += actors.kill_valkey()
        time.sleep(0.05)
        actors.cut_log(chance)
        counts["cut"] += 1
        frozen.clear()
        for each in actors.names:
            actors.start(each)
    else:
        actors.kill(name)
        counts["service" if name == "service" else "worker"] += 1
        frozen.pop(name, None)
        actors.start(name)


def main() -> None:
    """Run the loop, a table row per thousand kills; exit status 1 if anything was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="directory for the evidence of a loss")
    arguments = parser.parse_args()
    print(HEADER, flush=True)
    failed = False
    left, seed = arguments.kills, arguments.seed
    while left > 0:
        result = run(min(left, 1000), seed, keep=arguments.keep)
        print(result.row, flush=True)
        for what, found in (("lost", result.losses), ("surplus", result.duplicates)):
            if found:
                failed = True
                print(f"{what}: {', '.join(found[:20])}", flush=True)
        left -= 1000
        seed += 1
    sys.exit(failed)


if __name__ == "__main__":
    main()
