"""What the benchmark of Drive and Dropbox counts is what its page says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.clouds_idle import measure_idle
from benchmarks.clouds_load import Load, lacking, surplus, transcripts
from benchmarks.clouds_measuring import Many, Uploads, make_file, measure_download, waits
from benchmarks.clouds_page import download_section, idle_section, many_section, page, uploads_section
from benchmarks.clouds_running import PLACES, Place, difference
from benchmarks.clouds_servers import WAYS, running

MANY = Many(
    files=1000,
    first=12.0,
    platform=2.0,
    idle=0.01,
    new=2.5,
    looking=0.2,
    again=4.0,
    calls={"files.list": 100, "changes.list": 1},
    idle_calls={"changes.list": 1},
    again_calls={"changes.list": 1, "files.get": 1},
    before={"": 100_000_000, "store": 8_000_000},
    most={"": 102_500_000, "store": 60_000_000},
    most_again={"": 120_000_000},
    late=0.3,
    late_new=0.02,
)


def row(text: str, name: str) -> list[str]:
    [line] = [line for line in text.splitlines() if line.startswith(f"| {name} ")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_losses_and_what_is_there_twice_are_seen() -> None:
    names = ["a.m4a", "b.m4a"]
    right = [*transcripts("a.m4a"), *transcripts("b.m4a")]
    assert right[0] == "a.transcript.md"
    assert (lacking(names, right), surplus(names, right)) == (0, 0)
    assert (lacking(names, right[:-1]), surplus(names, right[:-1])) == (1, 0)
    assert (lacking(names, []), surplus(names, [])) == (2, 0)
    again = [*right, "a.transcript.md", "a.transcript (2).srt", "c.transcript.md"]
    assert (lacking(names, again), surplus(names, again)) == (0, 3)
    instead = ["a.transcript.md", "a.transcript.md", *right[2:]]
    assert (lacking(names, instead), surplus(names, instead)) == (1, 1)


def test_uploads_that_are_never_submitted_are_seen() -> None:
    assert waits({"a": 10.0, "b": 11.0, "c": 12.0}, {"a": 12.5, "c": 15.0, "other": 1.0}) == [2.5, None, 3.0]
    assert difference({"a": 5, "b": 2, "c": 1}, {"a": 3, "b": 2}) == {"a": 2, "c": 1}


def test_the_page_counts_files_and_not_calls() -> None:
    found = Uploads(waits=[2.0] * 98 + [20.0, None], lost=1, surplus=2, calls={"download": 150}, seconds=60)
    other = replace(found, waits=[1.0] * 50, lost=0, surplus=0, calls={"files/download": 50})
    text = uploads_section({"Drive, push": found, "Dropbox, webhook": other}, 0.314, 2)
    assert "31 % of the processors" in text
    assert row(text, "uploads") == ["100", "50", ""]
    assert row(text, "submitted after, p99 (s)") == ["20.0", "1.00", ""]
    assert row(text, "submitted after, p50 (s)") == ["2.00", "1.00", ""]
    assert row(text, "never submitted") == ["1", "0", ""]
    assert row(text, "recordings without their transcripts")[:2] == ["1", "0"]
    assert row(text, "files too many")[:2] == ["2", "0"]
    assert row(text, "download") == ["1.5", "-"]
    assert row(text, "files/download") == ["-", "1.0"]
    none = replace(found, waits=[None])
    assert row(uploads_section({"Drive, push": none}, 0, 2), "submitted after, most (s)")[0] == "-"


def test_the_page_tells_memory_by_file_and_speed_by_second() -> None:
    text = many_section({"Drive, push": MANY, "Dropbox, longpoll": replace(MANY, most={})}, 1000)
    assert row(text, "- calls of the first look") == ["101", "101"]
    assert row(text, "- more memory for each file (kB)") == ["2.5", "-"]
    assert row(text, "- the event loop late at most (ms)") == ["300", "300"]
    idle = idle_section({"Drive, push": {"changes.list": 120.0, "token": 1.0}}, 12)
    assert row(idle, r"**all**") == ["121.00"]
    assert "over 12 hours" in idle
    assert page([text, idle], "a machine").count("\n## ") == 2


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.title)
async def test_a_cloud_is_what_the_service_finds(tmp_path: Path, place: Place) -> None:
    async with running(place.connector, place.way, tmp_path) as cloud:
        load = Load(cloud=cloud)
        settings = await load.settings()
        assert settings["ERNI_ADAPTERS"] == place.connector
        assert ("ERNI_PUBLIC_URL" in settings) is (place.way == "push")
        assert bool(settings["DROPBOX_APP_SECRET"]) is (place.way == "webhook")
        assert cloud.tells() is (place.way in ("polling", "webhook"))
        await load.fill(5)
        for name in transcripts("Talk.m4a"):
            cloud.upload(name, b"text")
        assert sorted(cloud.outputs()) == transcripts("Talk.m4a")
        assert cloud.calls().total() == 0


def test_in_an_idle_hour_the_rhythms_of_the_service_are_seen() -> None:
    drive, dropbox = measure_idle([("gdrive", "push"), ("dropbox", "longpoll")], 0.5)
    assert 116 <= drive["changes.list"] <= 124
    assert set(drive) <= {"changes.list", "token"}
    # Every 45 s, and after each wait, which is 120 s and what Dropbox adds.
    assert 18 <= dropbox["files/list_folder/longpoll"] <= 24
    assert 80 <= dropbox["files/list_folder/continue"] <= 104


@pytest.mark.parametrize("connector", WAYS)
def test_a_download_brings_the_bytes_and_is_told(tmp_path: Path, connector: str) -> None:
    source = tmp_path / "Large.mp4"
    make_file(source, 3_000_001)
    data = source.read_bytes()
    assert len(data) == 3_000_001
    assert data[: 1 << 20] != data[1 << 20 : 2 << 20]
    place = next(place for place in PLACES if place.connector == connector)
    found = measure_download(place, tmp_path, source)
    assert found.size == 3_000_001
    assert found.seconds > 0
    assert found.plainly > 0
    assert found.most >= found.before > 10_000_000
    assert row(download_section({place.platform: found}), place.platform)[0] == "0.003"
