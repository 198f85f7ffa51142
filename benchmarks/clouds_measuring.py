"""What `clouds` measures: the real service, and the connectors alone, at the clouds of `clouds_running`."""

from __future__ import annotations

import filecmp
import json
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clouds_running import Cloud, Place, difference, looks, serving, submitted
from benchmarks.platforms import processors
from benchmarks.service import Peaks, Service, Trouble
from benchmarks.tracing import Span

_START_SECONDS = 120.0
_LISTING_SECONDS = 240.0
_SAMPLED_SECONDS = 0.5  # after which memory was looked at
_ROLES = {"valkey": "store", "redis-server": "store"}


# Uploads


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploads:
    """What came of recordings that people put into a folder: seconds from the end of an upload until it was
    submitted, in order of the uploads (None: never); recordings without their transcripts, and files too
    many; calls since the first upload, by method, and in how many seconds."""

    waits: Sequence[float | None]
    lost: int
    surplus: int
    calls: Mapping[str, int]
    seconds: float


def waits(uploaded: Mapping[str, float], submitted: Mapping[str, float]) -> list[float | None]:
    """Seconds from the upload to the submission of each, None where there was none."""
    return [submitted[name] - at if name in submitted else None for name, at in uploaded.items()]


def measure_uploads(
    places: Sequence[Place], home: Path, *, count: int, minutes: float, seconds: float
) -> tuple[dict[str, Uploads], float]:
    """At every place, all at the same time; by their titles, and how much of the processors was in use while
    people uploaded. Raises Trouble if something ends."""
    with ExitStack() as stack:
        clouds = [stack.enter_context(Cloud(place)) for place in places]
        settings = [cloud.ask("settings") for cloud in clouds]
        services = [
            stack.enter_context(serving(cloud, home / f"{number}", chosen))
            for number, (cloud, chosen) in enumerate(zip(clouds, settings, strict=True))
        ]
        for cloud, service in zip(clouds, services, strict=True):
            _wait_for_look(service, 0, _START_SECONDS)
            if not cloud.ask("arrange", patience=_START_SECONDS)["arranged"]:
                raise Trouble(f"{cloud.place.title}: nothing tells the service of changes.")
        before = [cloud.ask("calls")["calls"] for cloud in clouds]
        began, used = time.monotonic(), processors()
        for number, cloud in enumerate(clouds):
            cloud.tell("share", count=count, minutes=minutes, seconds=seconds, seed=number)
        uploaded = [cloud.heard()["uploaded"] for cloud in clouds]
        used_then = processors()
        for cloud in clouds:
            cloud.tell("settle", patience=_START_SECONDS)
        settled = [cloud.heard() for cloud in clouds]
        found = {
            cloud.place.title: Uploads(
                waits=waits(uploaded[i], submitted(services[i])),
                lost=settled[i]["lost"],
                surplus=settled[i]["surplus"],
                calls=difference(cloud.ask("calls")["calls"], before[i]),
                seconds=time.monotonic() - began,
            )
            for i, cloud in enumerate(clouds)
        }
    return found, (used_then[0] - used[0]) / (used_then[1] - used[1])


# A folder with many files


@dataclass(frozen=True, slots=True, kw_only=True)
class Many:
    """A folder with `files`, watched for the first time.

    Seconds: `first` of the first look, of which the platform computed `platform`, `idle` of a later one,
    `new` from the upload of one file until it was submitted, of which `looking` was spent with looks, `again`
    from a restart to the end of the first look. Calls of the first look, of the idle one and after the
    restart, by method. Bytes, by role of the process: `before` the first look, `most` until the new file,
    `most_again` after the restart. `late` and `late_new` are the most seconds by which the event loop was
    late, in the first look and in those that the new file led to.
    """

    files: int
    first: float
    platform: float
    idle: float
    new: float
    looking: float
    again: float
    calls: Mapping[str, int]
    idle_calls: Mapping[str, int]
    again_calls: Mapping[str, int]
    before: Mapping[str, int]
    most: Mapping[str, int]
    most_again: Mapping[str, int]
    late: float
    late_new: float


