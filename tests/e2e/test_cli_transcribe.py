"""`erni-audio transcribe` and the small commands, called as people and scripts call them."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import threading
import time
import wave
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUICK = [sys.executable, str(Path(__file__).with_name("quick_erni_audio.py"))]
REAL = [sys.executable, "-m", "core"]


def record(path: Path, seconds: float, pitch: float = 220) -> Path:
    """A recording of its own for each pitch."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = int(seconds * 8000)
    samples = (round(9000 * math.sin(2 * math.pi * pitch * i / 8000)) for i in range(count))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return path


def environment(home: Path, **more: str) -> dict[str, str]:
    """A person's, without what happens to be set where the tests run."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG", "LC_ALL", "HOME"}}
    return (
        kept
        | {"PYTHONPATH": str(ROOT), "ERNI_DATA_DIR": str(home / "data"), "PYTHONUTF8": "1", "COLUMNS": "100"}
        | more
    )


def call(
    home: Path, *arguments: str, program: list[str] | None = None, stdin: bytes = b"", **more: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*(program or QUICK), *arguments],
        cwd=home,
        env=environment(home, **more),
        input=stdin,
        capture_output=True,
        timeout=120,
        check=False,
    )


def spoken(text: bytes) -> str:
    """What a transcript as text says below its header; the quick engine's words follow from the audio."""
    body = text.decode().partition("\n\n\n")[2].rpartition("\n---")[0]
    assert "Speaker 1  [0:00]" in body
    return body


def test_the_transcript_is_printed_and_all_else_is_said_aside(tmp_path: Path) -> None:
    record(tmp_path / "talk.wav", 2)
    done = call(tmp_path, "transcribe", "talk.wav")
    assert done.returncode == 0
    assert done.stdout.startswith(b"talk.wav\n")
    assert spoken(done.stdout)
    said = done.stderr.decode().splitlines()
    assert said[0] == "talk.wav: decoding"
    assert said[-1].startswith("✓ talk.wav: 2 s of audio in ")
    assert "\x1b" not in done.stderr.decode()
    assert not list((tmp_path / "data" / "work").iterdir())


def test_folders_are_written_apart_and_each_content_is_heard_once(tmp_path: Path) -> None:
    first = record(tmp_path / "in" / "a" / "talk.wav", 1)
    record(tmp_path / "in" / "b" / "talk.wav", 1, pitch=330)
    (tmp_path / "in" / "copy.wav").write_bytes(first.read_bytes())
    (tmp_path / "in" / "broken.mp3").write_bytes(b"<html>sign in</html>")
    log = tmp_path / "log"
    done = call(tmp_path, "transcribe", "in", "--out", "out", "-f", "txt,csv,docx", QUICK_LOG=str(log))
    assert done.returncode == 1
    assert done.stdout == b""
    assert sum(line.startswith("✗ broken.mp3: ") for line in done.stderr.decode().splitlines()) == 1
    written = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert written == sorted(
        f"{base}.{suffix}" for base in ("a/talk", "b/talk", "copy") for suffix in ("txt", "csv", "docx")
    )
    assert spoken((tmp_path / "out/a/talk.txt").read_bytes()) == spoken(
        (tmp_path / "out/copy.txt").read_bytes()
    )
    assert spoken((tmp_path / "out/a/talk.txt").read_bytes()) != spoken(
        (tmp_path / "out/b/talk.txt").read_bytes()
    )
    assert len(list(csv.reader(io.StringIO((tmp_path / "out/copy.csv").read_text())))) > 1
    assert len(log.read_text().splitlines()) == 2

    (tmp_path / "out/copy.txt").write_text("mine")
    again = call(tmp_path, "transcribe", "in/copy.wav", "--out", "out")
    assert again.returncode == 1
    assert "copy.txt is there already. --force replaces it." in again.stderr.decode()
    assert (tmp_path / "out/copy.txt").read_text() == "mine"
    assert call(tmp_path, "transcribe", "in/copy.wav", "--out", "out", "--force").returncode == 0
    assert (tmp_path / "out/copy.txt").read_text() != "mine"


def test_json_is_a_document_for_one_and_a_line_for_each_of_several(tmp_path: Path) -> None:
    record(tmp_path / "talk.wav", 1)
    (tmp_path / "empty.wav").write_bytes(b"")
    one = call(tmp_path, "transcribe", "--json", "talk.wav")
    assert json.loads(one.stdout)["schema"] == "urn:erni-audio:transcript:1"
    several = call(tmp_path, "transcribe", "--json", "empty.wav", "talk.wav", "gone.wav")
    assert several.returncode == 1
    failed, good = map(json.loads, several.stdout.splitlines())
    assert (failed["path"], good["path"]) == ("empty.wav", "talk.wav")
    assert failed["error"]
    assert good["utterances"] == json.loads(one.stdout)["utterances"]


