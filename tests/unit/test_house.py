"""The files around the code: they parse, agree with one another, and do what they promise."""

from __future__ import annotations

import asyncio
import configparser
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from prometheus_client import CollectorRegistry

from core.configuration import main as configuration
from core.http import HttpServer
from core.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DRAIN_SECONDS = Settings.model_fields["drain_seconds"].default
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def load_yaml(name: str) -> Any:
    return yaml.safe_load(read(name))


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {
        name: value
        for name, value in os.environ.items()
        if name not in ("FOLDER_PATHS", "ERNI_DATA_DIR", "MAKEFLAGS", "MAKELEVEL")
    }
    plain["PYTHON"] = sys.executable
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=plain | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


# the Makefile


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `make` needs of a checkout, with a service that only says how it was called."""
    folder = tmp_path / "a folder's name"
    (folder / "deploy").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "deploy" / "find-python", folder / "deploy")
    (folder / "deploy" / "install.py").write_text("import sys; print('installs', *sys.argv[1:])")
    executable(
        folder / ".venv" / "bin" / "erni-audio",
        '#!/bin/sh\necho "$PWD: $* watches $FOLDER_PATHS, keeps $ERNI_DATA_DIR"\n',
    )
    return folder


@needs_make
@pytest.mark.parametrize("target", sorted(targets()))
def test_every_target_works_from_a_path_with_spaces(checkout: Path, target: str) -> None:
    done = make(checkout, "--dry-run", target)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@needs_make
def test_make_alone_lists_the_targets(checkout: Path) -> None:
    listed = make(checkout).stdout
    for target in ("run", "test", "lint", "types", "check", "lock", "bench", "clean", "help"):
        assert re.search(rf"^  make {target} +\S", listed, re.MULTILINE)


@needs_make
def test_run_installs_and_starts_with_a_folder_of_its_own(checkout: Path) -> None:
    done = make(checkout, "run")
    assert done.stdout.splitlines() == [
        "installs run",
        f"{checkout}: serve watches ./inbox, keeps ./.erni-audio",
    ]


@needs_make
def test_run_respects_what_the_user_set(checkout: Path) -> None:
    assert "watches /a b, keeps ./.erni-audio" in make(checkout, "run", FOLDER_PATHS="/a b").stdout
    (checkout / ".env").write_text("# ERNI_DATA_DIR=no\n export FOLDER_PATHS = /x\nERNI_DATA_DIR=/y\n")
    # What is in .env is for the service to read: the environment would override it.
    assert "watches , keeps \n" in make(checkout, "run").stdout


@needs_make
def test_a_failing_installation_starts_nothing(checkout: Path) -> None:
    (checkout / "deploy" / "install.py").write_text("raise SystemExit(3)")
    done = make(checkout, "run")
    assert done.returncode != 0
    assert "watches" not in done.stdout


@needs_make
def test_clean_keeps_recordings_and_data(checkout: Path) -> None:
    for name in ("inbox/a.wav", ".erni-audio/store", "core/__pycache__/x.pyc"):
        (checkout / name).parent.mkdir(parents=True)
        (checkout / name).touch()
    assert make(checkout, "clean").returncode == 0
    assert (checkout / "inbox/a.wav").exists()
    assert (checkout / ".erni-audio/store").exists()
    assert not (checkout / ".venv").exists()
    assert not (checkout / "core/__pycache__").exists()


def find_python(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(ROOT / "deploy" / "find-python")],
        cwd=folder,
        env={"PATH": str(folder)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


GOOD = "#!/bin/sh\nexit 0\n"
OLD = "#!/bin/sh\ncase $2 in *version_info*) exit 1;; esac\n"
WITHOUT_VENV = "#!/bin/sh\ncase $2 in *ensurepip*) exit 1;; esac\n"


def test_a_python_that_can_is_found(tmp_path: Path) -> None:
    executable(tmp_path / "python3", OLD)
    executable(tmp_path / "python3.13", WITHOUT_VENV)
    executable(tmp_path / "python3.12", GOOD)
    assert find_python(tmp_path).stdout == f"{tmp_path}/python3.12\n"
    executable(tmp_path / "my python", GOOD)
    assert find_python(tmp_path, PYTHON=f"{tmp_path}/my python").stdout == f"{tmp_path}/my python\n"
    executable(tmp_path / ".venv/bin/python", GOOD)
    assert find_python(tmp_path).stdout == ".venv/bin/python\n"


@pytest.mark.parametrize(
    ("stub", "environment", "message"),
    [
        (None, {}, "needs Python 3.11 or newer"),
        (OLD, {}, "needs Python 3.11 or newer"),
        (WITHOUT_VENV, {}, "apt install python3-venv"),
        (GOOD, {"PYTHON": "none-such"}, "PYTHON=none-such is not a Python 3.11"),
    ],
)
def test_without_a_python_it_says_what_to_do(
    tmp_path: Path, stub: str | None, environment: dict[str, str], message: str
) -> None:
    if stub:
        executable(tmp_path / "python3", stub)
    done = find_python(tmp_path, **environment)
    assert done.returncode == 1
    assert message in done.stderr
    assert not done.stdout


# dependencies


def locked(name: str) -> dict[str, list[tuple[Requirement, str]]]:
    """Requirements by package name, each with the text of its hashes."""
    found: dict[str, list[tuple[Requirement, str]]] = {}
    for block in re.split(r"\n(?=[a-z0-9])", read(name)):
        first, _, rest = block.partition("\\\n")
        requirement = Requirement(first)
        found.setdefault(canonicalize_name(requirement.name), []).append((requirement, rest))
    return found


def wanted(*extras: str, groups: tuple[str, ...] = ()) -> list[Requirement]:
    project = tomllib.loads(read("pyproject.toml"))
    lines = list(project["project"]["dependencies"])
    for extra in extras:
        lines += project["project"]["optional-dependencies"][extra]
    for group in groups:
        lines += project["dependency-groups"][group]
    requirements = [Requirement(line) for line in lines]
    inner = [extra for entry in requirements if entry.name == "erni-audio" for extra in sorted(entry.extras)]
    return [entry for entry in requirements if entry.name != "erni-audio"] + (wanted(*inner) if inner else [])


@pytest.mark.parametrize(
    ("lock", "requirements"),
    [
        ("requirements.lock", wanted("standalone", groups=("build",))),
        ("requirements-dev.lock", wanted("standalone", "evaluate", groups=("build", "dev"))),
    ],
)
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_the_lock_is_as_fresh_as_the_project(
    lock: str, requirements: list[Requirement], python: str, platform: str
) -> None:
    pins = locked(lock)
    machine = {
        "python_version": python,
        "python_full_version": f"{python}.4",
        "sys_platform": platform,
        "platform_machine": "x86_64",
    }
    for requirement in requirements:
        if requirement.marker and not requirement.marker.evaluate(machine):
            continue
        versions = [
            next(iter(pin.specifier)).version
            for pin, _ in pins.get(canonicalize_name(requirement.name), [])
            if not pin.marker or pin.marker.evaluate(machine)
        ]
        assert len(versions) == 1, f"{lock} should pin {requirement} once; run: make lock"
        assert requirement.specifier.contains(versions[0]), f"{requirement}: run: make lock"


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_the_lock_names_hashes_and_no_registry(lock: str) -> None:
    assert "://" not in read(lock)
    for pins in locked(lock).values():
        for pin, rest in pins:
            assert [specifier.operator for specifier in pin.specifier] == ["=="]
            assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", rest), pin


def test_the_lock_drags_nothing_along_that_is_not_asked_for() -> None:
    direct = {canonicalize_name(entry.name) for entry in wanted("standalone", groups=("build",))}
    for name, pins in locked("requirements.lock").items():
        for _, rest in pins:
            if "erni-audio (pyproject.toml" in rest:
                assert name in direct, f"{name} is gone from pyproject.toml; run: make lock"


def test_development_has_the_service_s_own_versions() -> None:
    development = locked("requirements-dev.lock")
    for name, pins in locked("requirements.lock").items():
        assert {str(pin.specifier) for pin, _ in pins} == {
            str(pin.specifier) for pin, _ in development.get(name, [])
        }


# documents, checks and CI


def test_the_settings_tables_are_current() -> None:
    assert configuration(["--check", str(ROOT / "README.md")]) == 0


def test_ci_calls_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    assert re.search(r"\bmake test$", script.read_text().rstrip())


def test_the_workflow_uses_the_same_targets_and_few_rights() -> None:
    workflow = load_yaml(".github/workflows/ci.yml")
    assert workflow["permissions"] == {"contents": "read"}
    events = workflow[True]  # YAML 1.1 reads `on` as a truth value
    assert "pull_request_target" not in events
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert "make test" in commands
    for command in commands:
        for target in re.findall(r"\bmake ([a-z-]+)", command):
            assert target in targets()
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 30
        assert "permissions" not in job
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_pre_commit_runs_what_is_locked() -> None:
    pins = locked("requirements-dev.lock")
    package = {"ruff": "ruff", "mypy": "mypy", "lint-imports": "import-linter", "core.configuration": None}
    entries = [
        hook["entry"] for repo in load_yaml(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]
    ]
    assert len(entries) == 5
    for entry in entries:
        tool = re.match(r"\.venv/bin/(?:python -m )?(\S+)", entry)
        assert tool
        name = package[tool[1]]
        assert name is None or name in pins


# containers and services


def stages() -> list[list[tuple[str, str]]]:
    """The Dockerfile's instructions by stage."""
    text = re.sub(r"^#.*\n", "", read("Dockerfile"), flags=re.MULTILINE)
    result: list[list[tuple[str, str]]] = []
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            assert re.fullmatch("[A-Z]+", name), f"not an instruction: {line}"
            if name == "FROM":
                result.append([])
            result[-1].append((name, rest.strip()))
    return result


