"""Makes the environment `.venv` hold exactly what a lock says, and the project itself.

    python deploy/install.py run|dev

Needs nothing but the standard library. It is fast when there is nothing to do, and mends what an interrupted
run, a moved folder or a vanished Python left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {"run": "requirements.lock", "dev": "requirements-dev.lock"}
# The development lock holds all of the other one, at the same versions.
SATISFIED_BY = {"run": ("run", "dev"), "dev": ("dev",)}
# Settings that would send packages elsewhere than into the environment.
MISLEADING = ("PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")
# uv reads none of pip's configuration; without these it would not reach the index behind a company's proxy.
PIP_TO_UV = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE", "proxy": "ALL_PROXY"}


class Failed(Exception):
    """Says what to do."""


class Environment:
    """The virtual environment of the project in `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.python = self.folder / "bin" / "python"
        self.uv = self.folder / "bin" / "uv"
        self.incomplete = self.folder / ".incomplete"

    def key(self, kind: str) -> str:
        """What an installation of `kind` depends on, in one line; the folder's place comes first."""
        digest = hashlib.sha256()
        for name in (LOCKS[kind], "pyproject.toml", "deploy/install.py"):
            digest.update((self.root / name).read_bytes())
        with contextlib.suppress(OSError):
            digest.update((self.folder / "pyvenv.cfg").read_bytes())
        return f"{digest.hexdigest()} {self.root}\n"

    def stamp(self, kind: str) -> Path:
        """The file that says what was installed completely."""
        return self.folder / f".installed-{kind}"

    def is_current(self, kind: str) -> bool:
        """Whether nothing needs to be done."""
        return (
            not self.incomplete.exists()
            and os.access(self.python, os.X_OK)
            and any(_text(self.stamp(other)) == self.key(other) for other in SATISFIED_BY[kind])
        )

    def is_broken(self) -> bool:
        """Whether it must be made anew: half installed, moved, or its Python is gone."""
        if self.incomplete.exists() or not os.access(self.python, os.X_OK):
            return self.folder.exists()
        stamps = [_text(self.stamp(kind)) for kind in LOCKS]
        return any(stamp and not stamp.endswith(f" {self.root}\n") for stamp in stamps)

    def install(self, kind: str) -> None:
        """Install lock and project. Raises Failed."""
        if self.is_broken():
            shutil.rmtree(self.folder)
        if not self.folder.exists():
            say("Making the environment .venv; this happens once.")
            self.folder.mkdir()
            self.incomplete.touch()
            venv.create(self.folder, with_pip=True, symlinks=True)
        self.incomplete.touch()
        try:
            if kind == "dev":
                self._need_compiler()
            self._packages(kind)
        except Failed:
            # Both installers touch the environment only when they have everything: it is as it was.
            self.incomplete.unlink()
            raise
        for other in LOCKS:
            self.stamp(other).unlink(missing_ok=True)  # `dev` may have changed what `run` installed, and back
        written = self.stamp(kind).with_suffix(".new")
        written.write_text(self.key(kind))
        written.replace(self.stamp(kind))
        self.incomplete.unlink()

    def _packages(self, kind: str) -> None:
        lock = self.root / LOCKS[kind]
        locked = ["--require-hashes", "--requirement", str(lock)]
        project = ["--no-deps", "--no-build-isolation", "--editable", str(self.root)]
        say(f"Installing what {lock.name} lists ...")
        environment = self._environment_for_uv(lock)
        if environment is not None:
            if kind == "run":
                locked += ["--only-binary", ":all:"]
            else:
                # What builds meeteval is locked too.
                locked += ["--build-constraints", str(lock)]
            quiet = [] if sys.stderr.isatty() else ["--quiet"]
            uv = [str(self.uv), "pip", "install", "--python", str(self.python), *quiet]
            if run([*uv, *locked], environment) and run([*uv, *project], environment):
                return
            say("uv could not do it; trying pip, which knows your mirrors and certificates ...")
        # Byte code is compiled at each module's first import instead, and most modules never are imported.
        pip = [str(self.python), "-m", "pip", "install", "--quiet", "--no-compile", "--no-input"]
        if not run([*pip, *locked]) or not run([*pip, *project]):
            raise Failed("The packages could not be installed; the reason is above. Mend it and try again.")

    def _environment_for_uv(self, lock: Path) -> dict[str, str] | None:
        """The environment for uv, which is installed first; None if it can't be had."""
        found = re.search(r"^uv==(\S+)(?:.*\\\n)+?.*[^\\]\n", lock.read_text(), re.MULTILINE)
        if found is None:
            return None
        pip = [str(self.python), "-m", "pip"]
        if not (self.uv.exists() and output([str(self.uv), "--version"]).split()[1:2] == [found[1]]):
            with tempfile.TemporaryDirectory() as folder:
                wanted = Path(folder, "uv.lock")
                wanted.write_text(found[0])
                options = ["--quiet", "--no-compile", "--no-input", "--no-deps", "--only-binary", ":all:"]
                if not run([*pip, "install", *options, "--require-hashes", "--requirement", str(wanted)]):
                    return None
        return clean_environment() | translated(output([*pip, "config", "list"]))

    def _need_compiler(self) -> None:
        """meeteval, which scores transcripts, has no wheels."""
        if any((self.folder / "lib").glob("python*/site-packages/meeteval/__init__.py")):
            return
        headers = Path(sysconfig.get_path("include"), "Python.h")
        if not any(map(shutil.which, ("c++", "g++", "clang++"))) or not headers.exists():
            raise Failed(
                "The tests' packages need a C++ compiler and Python's headers. "
                "Debian and Ubuntu: apt install g++ python3-dev. macOS: xcode-select --install"
            )


def translated(pip_configuration: str) -> dict[str, str]:
    """uv's variables for what `pip config list` printed, where the caller has not set them."""
    result = {}
    for line in pip_configuration.splitlines():
        name, _, value = line.partition("=")
        variable = PIP_TO_UV.get(name.rpartition(".")[2])
        if variable and variable not in os.environ:
            result[variable] = value.strip("'\"")
    return result


def clean_environment() -> dict[str, str]:
    """This process's environment without what would mislead an installer."""
    return {name: value for name, value in os.environ.items() if name not in MISLEADING}


def run(command: list[str], environment: dict[str, str] | None = None) -> bool:
    """Whether `command` succeeded. Its output goes to standard error, as all talk here."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        check=False,
        env=environment or clean_environment(),
    )
    return done.returncode == 0


def output(command: list[str]) -> str:
    """What `command` printed, empty if it failed."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(),
    )
    return done.stdout if done.returncode == 0 else ""


def say(text: str) -> None:
    """Tell the person."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """One installation at a time: `make run` and `make test` may be started together."""
    folder = os.open(root, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def main(arguments: list[str]) -> int:
    """The command."""
    if len(arguments) != 1 or arguments[0] not in LOCKS:
        say(f"usage: python deploy/install.py {'|'.join(LOCKS)}")
        return 2
    kind, environment = arguments[0], Environment(ROOT)
    try:
        if not environment.is_current(kind):
            with alone(environment.root):
                if not environment.is_current(kind):
                    environment.install(kind)
    except (Failed, OSError, subprocess.SubprocessError) as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("Interrupted; the next run starts afresh.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
