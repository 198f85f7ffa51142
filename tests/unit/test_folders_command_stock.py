"""What lies in a folder when `erni-audio folders add` is called is left alone, whatever the clocks say, and
what comes after that is taken: with the real connectors at a Google Drive and a Dropbox on this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from connectors.dropbox.adapter import DropboxFolders
from connectors.dropbox.connecting import DropboxConnecting
from connectors.dropbox.settings import DropboxSettings
from connectors.gdrive.adapter import GDriveFolders
from connectors.gdrive.settings import GDriveSettings
from core.following import Rhythm
from core.ports import AdapterContext
from core.settings import load_settings
from core.state import State
from core.tasks import end
from core.testing import MemoryJobs, MemoryLinks
from tests.adapters.command_desk import PATIENCE, Caller, calling
from tests.quick_store import quick_store
from tests.unit.test_folders_command import Site, a_site
from tests.vendors.faults import Fault

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")

QUICK = Rhythm(changes=0.1, settle=0.02, grace=0.2, denied=0.2)
YEAR = 365 * 86_400.0
CLOUDS = pytest.mark.parametrize("cloud", ["dropbox", "gdrive"])


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    with calling() as made:
        yield made


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with quick_store() as made:
        yield made


@pytest.fixture
async def at(caller: Caller, url: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with a_site(caller, url, tmp_path) as made:
        yield made


@asynccontextmanager
async def service(at: Site, cloud: str) -> AsyncIterator[MemoryJobs]:
    """The service runs, with the store that the commands wrote to."""
    jobs = MemoryJobs()
    async with at.me.state() as state:
        context = AdapterContext(
            settings=at.me.core_settings(), store=state.store, jobs=jobs, links=MemoryLinks(), node_id="node"
        )
        door: DropboxFolders | GDriveFolders
        if cloud == "dropbox":
            address = load_settings(DropboxSettings, DROPBOX_API_BASE_URL=at.dropbox.origin)
            door = DropboxFolders(context, DropboxConnecting(address), rhythm=QUICK)
        else:
            door = GDriveFolders(
                context, load_settings(GDriveSettings, GDRIVE_API_BASE_URL=at.drive.api_url), rhythm=QUICK
            )
        task = asyncio.create_task(door.run(jobs.submit))
        try:
            yield jobs
        finally:
            await end(task)


def put(at: Site, cloud: str, name: str, *, moved: bool = False) -> None:
    """Upload it into the folder, or move it there that was uploaded elsewhere a year ago."""
    server = at.dropbox if cloud == "dropbox" else at.drive
    server.ahead -= YEAR if moved else 0.0
    if cloud == "dropbox":
        at.ann.upload(f"/Elsewhere/{name}" if moved else f"/Inbox/{name}", name.encode())
    else:
        file = at.drive.upload(at.drive.root(at.team) if moved else at.inbox, name, name.encode())
    server.ahead += YEAR if moved else 0.0
    if moved and cloud == "dropbox":
        at.ann.move(f"/Elsewhere/{name}", f"/Inbox/{name}")
    elif moved:
        at.drive.move(file, at.inbox)


async def taken(jobs: MemoryJobs, *names: str) -> None:
    """Wait for these recordings, and for no others until the last of them came."""
    async with asyncio.timeout(PATIENCE):
        while len(jobs.views) < len(names):
            await asyncio.sleep(0.02)
    assert sorted(view.job.recording.name for view in jobs.views.values()) == sorted(names)


def folder_of(at: Site, cloud: str) -> str:
    return "/Inbox" if cloud == "dropbox" else at.inbox.id


async def remembered(at: Site, cloud: str) -> dict[str, int]:
    """How much is in the store of the files of each place, by its name."""
    async with at.me.state() as state:
        keys = [key.decode() async for key in state.redis.scan_iter(match=f"*{cloud}:*:files*")]
        return {key: await _size(state, key) for key in keys}


async def _size(state: State, key: str) -> int:
    return int(await state.redis.hlen(key))


@CLOUDS
async def test_what_comes_after_it_was_added_is_taken(at: Site, cloud: str) -> None:
    put(at, cloud, "lay there.mp3")
    put(at, cloud, "lay there moved.mp3", moved=True)
    await at.good("add", cloud, folder_of(at, cloud))
    put(at, cloud, "moved in.mp3", moved=True)  # before the service looks for the first time
    (at.dropbox if cloud == "dropbox" else at.drive).ahead -= 600.0
    put(at, cloud, "uploaded.mp3")  # while our clock is fast
    async with service(at, cloud) as jobs:
        await taken(jobs, "moved in.mp3", "uploaded.mp3")
        put(at, cloud, "later.mp3")
        await taken(jobs, "moved in.mp3", "uploaded.mp3", "later.mp3")
    async with service(at, cloud) as jobs:  # started anew
        put(at, cloud, "last.mp3", moved=True)
        await taken(jobs, "last.mp3")


@CLOUDS
async def test_what_lay_there_is_taken_as_it_changes(at: Site, cloud: str) -> None:
    put(at, cloud, "a.mp3")
    put(at, cloud, "b.mp3")
    await at.good("add", cloud, folder_of(at, cloud))
    if cloud == "dropbox":
        at.ann.replace("/Inbox/a.mp3", b"other")
        at.dropbox.expire_cursors()  # everything is listed anew
    else:
        at.drive.replace(at.drive.named(at.inbox, "a.mp3"), b"other")
    async with service(at, cloud) as jobs:
        await taken(jobs, "a.mp3")
        put(at, cloud, "c.mp3")
        await taken(jobs, "a.mp3", "c.mp3")


@CLOUDS
async def test_added_again_it_is_begun_anew(at: Site, cloud: str) -> None:
    put(at, cloud, "one.mp3")
    places = set()
    for name in ("two.mp3", "three.mp3"):
        await at.good("add", cloud, folder_of(at, cloud))
        (folder,) = await at.watched(cloud)
        places.add(folder.place)
        await at.good("remove", cloud, folder_of(at, cloud))
        put(at, cloud, name)
    assert await remembered(at, cloud) == {}
    await at.good("add", cloud, folder_of(at, cloud))
    (folder,) = await at.watched(cloud)
    assert len(places | {folder.place}) == 3
    put(at, cloud, "four.mp3", moved=True)
    async with service(at, cloud) as jobs:
        await taken(jobs, "four.mp3")


async def test_what_lay_there_can_be_had_later(at: Site) -> None:
    put(at, "dropbox", "one.mp3")
    await at.good("add", "dropbox", "/Inbox")
    put(at, "dropbox", "two.mp3")
    async with service(at, "dropbox") as jobs:
        await taken(jobs, "two.mp3")
    await at.good("add", "dropbox", "/Inbox", "--backfill", "--yes")
    async with service(at, "dropbox") as jobs:
        await taken(jobs, "one.mp3", "two.mp3")


async def test_with_backfill_no_stock_is_taken(at: Site) -> None:
    put(at, "dropbox", "one.mp3")
    await at.good("add", "dropbox", "/Inbox", "--backfill", "--yes")
    assert await remembered(at, "dropbox") == {}
    assert len(at.dropbox.called("files/list_folder")) == 1  # to count them
    async with service(at, "dropbox") as jobs:
        await taken(jobs, "one.mp3")


async def test_a_folder_that_cannot_be_looked_through_is_not_added(at: Site) -> None:
    at.dropbox.cursors.page_size = 1
    for name in ("one.mp3", "two.mp3", "three.mp3"):
        put(at, "dropbox", name)
    at.dropbox.fail_always("files/list_folder/continue", Fault(status=409, body="{}"))
    assert await at.refused("add", "dropbox", "/Inbox")
    assert await at.watched("dropbox") == []
    assert await remembered(at, "dropbox") == {}
    at.dropbox.forgive()
    await at.good("add", "dropbox", "/Inbox")
    put(at, "dropbox", "four.mp3")
    async with service(at, "dropbox") as jobs:
        await taken(jobs, "four.mp3")


@pytest.mark.parametrize("how", ["left", pytest.param("killed", marks=pytest.mark.slow)])
async def test_breaking_off_does_no_harm(at: Site, how: str) -> None:
    at.dropbox.cursors.page_size = 1
    for name in ("one.mp3", "two.mp3", "three.mp3"):
        put(at, "dropbox", name)
    hold = at.dropbox.hold("files/list_folder/continue")
    async with at.me.at_terminal("folders", "add", "dropbox", "/Inbox") as sitting:
        ending = asyncio.create_task(sitting.end())
        await hold.arrived.wait()
        leave: Callable[[], None] = partial(sitting.leave, "C")
        if how == "left":
            leave()
        else:
            sitting._process.kill()
        hold.release()
        assert await ending == (130 if how == "left" else -9)
    assert await at.watched("dropbox") == []
    put(at, "dropbox", "four.mp3")
    await at.good("add", "dropbox", "/Inbox")
    put(at, "dropbox", "five.mp3")
    async with service(at, "dropbox") as jobs:
        await taken(jobs, "five.mp3")


async def test_it_is_shown_how_far_that_is(at: Site) -> None:
    at.dropbox.cursors.page_size = 1
    for number in range(3):
        put(at, "dropbox", f"{number}.mp3")
    hold = at.dropbox.hold("files/list_folder/continue")
    async with at.me.at_terminal("folders", "add", "dropbox", "/Inbox") as sitting:
        await hold.arrived.wait()
        await sitting.asked("Looking at what lies there")
        hold.release()
        assert await sitting.end() == 0
    assert " files" in sitting.seen
    assert "/Inbox: watched from now on" in sitting.seen


@CLOUDS
async def test_what_lay_inside_is_left_alone_when_a_folder_is_widened(at: Site, cloud: str) -> None:
    server = at.dropbox if cloud == "dropbox" else at.drive
    if cloud == "dropbox":
        at.ann.make_folder("/Inbox/Inside")
    inner = None if cloud == "dropbox" else at.drive.folder(at.inbox, "Inside")

    def put_inside(name: str) -> None:
        if inner is None:
            at.ann.upload(f"/Inbox/Inside/{name}", name.encode())
        else:
            at.drive.upload(inner, name, name.encode())

    await at.good("add", cloud, folder_of(at, cloud), "--not-recursive")
    server.ahead -= YEAR
    put_inside("old.mp3")
    server.ahead += YEAR
    async with service(at, cloud) as jobs:
        put(at, cloud, "one.mp3")
        await taken(jobs, "one.mp3")
    put(at, cloud, "two.mp3", moved=True)  # nobody looked since
    said = await at.good("add", cloud, folder_of(at, cloud), "--recursive")
    assert said.lines[-1].startswith("What lies there already is left alone.")
    put_inside("three.mp3")
    async with service(at, cloud) as jobs:
        await taken(jobs, "two.mp3", "three.mp3")
    (folder,) = await at.watched(cloud)
    async with at.me.state() as state:
        stored = await state.store.recall(f"{folder.place}:folder", "cursor")
        assert stored is not None
        cursor, _, *rest = json.loads(stored)
        never = json.dumps([cursor, None, *rest])
        await state.store.remember(f"{folder.place}:folder", "cursor", never)
    async with service(at, cloud) as jobs:  # everything is listed anew
        put_inside("four.mp3")
        await taken(jobs, "four.mp3")
