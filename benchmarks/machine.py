"""What the figures were measured on, in one line that names no host and no path."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path


def describe() -> str:
    """Cores, processor, memory, system, Python, date (UTC), and how busy the machine was just then."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    processor = _processor()
    load = os.getloadavg()[0]
    shared = load > (cores or 1) + 0.5
    busy = " (**busy with other work, which makes the figures worse**)" if shared else ""
    return (
        f"{cores} cores{f' ({processor})' if processor else ''}, {memory:.0f} GiB memory, "
        f"{platform.system()} {platform.machine()}, {platform.python_implementation()} "
        f"{platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}; load when it began: "
        f"{load:.1f}{busy}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
