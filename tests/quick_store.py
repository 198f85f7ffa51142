"""A store for tests that only ask it and never kill it: one server for many tests, nothing on disk."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from core.embedded import find_server

_OPTIONS = ("--port", "0", "--save", "", "--appendonly", "no", "--unixsocket")


@contextmanager
def quick_store() -> Iterator[str]:
    """The URL of a server on a socket of its own, while the context is open."""
    with TemporaryDirectory() as folder:  # pytest's paths are too long for sockets
        socket = Path(folder) / "s"
        server = subprocess.Popen([find_server(), *_OPTIONS, socket], cwd=folder, stdout=subprocess.DEVNULL)
        try:
            for _ in range(500):
                if socket.exists():
                    break
                time.sleep(0.02)
            yield f"unix://{socket}"
        finally:
            server.kill()
            server.wait()
