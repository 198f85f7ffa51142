"""The real service and command against vendors' servers, with a conversation of which every word is known."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import numpy.typing as npt
import pytest
from redis.asyncio import Redis
from scipy.signal import correlate  # type: ignore[import-untyped]

from core.embedded import socket_url
from core.model import Word
from tests.e2e.test_cli_serve import settings
from tests.e2e.test_cli_transcribe import REAL, ROOT, environment
from tests.vendors import pyannoteai
from tests.vendors.everybody import Everybody, serving
from tests.vendors.faults import Fault
from tests.vendors.openai_audio import Phrase, Said

MEETING = ROOT / "samples" / "meeting.m4a"
HASTY = [sys.executable, str(Path(__file__).with_name("hasty_erni_audio.py"))]

Samples = npt.NDArray[np.float32]


def samples_of(source: Any) -> Samples:
    """8 kHz mono: enough to find a piece again."""
    with av.open(source) as file:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=8000)
        frames = [new for frame in file.decode(audio=0) for new in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


class Conversation:
    """What is said in the sample, and where in it a piece that a vendor was sent comes from."""

    def __init__(self) -> None:
        self.said = json.loads(MEETING.with_suffix(".seglst.json").read_text())
        self.whole = samples_of(str(MEETING))
        speakers = list(dict.fromkeys(each["speaker"] for each in self.said))
        self.speakers = {name: str(number + 1) for number, name in enumerate(speakers)}

    def place(self, data: bytes) -> tuple[float, float]:
        piece = samples_of(io.BytesIO(data))
        at = int(np.argmax(correlate(self.whole, piece, mode="valid"))) if len(piece) < len(self.whole) else 0
        return at / 8000, (at + len(piece)) / 8000

    def hear(self, data: bytes, _form: object) -> Said:
        start, end = self.place(data)
        return Said(
            phrases=[
                Phrase(
                    start=max(0.0, each["start_time"] - start),
                    end=min(end, each["end_time"]) - start,
                    text=each["words"],
                )
                for each in self.said
                if start <= (each["start_time"] + each["end_time"]) / 2 <= end
            ]
        )

    @property
    def words(self) -> list[Word]:
        found = []
        for each in self.said:
            texts = each["words"].split()
            step = (each["end_time"] - each["start_time"]) / len(texts)
            for number, text in enumerate(texts):
                start = each["start_time"] + number * step
                speaker = self.speakers[each["speaker"]]
                found.append(Word(start=start, end=start + step * 0.95, text=text, speaker=speaker))
        return found

    @property
    def turns(self) -> list[dict[str, Any]]:
        """Exclusive ones: who begins to speak has the word."""
        begins = [each["start_time"] for each in self.said[1:]] + [float("inf")]
        return [
            {
                "start": each["start_time"],
                "end": min(each["end_time"], begin),
                "speaker": f"SPEAKER_0{self.speakers[each['speaker']]}",
            }
            for each, begin in zip(self.said, begins, strict=True)
        ]

    def labelled(self) -> list[tuple[str | None, str]]:
        return [(f"Speaker {word.speaker}", word.text) for word in self.words]


@pytest.fixture(scope="module")
def conversation() -> Conversation:
    return Conversation()


@pytest.fixture
async def vendors(conversation: Conversation) -> AsyncIterator[Everybody]:
    async with serving(conversation.words) as everybody:
        everybody.openai.say = conversation.hear
        everybody.pyannoteai.outputs["diarize"] |= {
            "diarization": conversation.turns,
            "exclusiveDiarization": conversation.turns,
        }
        yield everybody


async def ran(home: Path, *arguments: str, **more: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *REAL,
        *arguments,
        cwd=home,
        env=environment(home, **more),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def service(home: Path, **more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    with (home / "log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            *HASTY, "serve", cwd=home, env=settings(home, **more), stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.1)


def labelled(path: Path) -> list[tuple[str | None, str]]:
    document = json.loads(path.read_text())
    return [(said["speaker"], word["text"]) for said in document["utterances"] for word in said["words"]]


@pytest.mark.parametrize("model", ["whisper-1", "gpt-transcribe"])
async def test_the_end_of_a_model_changes_a_setting_and_nothing_else(
    tmp_path: Path, vendors: Everybody, conversation: Conversation, model: str
) -> None:
    code, out, err = await ran(
        tmp_path,
        *("transcribe", str(MEETING), "--json", "--method", "standard"),
        **vendors.environment | {"OPENAI_TRANSCRIBE_MODEL": model},
    )
    assert code == 0, err
    (tmp_path / "out.json").write_text(out)
    assert labelled(tmp_path / "out.json") == conversation.labelled()
    asked = {request.form["model"][0] for request in vendors.openai.requests}
    assert asked == {model}
    assert (len(vendors.openai.requests) == 1) == (model == "whisper-1")


@pytest.mark.parametrize(
    "method", ["pyannoteai", "openai", "elevenlabs", "assemblyai", "deepgram", "replicate"]
)
async def test_every_method_that_is_one_call(
    tmp_path: Path, vendors: Everybody, conversation: Conversation, method: str
) -> None:
    vendors.hear(conversation.words)
    code, out, err = await ran(
        tmp_path, "transcribe", str(MEETING), "--json", "--method", method, **vendors.environment
    )
    assert code == 0, err
    (tmp_path / "out.json").write_text(out)
    assert labelled(tmp_path / "out.json") == conversation.labelled()
    code, out, err = await ran(tmp_path, "costs", "--json")
    assert code == 0, err
    (cost,) = json.loads(out)["costs"]
    assert 77 < cost["seconds"] < 80


async def test_speakers_come_later_to_the_same_file(
    tmp_path: Path, vendors: Everybody, conversation: Conversation
) -> None:
    vendors.pyannoteai.faults.add("POST /v1/media/input", *[Fault()] * 1000)
    environment = vendors.environment | {"METHODS": "standard"}
    async with service(tmp_path, **environment):
        inbox, answer = tmp_path / "inbox", tmp_path / "inbox" / "talk.transcript.json"
        shutil.copy(MEETING, inbox / "talk.m4a")
        await until(answer.exists)
        assert {speaker for speaker, _ in labelled(answer)} == {None}
        heard = len(vendors.openai.requests)
        vendors.pyannoteai.faults.forgive()
        await until(lambda: labelled(answer) == conversation.labelled())
        assert len(vendors.openai.requests) == heard, "words are paid for once"
        assert "could not be told apart" not in (inbox / "talk.transcript.md").read_text()
    names = {"talk.m4a", *(f"talk.transcript.{suffix}" for suffix in ("md", "srt", "json"))}
    assert {path.name for path in inbox.iterdir() if not path.name.startswith(".")} == names


async def test_another_method_takes_over_and_the_transcript_says_so(
    tmp_path: Path, vendors: Everybody, conversation: Conversation
) -> None:
    vendors.openai.key = "another"  # the account's key was revoked
    environment = vendors.environment | {"METHODS": "standard,deepgram"}
    async with service(tmp_path, **environment):
        shutil.copy(MEETING, tmp_path / "inbox" / "talk.m4a")
        answer = tmp_path / "inbox" / "talk.transcript.json"
        await until(answer.exists)
        # Exclusive turns end where another begins: two words that are said at once can change places.
        differing = Counter(conversation.labelled()) - Counter(labelled(answer))
        assert differing.total() <= 2
        assert any(
            "failed, so `deepgram` was used" in warning
            for warning in json.loads(answer.read_text())["warnings"]
        )
        code, out, err = await ran(tmp_path, "costs", "--json", **vendors.environment)
    assert code == 0, err
    assert {row["engine"] for row in json.loads(out)["costs"]} == {"pyannoteai", "deepgram"}
    log = (tmp_path / "log").read_text()
    assert "Good morning" not in log
    assert not any(
        value in log for name, value in vendors.environment.items() if "KEY" in name or "TOKEN" in name
    )


async def kept_answers(home: Path) -> int:
    """How many answers of vendors wait in the store for another attempt."""
    async with Redis.from_url(socket_url(home / "data")) as redis:
        return sum([await redis.hlen(key) async for key in redis.scan_iter("{erni}:kept:of:*")])


async def test_an_attempt_that_is_killed_is_paid_for_once(
    tmp_path: Path, vendors: Everybody, conversation: Conversation
) -> None:
    # A killed process's places at a vendor come free after half a minute: there are enough for two.
    models = {"OPENAI_TRANSCRIBE_MODEL": "gpt-transcribe", "OPENAI_CONCURRENCY": "64"}
    more = vendors.environment | models
    call = ("transcribe", str(MEETING), "--json", "--method", "standard")
    first: list[tuple[float, float]] = []
    second: list[tuple[float, float]] = []
    over = asyncio.Event()

    async def three(data: bytes, form: object) -> Said:
        if len(first) == 3:
            await over.wait()
            return Said()
        first.append(conversation.place(data))
        return conversation.hear(data, form)

    def rest(data: bytes, form: object) -> Said:
        second.append(conversation.place(data))
        return conversation.hear(data, form)

    vendors.openai.say = three
    process = await asyncio.create_subprocess_exec(
        *(*REAL, *call),
        cwd=tmp_path,
        env=environment(tmp_path, **more),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    await until(lambda: len(first) == 3)
    async with asyncio.timeout(60):
        while await kept_answers(tmp_path) < 4:  # the speaker turns are one more
            await asyncio.sleep(0.05)
    process.kill()
    await process.wait()
    over.set()

    vendors.openai.say = rest
    code, out, err = await ran(tmp_path, *call, **more)
    assert code == 0, err
    (tmp_path / "out.json").write_text(out)
    assert labelled(tmp_path / "out.json") == conversation.labelled()
    assert len(vendors.pyannoteai.jobs) == 1
    assert second
    assert len({round(start, 1) for start, _ in first + second}) == len(first + second)
    code, out, err = await ran(tmp_path, "costs", "--json")
    assert code == 0, err
    paid = {cost["engine"]: cost["seconds"] for cost in json.loads(out)["costs"]}
    assert 77 < paid.pop("pyannoteai") < 80
    assert paid == {"openai": pytest.approx(sum(end - start for start, end in first + second), abs=1)}


async def test_a_budget_refuses_politely(tmp_path: Path, vendors: Everybody) -> None:
    environment = vendors.environment | {"METHODS": "elevenlabs", "ERNI_MONTHLY_BUDGET": "0.001"}
    async with service(tmp_path, **environment):
        shutil.copy(MEETING, tmp_path / "inbox" / "talk.m4a")
        note = tmp_path / "inbox" / "talk.transcript-error.txt"
        await until(note.exists)
    assert "budget" in note.read_text()
    assert vendors.one_call["elevenlabs"].calls == []


async def test_a_webhook_wakes_the_worker_and_a_forged_one_nobody(
    tmp_path: Path, vendors: Everybody, conversation: Conversation
) -> None:
    vendors.pyannoteai.states = ["running"]
    environment = vendors.environment | {
        "METHODS": "standard",
        "ERNI_PUBLIC_URL": "https://erni.example",
        "PYANNOTEAI_WEBHOOK_SECRET": pyannoteai.SECRET,
    }
    async with service(tmp_path, **environment), httpx.AsyncClient(trust_env=False) as outside:
        await until(lambda: "Running at" in (tmp_path / "log").read_text())
        address = re.search(r"http://127\.0\.0\.1:\d+", (tmp_path / "log").read_text())
        assert address is not None
        shutil.copy(MEETING, tmp_path / "inbox" / "talk.m4a")
        await until(lambda: bool(vendors.pyannoteai.jobs))
        (job,) = vendors.pyannoteai.jobs
        assert job.body["webhook"] == "https://erni.example/webhooks/pyannoteai"
        body = json.dumps({"jobId": job.id, "status": "succeeded"}).encode()
        stamp = str(int(time.time()))

        async def call(secret: str) -> int:
            signed = pyannoteai.signature(body, stamp, secret=secret)
            headers = {"X-Signature": signed, "X-Request-Timestamp": stamp}
            answer = await outside.post(f"{address[0]}/webhooks/pyannoteai", content=body, headers=headers)
            return answer.status_code

        assert await call("somebody else's") == 401
        assert await call(pyannoteai.SECRET) == 204
        assert await call(pyannoteai.SECRET) == 204
        answer = tmp_path / "inbox" / "talk.transcript.json"
        await until(answer.exists)
        assert labelled(answer) == conversation.labelled()
        assert (await outside.post(f"{address[0]}/webhooks/replicate", content=body)).status_code == 404