def measure_many(place: Place, home: Path, *, files: int) -> Many:
    """Raises Trouble if something ends."""
    with Cloud(place) as cloud:
        settings = cloud.ask("settings")
        cloud.ask("fill", files=files)
        start = cloud.ask("calls")
        with serving(cloud, home, settings) as service, Peaks(service.process.pid, _ROLES) as peaks:
            time.sleep(_SAMPLED_SECONDS)
            first_bytes = dict(peaks.bytes)
            first = _wait_for_look(service, 0, _LISTING_SECONDS)
            listed = cloud.ask("calls")
            if not cloud.ask("arrange", patience=_START_SECONDS)["arranged"]:
                raise Trouble(f"{place.title}: nothing tells the service of changes.")
            _let_rest(service)
            before, looked = cloud.ask("calls"), len(looks(service))
            cloud.ask("stir")
            idle = _wait_for_look(service, looked, _START_SECONDS)
            idle_calls = difference(cloud.ask("calls")["calls"], before["calls"])
            uploaded = cloud.ask("share", count=1, minutes=0.01, seconds=10, seed=1)["uploaded"]
            [(name, at)] = uploaded.items()
            service.wait(lambda: name in submitted(service), _START_SECONDS)
            new = submitted(service)[name]
            settled = cloud.ask("settle", patience=_START_SECONDS)
            if settled["lost"] or settled["surplus"]:
                raise Trouble(f"{place.title}: the new file is not answered as it should be: {settled}.")
            since = [span for span in looks(service) if at < span.began < new]
        for what, often in json.loads((home / "lag").read_text()):
            print(f"{place.title}: stuck {often} times at {what}", file=sys.stderr)
        before, began = cloud.ask("calls"), time.monotonic()
        known = str(home / "service" / "data")
        with (
            serving(cloud, home / "again", settings, ERNI_DATA_DIR=known) as service,
            Peaks(service.process.pid, _ROLES) as peaks_again,
        ):
            again = _wait_for_look(service, 0, _LISTING_SECONDS).ended - began
            again_calls = difference(cloud.ask("calls")["calls"], before["calls"])
    return Many(
        files=files,
        first=first.seconds,
        platform=listed["processor"] - start["processor"],
        idle=idle.seconds,
        new=new - at,
        looking=sum(min(span.ended, new) - span.began for span in since),
        again=again,
        calls=difference(listed["calls"], start["calls"]),
        idle_calls=idle_calls,
        again_calls=again_calls,
        before=first_bytes,
        most=peaks.bytes,
        most_again=peaks_again.bytes,
        late=float(first.job),
        late_new=max((float(span.job) for span in since), default=0.0),
    )


def _wait_for_look(service: Service, number: int, patience: float) -> Span:
    """The look of this number, from 0."""
    service.wait(lambda: len(looks(service)) > number, patience)
    return looks(service)[number]


def _let_rest(service: Service) -> None:
    """Wait until no look follows on the last one at once."""
    count, since = len(looks(service)), time.monotonic()
    while time.monotonic() - since < 3.0:
        time.sleep(0.1)
        if len(looks(service)) > count:
            count, since = len(looks(service)), time.monotonic()


# A large file


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file of `size` bytes: seconds through the connector, which compares the hash of all bytes, and for
    reading them plainly; resident bytes of the process before and at most."""

    size: int
    seconds: float
    plainly: float
    before: int
    most: int


def make_file(path: Path, size: int) -> None:
    """A file of pseudo-random bytes, no two blocks of which are the same."""
    block = bytearray(random.Random(size).randbytes(1 << 20))
    with path.open("wb") as file:
        for number in range(0, size, len(block)):
            block[:8] = number.to_bytes(8, "big")
            file.write(block[: size - number])


def measure_download(place: Place, home: Path, source: Path) -> Download:
    """Raises Trouble if something ends, or other bytes arrive."""
    into = home / "fetched"
    with Cloud(place) as cloud:
        settings = cloud.ask("settings")
        asked = cloud.ask("upload", path=str(source))
        address = settings["GDRIVE_API_BASE_URL" if place.connector == "gdrive" else "DROPBOX_API_BASE_URL"]
        asked |= {"connector": place.connector, "address": address, "into": str(into)}
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.clouds_download"],
            input=json.dumps(asked) + "\n",
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    if done.returncode:
        raise Trouble(f"{place.title}: the download failed.")
    if not filecmp.cmp(source, into, shallow=False):
        raise Trouble(f"{place.title}: other bytes arrived.")
    into.unlink()
    return Download(size=source.stat().st_size, **json.loads(done.stdout))