def test_the_image_runs_without_rights_and_without_tools() -> None:
    build, final = stages()
    users = [rest for name, rest in final if name == "USER"]
    assert users
    assert users[-1].split(":")[0].isdigit()
    assert int(users[-1].split(":")[0]) >= 1000
    assert not any(re.search(r"\b(apt|apt-get|pip|uv|gcc)\b", rest) for name, rest in final if name == "RUN")
    assert ("VOLUME", '["/data"]') in final
    assert ("ENTRYPOINT", '["erni-audio"]') in final
    assert ("CMD", '["serve"]') in final
    installs = [
        part for name, rest in build if name == "RUN" for part in rest.split("&&") if " install " in part
    ]
    assert len(installs) == 3
    for install in installs:
        assert {"--require-hashes", "--only-binary"} <= set(install.split()) or "--no-deps" in install.split()


def test_the_image_gets_what_its_build_copies() -> None:
    ignored = read(".dockerignore").splitlines()
    assert "*" in ignored
    for name, rest in stages()[0]:
        if name == "COPY":
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists()
                assert f"!{source}" in ignored


def test_only_the_build_s_uv_block_is_taken_from_the_lock(tmp_path: Path) -> None:
    run = next(rest for name, rest in stages()[0] if name == "RUN")
    scripts = re.findall(r"awk ('.*?') requirements\.lock", run)
    assert len(scripts) == 2
    uv, service = (
        subprocess.run(
            ["/bin/sh", "-c", f"awk {script} requirements.lock"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for script in scripts
    )
    assert re.findall(r"^\S+==", uv, re.MULTILINE) == ["uv=="]
    assert uv.count("--hash=") > 5
    names = {line.split("==")[0] for line in re.findall(r"^\S+==", service, re.MULTILINE)}
    assert names == set(locked("requirements.lock")) - {"uv"}
    assert service.count("--hash=") + uv.count("--hash=") == read("requirements.lock").count("--hash=")


async def healthcheck(port: int) -> int:
    command = json.loads(next(rest for name, rest in stages()[1] if name == "HEALTHCHECK").split("CMD ")[1])
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command[1:],
        env=os.environ | {"ERNI_HTTP_PORT": str(port), "http_proxy": "http://192.0.2.1:1"},
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await process.wait()


async def test_the_health_check_tells_alive_from_dead() -> None:
    async with HttpServer(port=0, probes={}, registry=CollectorRegistry()) as http:
        port = http.port
        assert await healthcheck(port) == 0
    assert await healthcheck(port) != 0


def seconds(text: str) -> float:
    assert text.endswith("s")
    return float(text[:-1])


def test_compose_starts_service_workers_and_a_private_durable_store() -> None:
    services = load_yaml("docker-compose.yml")["services"]
    assert set(services) == {"service", "worker", "valkey"}
    for entry in services.values():
        assert entry["restart"] == "unless-stopped"
        assert {"cpus", "memory"} <= set(entry["deploy"]["resources"]["limits"])
        assert entry["read_only"] is True
        assert entry["cap_drop"] == ["ALL"]
        assert entry["user"] not in ("root", "0")
    assert services["service"]["command"] == ["serve"]
    assert services["worker"]["command"] == ["worker"]
    assert services["worker"]["deploy"]["replicas"] >= 2
    for name in ("service", "worker"):
        assert "${VALKEY_PASSWORD" in services[name]["environment"]["REDIS_URL"]
        assert seconds(services[name]["stop_grace_period"]) > DRAIN_SECONDS
        assert services[name]["depends_on"]["valkey"]["condition"] == "service_healthy"
    assert all(port.startswith("127.0.0.1:") for port in services["service"]["ports"])
    assert any(mount.endswith(":/inbox") for mount in services["service"]["volumes"])
    valkey = services["valkey"]
    assert "ports" not in valkey
    assert valkey["networks"] == ["store"]
    assert load_yaml("docker-compose.yml")["networks"]["store"]["internal"] is True
    assert "--appendonly yes --appendfsync always" in valkey["command"][-1]
    assert "${VALKEY_PASSWORD" in valkey["environment"]["VALKEY_PASSWORD"]
    assert "healthcheck" in valkey


VALKEY = shutil.which("valkey-server") or shutil.which("redis-server")


@pytest.mark.skipif(VALKEY is None, reason="needs valkey-server or redis-server")
async def test_the_store_of_compose_starts_and_wants_its_password(tmp_path: Path) -> None:
    command = load_yaml("docker-compose.yml")["services"]["valkey"]["command"]
    script = command[-1].replace("$$", "$")
    for old, new in (
        ("valkey-server", f"{VALKEY} "),
        ("/tmp/valkey.conf", f"{tmp_path}/valkey.conf"),
        ("--dir /data", f"--dir {tmp_path} --port 0 --unixsocket {tmp_path}/s"),
    ):
        assert old in script
        script = script.replace(old, new)
    process = await asyncio.create_subprocess_exec(
        *command[:-1],
        script,
        env=os.environ | {"VALKEY_PASSWORD": "p w#d"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    try:
        async with asyncio.timeout(30):
            while b"eady to accept connections" not in (line := await process.stdout.readline()):
                assert line, "the server ended"
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        writer.write(b'PING\r\nAUTH "p w#d"\r\nCONFIG GET appendfsync\r\n')
        assert (await reader.readline()).startswith(b"-NOAUTH")
        assert await reader.readline() == b"+OK\r\n"
        answer = [await reader.readline() for _ in range(5)]
        assert answer[-1] == b"always\r\n"
        writer.close()
        await writer.wait_closed()
    finally:
        process.terminate()  # reaches the server itself: the shell has become it
        async with asyncio.timeout(30):
            await process.communicate()
    assert process.returncode == 0
    assert stat.S_IMODE((tmp_path / "valkey.conf").stat().st_mode) == 0o600


def test_the_systemd_unit_gives_the_service_time_and_few_rights() -> None:
    class Unit(configparser.RawConfigParser):
        def optionxform(self, optionstr: str) -> str:
            return optionstr

    unit = Unit(strict=False)
    unit.read_string(read("deploy/erni-audio.service"))
    service = unit["Service"]
    assert service["ExecStart"].endswith("/.venv/bin/erni-audio serve")
    assert service["KillMode"] == "mixed"
    assert float(service["TimeoutStopSec"]) > DRAIN_SECONDS
    assert service["User"] != "root"
    for name in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "RestrictSUIDSGID"):
        assert service[name] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert service["StateDirectoryMode"] == "0700"
