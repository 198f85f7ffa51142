"""What this machine offers: memory, processor cores, a GPU. Respects container limits; loads no library."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """`memory_bytes` and `cores` that this process may use; memory of the largest NVIDIA GPU or None."""

    memory_bytes: int
    cores: int
    gpu_memory_bytes: int | None = None


def probe() -> Machine:
    """Look at the machine. Blocks for about a second where there is a GPU: call it off the event loop."""
    return Machine(memory_bytes=_memory(), cores=_cores(), gpu_memory_bytes=_gpu_memory())


def share_cores(cores: int, *, gpu: bool) -> tuple[int, int]:
    """Threads for recognition and for diarization, which run at the same time.

    Recognition takes about twice as long on a processor; with a GPU it needs hardly any thread.
    """
    if gpu:
        return 1, max(1, cores - 1)
    diarizer = max(1, cores // 3)
    return max(1, cores - diarizer), diarizer


def parse_cpu_max(text: str) -> float | None:
    """Cores allowed by a cgroup v2 `cpu.max` such as `150000 100000`; None for `max` or nonsense."""
    quota, _, period = text.strip().partition(" ")
    if not (quota.isdigit() and period.strip().isdigit()) or int(period) == 0:
        return None
    return int(quota) / int(period)


def parse_memory_max(text: str) -> int | None:
    """Bytes allowed by a cgroup v2 `memory.max`; None for `max` or nonsense."""
    value = text.strip()
    return int(value) if value.isdigit() else None


def parse_gpu_memory(text: str) -> int | None:
    """Bytes of the largest GPU in the output of `nvidia-smi --query-gpu=memory.total` (MiB a line)."""
    sizes = [int(line.strip()) * 2**20 for line in text.splitlines() if line.strip().isdigit()]
    return max(sizes, default=None)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _memory() -> int:
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):  # a system that does not tell: assume an ordinary computer
        physical = 8 * 2**30
    limit = parse_memory_max(_read(_CGROUP / "memory.max"))
    return min(physical, limit) if limit else physical


def _cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = parse_cpu_max(_read(_CGROUP / "cpu.max"))
    return max(1, min(cores, round(limit))) if limit else cores


def _gpu_memory() -> int | None:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    try:
        found = subprocess.run(  # noqa: S603  (a fixed command without anybody's input)
            [tool, "--query-gpu=memory.total", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):  # a driver that is broken is no GPU
        return None
    return parse_gpu_memory(found.stdout) if found.returncode == 0 else None
