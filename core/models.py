"""Local model weights on disk: what is there, what is wrong with it, and fetching it.

A fetch streams to `NAME.part`, goes on where an interrupted one stopped (`Range` with `If-Range`), checks
size and SHA-256 against the catalogue and renames the file into place, so a file under its own name is whole.
Proxies are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`), mirrors from `MODELS_BASE_URL`, and a
folder filled by hand (`MODELS_DIR`) is as good as a fetched one.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from core.downloads import FetchReport, Sleep, bytes_so_far, download, is_whole
from core.engines.catalogue import HUB, REQUIRED, SETS, ModelFile, ModelSet, catalogue
from core.errors import Misconfigured, Transient
from core.settings import Settings

__all__ = [
    "FetchReport",
    "by_hand",
    "catalogue",
    "fetch",
    "installed",
    "model_set",
    "models_dir",
    "place_of",
    "problems",
    "verify",
]

_SPARE = 64 * 2**20  # room that a fetch leaves on the disk


def models_dir(settings: Settings) -> Path:
    """The folder with the weights: `MODELS_DIR`, else `models` in the data directory."""
    return settings.models_dir or settings.data_dir / "models"


def model_set(name: str) -> ModelSet:
    """The catalogue's set `name`. Raises Misconfigured naming what there is."""
    if name not in SETS:
        raise Misconfigured(f"There is no model {name!r}. There are: {', '.join(SETS)}.")
    return SETS[name]


def problems(folder: Path, name: str, purpose: Literal["speech", "speakers"] = "speech") -> tuple[str, ...]:
    """What is missing or has the wrong size in the models folder, a sentence each; empty if nothing.

    `name` is a set of the catalogue, or a folder of one's own inside `folder`: for `speech` a CTranslate2
    conversion of Whisper, for `speakers` a segmentation and an embedding model. Looks at sizes only: `verify`
    reads the bytes.
    """
    expected: dict[str, int] = dict.fromkeys(REQUIRED[purpose], -1)
    if name in SETS:
        expected = {file.name: file.bytes for file in SETS[name].files}
    return _wrong_sizes(place_of(folder, name), expected)


def installed(folder: Path, name: str) -> bool:
    """Whether every file of the model is there in its full size."""
    return not problems(folder, name)


def place_of(folder: Path, name: str) -> Path:
    """The folder that holds the model's files."""
    return folder / (SETS[name].folder if name in SETS else name)


def _wrong_sizes(place: Path, expected: dict[str, int]) -> tuple[str, ...]:
    found = []
    for name, size in expected.items():
        try:
            actual = (place / name).stat().st_size
        except OSError:
            found.append(f"{place.name}/{name} is missing.")
            continue
        if actual == 0 or (size >= 0 and actual != size):
            wanted = f"{size:,} bytes" if size >= 0 else "weights"
            found.append(f"{place.name}/{name} has {actual:,} bytes instead of {wanted}.")
    return tuple(found)


async def verify(folder: Path, name: str, report: FetchReport | None = None) -> tuple[str, ...]:
    """Read every file of a catalogue set; the problems found, empty if every digest is right."""
    item = model_set(name)
    found = list(problems(folder, name))
    for file in item.files:
        path = folder / item.folder / file.name
        if await asyncio.to_thread(is_whole, path, file):
            if report is not None:
                report(file, file.bytes, file.bytes)
        elif not any(path.name in problem for problem in found):
            found.append(f"{item.folder}/{file.name} is damaged: its SHA-256 is not the published one.")
    return tuple(found)


async def fetch(
    name: str,
    folder: Path,
    report: FetchReport,
    *,
    base_url: str = HUB,
    transport: Any = None,
    sleep: Sleep = asyncio.sleep,
) -> None:
    """Bring every file of the set `name` into the models folder, going on where an earlier fetch stopped.

    Files that are there are read and replaced only if damaged, so this also repairs. `transport` is an
    httpx transport for tests; None goes to the network through the environment's proxies.

    Raises Misconfigured (no such model, no room, no right to write, a server that delivers something else)
    or Transient (the server can't be reached, another fetch is running); the message tells how to bring the
    files by hand.
    """
    item = model_set(name)
    try:
        import httpx  # noqa: PLC0415  (an extra: the service runs without it)
    except ModuleNotFoundError:
        raise Misconfigured("Fetching weights needs the package httpx. Install erni-audio[local].") from None
    place = folder / item.folder
    with _locked(place, item):
        missing = [file for file in item.files if not await _whole(place / file.name, file, report)]
        _require_room(place, missing)
        client = httpx.AsyncClient(
            follow_redirects=True,
            timeout=httpx.Timeout(30, read=60),
            headers={"User-Agent": "erni-audio", "Accept-Encoding": "identity"},
            transport=transport,
        )
        async with client:
            for file in missing:
                try:
                    await download(client, file, place, base_url=base_url, report=report, sleep=sleep)
                except Transient as error:
                    raise Transient(
                        f"{error} {by_hand(item, folder, base_url)}", retry_after=error.retry_after
                    ) from None


def by_hand(item: ModelSet, folder: Path, base_url: str = HUB) -> str:
    """What to do on a machine that can't reach the server."""
    urls = "\n".join(f"  {file.url(base_url)}\n    -> {file.name}" for file in item.files)
    return (
        "If this machine can't reach it, set HTTPS_PROXY or MODELS_BASE_URL (a mirror), or download these "
        f"files elsewhere and put them into {folder / item.folder} (MODELS_DIR names another place):\n{urls}"
    )


@contextlib.contextmanager
def _locked(place: Path, item: ModelSet) -> Iterator[None]:
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = os.open(place / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Misconfigured(
            f"The models folder {place} can't be written ({error.strerror}). Set MODELS_DIR to another one."
        ) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Transient(f"Another process is fetching {item.name} right now.") from None
        yield
    finally:
        os.close(lock)  # lets go of the lock


async def _whole(path: Path, file: ModelFile, report: FetchReport) -> bool:
    whole = await asyncio.to_thread(is_whole, path, file)
    if whole:
        report(file, file.bytes, file.bytes)
    return whole


def _require_room(place: Path, files: list[ModelFile]) -> None:
    there = sum(bytes_so_far(place, file) for file in files)
    needed = sum(file.bytes for file in files) - there
    free = shutil.disk_usage(place).free
    if needed > 0 and needed + _SPARE > free:
        raise Misconfigured(
            f"The weights need {(needed + _SPARE) / 1e6:,.0f} MB, but only {free / 1e6:,.0f} MB are free at "
            f"{place}. Make room, or set MODELS_DIR to a folder on a larger disk."
        )
