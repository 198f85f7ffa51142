"""The page of results of `clouds`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.clouds_measuring import Download, Many, Uploads
from benchmarks.tables import megabytes, percentile, seconds, table

_STORE, _SERVICE = "store", ""


# From the upload to the submission


def uploads_section(results: Mapping[str, Uploads], busy: float, minutes: float) -> str:
    """`busy`: how much of the processors was in use in the `minutes` in which people uploaded."""
    columns = {name: _waited(found) for name, found in results.items()}
    targets = {
        "submitted after, most (s)": "60 by polling, else 10",
        "recordings without their transcripts": "0",
        "files too many": "0",
    }
    names = list(next(iter(columns.values())))
    rows = [[name, *(column[name] for column in columns.values()), targets.get(name, "")] for name in names]
    said = _UPLOADS.format(minutes=f"{minutes:g}", busy=f"{100 * busy:.0f}")
    per_file = {
        name: {method: count / max(1, len(found.waits)) for method, count in found.calls.items()}
        for name, found in results.items()
    }
    return "\n".join(
        [
            "## From the end of an upload to its submission",
            "",
            said,
            "",
            table(["", *columns, "target"], rows),
            "",
            "## Calls for each file",
            "",
            _CALLS,
            "",
            _by_method(per_file, "{:.1f}"),
        ]
    )


def _waited(found: Uploads) -> dict[str, str]:
    waits = [wait for wait in found.waits if wait is not None]

    def after(share: float) -> str:
        return seconds(percentile(waits, share)) if waits else "-"

    return {
        "uploads": str(len(found.waits)),
        "submitted after, p50 (s)": after(0.5),
        "submitted after, p99 (s)": after(0.99),
        "submitted after, most (s)": after(1.0),
        "never submitted": str(len(found.waits) - len(waits)),
        "recordings without their transcripts": str(found.lost),
        "files too many": str(found.surplus),
    }


def _by_method(columns: Mapping[str, Mapping[str, float]], form: str) -> str:
    methods = sorted({method for column in columns.values() for method in column})
    rows = [
        [method, *(form.format(column[method]) if column.get(method) else "-" for column in columns.values())]
        for method in methods
    ]
    sums = ["**all**", *(form.format(sum(column.values())) for column in columns.values())]
    return table(["", *columns], [*rows, sums])


# Nothing happens


def idle_section(results: Mapping[str, Mapping[str, float]], hours: float) -> str:
    """Calls an hour, by method."""
    return "\n".join(
        [
            "## Calls in an hour in which nothing happens",
            "",
            _IDLE.format(hours=f"{hours:g}"),
            "",
            _by_method(results, "{:.2f}"),
        ]
    )


# A folder with many files


def many_section(results: Mapping[str, Many], files: int) -> str:
    """What a folder with so many files took."""
    columns = [_managed(found) for found in results.values()]
    rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
    title = f"## A folder with {files:,} files"
    return "\n".join([title, "", _MANY, "", table(["", *results], rows)])


def _managed(found: Many) -> dict[str, str]:
    def each(most: Mapping[str, int]) -> str:
        if _SERVICE not in most or _SERVICE not in found.before:
            return "-"
        return f"{(most[_SERVICE] - found.before[_SERVICE]) / max(1, found.files) / 1000:.1f}"

    return {
        "first look (s)": seconds(found.first),
        "- of it, the platform computed (s)": seconds(found.platform),
        "- calls of the first look": str(sum(found.calls.values())),
        "- the event loop late at most (ms)": f"{1000 * found.late:.0f}",
        "- the service's memory before (MB)": megabytes(found.before.get(_SERVICE)),
        "- the service's memory, peak (MB)": megabytes(found.most.get(_SERVICE)),
        "- more memory for each file (kB)": each(found.most),
        "- its Valkey's memory, peak (MB)": megabytes(found.most.get(_STORE)),
        "a look when nothing happened (s)": seconds(found.idle),
        "- calls of such a look": str(sum(found.idle_calls.values())),
        "one new file submitted after (s)": seconds(found.new),
        "- of it, looking (s)": seconds(found.looking),
        "- the event loop late at most then (ms)": f"{1000 * found.late_new:.0f}",
        "restarted: until it has looked (s)": seconds(found.again),
        "- calls of a restart": str(sum(found.again_calls.values())),
        "- memory after a restart, peak (MB)": megabytes(found.most_again.get(_SERVICE)),
    }


# A large file


def download_section(results: Mapping[str, Download]) -> str:
    """How a large file was fetched."""
    return "\n".join(["## A large file", "", _DOWNLOAD, "", download_table(results)])


def download_table(results: Mapping[str, Download]) -> str:
    """The same without words."""
    rows = [
        [
            name,
            f"{found.size / 1e9:g}",
            seconds(found.seconds),
            f"{found.size / found.seconds / 1e6:.0f}",
            f"{found.size / found.plainly / 1e6:.0f}",
            megabytes(found.before),
            megabytes(found.most - found.before),
        ]
        for name, found in results.items()
    ]
    header = ["", "GB", "seconds", "MB/s", "only read, MB/s", "memory before (MB)", "more at most (MB)"]
    return table(header, rows)


# All of it


def page(sections: Sequence[str], described: str) -> str:
    """The page of results."""
    head = [
        "# Google Drive and Dropbox",
        "",
        f"Made by `python -m benchmarks.clouds --write` on {described}.",
    ]
    return "\n\n".join(["\n".join(head), _SETTING, *sections])


_SETTING = """\
The Drive and the Dropbox are the tests' own, in processes of their own on the same processors, and answer as
fast as they can: on the way to the real ones each call takes about 0.1 to 0.5 s longer, and a file as long as
the line allows. The connectors go through the libraries of Google and Dropbox, unchanged. The service has its
own Valkey and its settings as they come; recognition is `quick_engine`."""

_UPLOADS = """\
People put recordings of 10 s into five folders at random moments within {minutes} minutes, in five clouds
with a service each, all at the same time ({busy} % of the processors were in use). **Polling**: the service
asks by itself, every 30 s (Drive) or 45 s (Dropbox). **Push**, **longpoll** and **webhook**: the platform
says that something has changed. Longpolls of the Dropbox are refused where they are not what is measured. The
time is from when a file is complete at the platform until it is on record as a job; 2 s of it the file has to
stay the same."""

_CALLS = """\
From the first upload until all have their transcripts, divided by the files. How often it is asked for
changes depends on the time and on how many files come at once, the rest does not."""

_IDLE = """\
In a folder with 200 files, over {hours} hours of a clock that skips the time that all wait: what is called
and when is not changed by that. Everything is listed every 6 hours. Dropbox adds up to 90 s to each longpoll,
here 45. An access token is good for an hour at Drive, and is counted; at Dropbox for four, and is not."""

_MANY = """\
All files lie in one folder since yesterday, so that none is transcribed; the folder is watched for the first
time. A **look** is all that the service does between two pauses; the first one lists everything and remembers
every file. Then the platform says that something changed although nothing did; then one more file comes; then
the service is stopped and started again, which is measured from the start of its process. The **event loop**
is late by how much longer than 10 ms a task sleeps that sleeps 10 ms over and over."""

_DOWNLOAD = """\
Fetched as the service fetches a recording, in a process that does nothing else, onto disk; the connector
compares the platform's hash of all bytes, and afterwards the benchmark compares all bytes. **Only read**: the
same bytes over HTTP in one request with nothing done to them, which is what the local platform can send."""
