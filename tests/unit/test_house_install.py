"""`deploy/install.py` on a small project of its own, without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import install
from deploy.install import Environment, Failed, translated

BACKEND = '''
"""A build backend that makes an editable wheel and needs nothing."""

import pathlib
import zipfile


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "tiny-1.0-py3-none-any.whl"
    info = "tiny-1.0.dist-info"
    with zipfile.ZipFile(pathlib.Path(wheel_directory, name), "w") as wheel:
        wheel.writestr("tiny.pth", str(pathlib.Path.cwd()))
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\\ntiny = tiny:main\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
'''
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose lock lists nothing, so that pip does it all."""
    folder = tmp_path / "somebody's folder"
    (folder / "deploy").mkdir(parents=True)
    shutil.copy(install.__file__, folder / "deploy")
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "tiny.py").write_text("def main():\n    print('it runs')\n")
    for lock in install.LOCKS.values():
        (folder / lock).write_text("# nothing\n")
    return folder


@pytest.fixture
def installed(root: Path) -> Environment:
    """As if installed: the files that decide, without the packages."""
    environment = Environment(root)
    environment.python.parent.mkdir(parents=True)
    environment.python.symlink_to(sys.executable)
    (environment.folder / "pyvenv.cfg").write_text("version = 3.11.7\n")
    environment.stamp("run").write_text(environment.key("run"))
    return environment


def command(root: Path, kind: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / "deploy" / "install.py"), kind],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        | {"PIP_TARGET": "/nowhere", "PIP_NO_INDEX": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_installs_mends_and_then_does_nothing(root: Path) -> None:
    environment = Environment(root)
    # As if killed in the middle of the first time.
    environment.folder.mkdir()
    environment.incomplete.touch()
    (environment.folder / "rubbish").touch()

    first = command(root, "run")
    assert first.returncode == 0, first.stderr
    assert not (environment.folder / "rubbish").exists()
    assert environment.is_current("run")
    ran = subprocess.run(
        [environment.folder / "bin" / "tiny"], capture_output=True, text=True, check=True, cwd="/"
    )
    assert ran.stdout == "it runs\n"
    assert ran.stderr == ""

    # What it would take to do anything is taken away.
    shutil.move(root / "backend.py", root / "gone.py")
    second = command(root, "run")
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")

    # A failure leaves the old environment working.
    (root / "requirements.lock").write_text("# something else\n")
    failed = command(root, "run")
    assert failed.returncode == 1
    assert "could not be installed" in failed.stderr
    assert not environment.is_broken()
    assert (environment.folder / "bin" / "tiny").exists()

    shutil.move(root / "gone.py", root / "backend.py")
    assert command(root, "run").returncode == 0
    assert environment.is_current("run")


def test_current_until_anything_that_matters_changes(installed: Environment) -> None:
    assert installed.is_current("run")
    assert not installed.is_current("dev")
    for name in ("requirements.lock", "pyproject.toml", "deploy/install.py", ".venv/pyvenv.cfg"):
        path = installed.root / name
        before = path.read_bytes()
        path.write_bytes(before + b"# changed\n")
        assert not installed.is_current("run"), name
        assert not installed.is_broken(), name
        path.write_bytes(before)
        assert installed.is_current("run")


def test_development_is_enough_to_run(installed: Environment) -> None:
    installed.stamp("run").unlink()
    installed.stamp("dev").write_text(installed.key("dev"))
    assert installed.is_current("run")
    assert installed.is_current("dev")


def test_an_interrupted_installation_is_made_anew(installed: Environment) -> None:
    installed.incomplete.touch()
    assert not installed.is_current("run")
    assert installed.is_broken()


def test_a_vanished_python_is_noticed(installed: Environment) -> None:
    installed.python.unlink()
    installed.python.symlink_to("/no/such/python")
    assert not installed.is_current("run")
    assert installed.is_broken()


def test_a_moved_folder_is_noticed(installed: Environment) -> None:
    elsewhere = installed.root.parent / "elsewhere"
    shutil.move(installed.root, elsewhere)
    moved = Environment(elsewhere)
    assert not moved.is_current("run")
    assert moved.is_broken()


def test_an_environment_made_by_hand_is_kept(installed: Environment) -> None:
    installed.stamp("run").unlink()
    assert not installed.is_current("run")
    assert not installed.is_broken()


def test_without_a_compiler_it_says_what_to_install(
    installed: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(installed.root))
    with pytest.raises(Failed, match=r"apt install g\+\+ python3-dev"):
        installed.install("dev")
    assert not installed.incomplete.exists()


def test_uv_learns_what_pip_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in install.PIP_TO_UV.values():
        monkeypatch.delenv(name, raising=False)
    listed = (
        ":env:.cert='/etc/ca.pem'\nglobal.index-url='https://u:p@mirror.test/simple'\nglobal.timeout='9'\n"
    )
    assert translated(listed) == {
        "SSL_CERT_FILE": "/etc/ca.pem",
        "UV_DEFAULT_INDEX": "https://u:p@mirror.test/simple",
    }
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://mine.test")
    assert "UV_DEFAULT_INDEX" not in translated(listed)


def test_uv_itself_comes_by_its_hashes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Environment(root)
    calls: list[tuple[list[str], str]] = []

    def run(arguments: list[str], _environment: dict[str, str] | None = None) -> bool:
        calls.append((arguments, Path(arguments[-1]).read_text()))
        return False

    monkeypatch.setattr(install, "run", run)
    lock = Path(install.__file__).parent.parent / "requirements.lock"
    assert environment._environment_for_uv(lock) is None
    [(arguments, wanted)] = calls
    assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(arguments)
    assert wanted.startswith("uv==")
    assert wanted.count("==") == 1
    assert wanted.count("--hash=sha256:") > 5
    assert not wanted.rstrip().endswith("\\")


def test_wrong_use_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert install.main([]) == 2
    assert install.main(["everything"]) == 2
    assert "usage" in capsys.readouterr().err