def test_a_recording_comes_from_a_pipe(tmp_path: Path) -> None:
    data = record(tmp_path / "talk.wav", 1).read_bytes()
    done = call(tmp_path, "transcribe", "-", "--format", "srt", stdin=data)
    assert done.returncode == 0
    assert b"-->" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["transcribe", "gone.wav"], 2, "gone.wav: there is no such file or folder."),
        (["transcribe", "."], 2, ".: there are no recordings in this folder."),
        (["transcribe", "x", "-f", "pdf"], 2, "There are: txt, md, srt, vtt, json, csv, seglst, docx."),
        (["transcribe", "x", "-f", "txt,srt"], 2, "Only one format can be printed: txt, for example."),
        (["transcribe", "x", "--method", "magic"], 2, "There are: standard, pyannoteai,"),
        (["transcribe", "x", "--language", "klingon"], 2, "“klingon” is not a language that is known here."),
        (["transcribe", "x", "--speakers", "5-2"], 2, "a range such as 2-5"),
        (["transcribe"], 2, "Missing argument 'PATH...'. `erni-audio transcribe --help`"),
        (["transcribe", "--colour", "x"], 2, "No such option: --colour"),
        (["transcrib"], 2, "No such command 'transcrib'. Did you mean 'transcribe'? `erni-audio --help`"),
        (["models", "fetch", "gigantic"], 2, "There is no model 'gigantic'. There are: tiny,"),
        (["audit"], 2, "No service runs on the data directory "),
        (["audit", "--since", "tuesday"], 2, "'tuesday' is no date."),
    ],
)
def test_what_goes_wrong_is_one_clear_line(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    done = call(tmp_path, *arguments)
    assert done.returncode == code
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert said in line


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    done = call(tmp_path, "serve", ERNI_HTTP_PORT="many")
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert line == "erni-audio: Setting ERNI_HTTP_PORT: should be a whole number."


def test_one_message_says_that_a_recording_is_refused(tmp_path: Path) -> None:
    record(tmp_path / "talk.wav", 1)
    done = call(tmp_path, "transcribe", "talk.wav", "-l", "German", program=REAL)
    said = done.stderr.decode()
    assert done.returncode == 1
    assert "the draft recogniser knows English only" in said
    assert "WARNING" not in said


def test_without_any_method_it_says_so(tmp_path: Path) -> None:
    record(tmp_path / "talk.wav", 1)
    done = call(tmp_path, "transcribe", "talk.wav", "--method", "local", program=REAL)
    assert done.returncode == 3
    (line,) = done.stderr.decode().splitlines()
    assert "erni-audio models fetch" in line


def read_all(terminal: int) -> str:
    shown = b""
    while True:
        ready, _, _ = select.select([terminal], [], [], 60)
        try:
            data = os.read(terminal, 65536) if ready else b""
        except OSError:  # Linux says so when the other side is closed
            data = b""
        if not data:
            return shown.decode()
        shown += data


def test_a_person_sees_a_bar_and_the_transcript_ungarbled(tmp_path: Path) -> None:
    record(tmp_path / "talk.wav", 2)
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [*QUICK, "transcribe", "talk.wav"],
        cwd=tmp_path,
        env=environment(tmp_path, TERM="xterm-256color"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    shown = read_all(mine)
    os.close(mine)
    assert process.stdout is not None
    with process.stdout:
        assert spoken(process.stdout.read())
    assert process.wait(60) == 0
    assert "talk.wav" in shown
    assert "decoding" in shown
    assert "━" in shown
    assert "%" in shown
    assert "\x1b[?25h" in shown  # the cursor is back
    assert "✓ talk.wav: 2 s of audio in " in shown


def children_of(pid: int) -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.add(int(path.parent.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_ends_its_children_and_leaves_no_audio(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    record(tmp_path / "talk.wav", 60)
    process = subprocess.Popen(
        [*REAL, "transcribe", "talk.wav", "--method", "draft"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    children: set[int] = set()
    deadline = time.monotonic() + 60
    while not children and time.monotonic() < deadline:
        children = children_of(process.pid)
        time.sleep(0.01)  # asked again until it is so
    assert children
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert b"Traceback" not in said
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert not list((tmp_path / "data" / "work").iterdir())


@pytest.mark.slow
def test_a_draft_says_why_it_is_one_and_what_would_help(tmp_path: Path) -> None:
    sample = tmp_path / "meeting.wav"
    cut(ROOT / "samples" / "meeting.m4a", sample, 8)
    done = call(tmp_path, "transcribe", "meeting.wav", program=REAL)
    assert done.returncode == 0
    assert b"DRAFT" in done.stdout
    heard = done.stdout.decode().lower()
    assert sum(word in heard for word in ("morning", "everyone", "thank", "notice", "things")) >= 3
    notices = [line for line in done.stderr.decode().splitlines() if line.startswith("Draft quality: ")]
    assert len(notices) == 1
    assert "erni-audio models fetch" in notices[0]
    german = call(tmp_path, "transcribe", "meeting.wav", "--language", "de", program=REAL)
    assert german.returncode == 1
    assert "English only" in german.stderr.decode()
    assert german.stdout == b""


def cut(source: Path, target: Path, seconds: float) -> None:
    import av

    with av.open(str(source)) as container, wave.open(str(target), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        resampler = av.AudioResampler(format="s16", layout="mono", rate=16000)
        for frame in container.decode(audio=0):
            if frame.time is not None and frame.time >= seconds:
                break
            for part in resampler.resample(frame):
                file.writeframes(part.to_ndarray().tobytes())


def test_help_names_every_command_and_the_exit_codes(tmp_path: Path) -> None:
    done = call(tmp_path, "--help")
    assert done.returncode == 0
    for name in ("transcribe", "serve", "worker", "doctor", "models", "evaluate", "audit", "Exit codes"):
        assert name in done.stdout.decode()
    script = (
        "import sys; from core.cli import COMMANDS, run; sys.exit(sum(run([n, '--help']) for n in COMMANDS))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], env=environment(tmp_path), capture_output=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    for name in ("transcribe", "serve", "worker", "doctor", "models", "evaluate", "audit"):
        assert f"Usage: erni-audio {name}" in shown.stdout.decode()
    assert call(tmp_path, "--version").stdout.startswith(b"erni-audio ")


def test_help_loads_nothing_that_is_slow(tmp_path: Path) -> None:
    script = (
        "import sys; from core.cli import run; code = run(['--help']); "
        "print([m for m in ('asyncio', 'pydantic', 'numpy', 'redis', 'aiohttp') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_doctor_says_what_can_run_and_how_to_mend_the_rest(tmp_path: Path) -> None:
    done = call(tmp_path, "doctor", program=REAL)
    text = done.stdout.decode()
    assert done.returncode == 0
    assert "engine local" in text
    assert "erni-audio models fetch" in text
    assert "A recording could be transcribed now." in text
    assert not (tmp_path / "data").exists()  # it looks, and changes nothing
    none = call(tmp_path, "doctor", "--json", program=REAL, METHODS="local")
    assert none.returncode == 1
    document = json.loads(none.stdout)
    assert document["can_transcribe"] is False
    methods = [finding for finding in document["findings"] if finding["area"] == "methods"]
    assert [finding["level"] for finding in methods] == ["bad"]


def test_the_doctor_tells_an_unreachable_redis_without_its_password(tmp_path: Path) -> None:
    done = call(tmp_path, "doctor", "--json", REDIS_URL="redis://:s3cr3t-enough@127.0.0.1:1/0")
    store = [f for f in json.loads(done.stdout)["findings"] if f["area"] == "store"]
    assert [finding["level"] for finding in store] == ["bad"]
    assert "s3cr3t" not in (done.stdout + done.stderr).decode()


def test_a_new_key_is_one_that_the_vault_takes(tmp_path: Path) -> None:
    from core.vault import Vault

    key = call(tmp_path, "doctor", "--new-key").stdout.decode().strip()
    assert Vault(key).open(Vault(key).seal(b"x")) == b"x"


def test_models_are_listed_with_size_licence_checksum_and_state(tmp_path: Path) -> None:
    (tmp_path / "models" / "whisper-tiny").mkdir(parents=True)
    (tmp_path / "models" / "whisper-tiny" / "model.bin").write_bytes(b"x" * 1000)
    done = call(tmp_path, "models", "list", "--json", MODELS_DIR="models")
    by_name = {item["name"]: item for item in json.loads(done.stdout)}
    assert by_name["tiny"]["state"].endswith("here")
    assert any("model.bin has 1,000 bytes" in problem for problem in by_name["tiny"]["problems"])
    assert by_name["speakers"]["in_use"] is True
    assert all(len(file["sha256"]) == 64 and file["licence"] for file in by_name["small"]["files"])
    table = call(tmp_path, "models", "list", MODELS_DIR="models").stdout.decode()
    assert "large-v3-turbo" in table
    assert "MIT" in table
    files = call(tmp_path, "models", "list", "--files", MODELS_DIR="models").stdout.decode()
    assert by_name["tiny"]["files"][0]["sha256"] in files


def test_a_mirror_that_lacks_the_weights_is_said(tmp_path: Path) -> None:
    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Quietly."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Nothing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        mirror = f"http://127.0.0.1:{server.server_port}"
        done = call(tmp_path, "models", "fetch", "speakers", MODELS_BASE_URL=mirror, NO_PROXY="*")
        server.shutdown()
    assert done.returncode == 2
    first, second = done.stderr.decode().splitlines()
    assert first.startswith("speakers: ")
    assert "46 MB" in first
    assert "answers with HTTP 404" in second
    assert "MODELS_BASE_URL" in second
