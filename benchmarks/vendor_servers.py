"""All vendors' servers with the latencies of real ones: `python -m benchmarks.vendor_servers` (for `fifty`).

The servers are those of the tests, which are strict about the protocol and answer at once. Before each stands
a front that takes uploads at a stated bandwidth, which all requests of a service share, lets a stated time
pass for the recognition of what arrived, and now and then answers 429 or 500 instead. Everything is drawn
from a seed and from what was sent, so the same request has the same fate in whatever order requests come.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import struct
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from yarl import URL

from benchmarks.made_up_talk import made_up_text, made_up_turns, made_up_words
from benchmarks.service import end_with_parent
from core.model import Word
from tests.vendors import everybody
from tests.vendors.one_call import VendorServer
from tests.vendors.openai_audio import Form, Phrase, Said

_HEARING = ("/v1/audio/transcriptions", "/v1/listen", "/v1/speech-to-text")  # answered with the words at once
_UPLOADS = ("/storage/", "/v2/upload", "/v1/files")
_JOBS = ("/v1/diarize", "/v2/transcript", "/v1/predictions")
_GOING_ON = {"/v1/jobs/": "running", "/v2/transcript/": "processing", "/v1/predictions/": "processing"}
"""Where people ask about jobs, and what is said of one that is not done."""

_OWN_HEADERS = {"host", "content-length", "transfer-encoding", "connection", "expect"}
_OPUS_RATE = 48_000
_SHARE = 256 * 1024  # bytes that one upload takes before the next one's turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """What a service is like. `recognition` is seconds for a second of audio, least and most; `busy` and
    `broken` are the shares of requests answered with 429 (with Retry-After) and 500."""

    bits_per_second: float = 40e6
    recognition: tuple[float, float] = (0.05, 0.15)
    busy: float = 0.02
    broken: float = 0.02
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A piece that was recognised: `upload` is how long its bytes take if nothing else is sent, `recognition`
    what came after; seconds."""

    path: str
    audio: float
    upload: float
    recognition: float

    @property
    def seconds(self) -> float:
        return self.upload + self.recognition


def ogg_seconds(body: bytes) -> float:
    """Length of the Ogg Opus file within `body`, from its last page; 0 if there is none."""
    last = body.rfind(b"OggS")
    if last < 0 or len(body) < last + 14:
        return 0.0
    (granule,) = struct.unpack_from("<q", body, last + 6)
    return max(0.0, float(granule) / _OPUS_RATE)


def _said(data: bytes, _form: Form) -> Said:
    turns = made_up_turns(ogg_seconds(data))
    if not turns:  # a turn of its own
        return Said(text=made_up_text(ogg_seconds(data)))
    phrases = []
    for turn in turns:
        text = " ".join(word.text for word in made_up_words([turn]))
        label = "ABC"[int(turn.speaker) - 1]
        phrases.append(Phrase(start=turn.start, end=turn.end, text=text, speaker=label))
    return Said(phrases=phrases)


@dataclass(slots=True, kw_only=True)
class Front:
    """Stands before the server at `behind`; `url` is its own address. A `talker` answers fixed words, which
    are those of `words` that fit into what was sent."""

    latency: Latency
    behind: str
    session: aiohttp.ClientSession
    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    talker: VendorServer | None = None
    words: Sequence[Word] = ()
    _talking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _storage: str = ""
    _free: float = 0.0
    _tries: Counter[str] = field(default_factory=Counter)
    _uploads: dict[str, tuple[float, int]] = field(default_factory=dict)
    _due: dict[str, float] = field(default_factory=dict)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path, body = request.path, await self._taken(request)
        if request.method != "GET":
            return await self._worked_on(request, body)
        start, _, job = path.rpartition("/")
        if self._now() < self._due.get(job, 0.0):
            return web.json_response({"id": job, "jobId": job, "status": _GOING_ON[f"{start}/"]})
        return await self._passed_on(request, body)

    async def _worked_on(self, request: web.Request, body: bytes) -> web.StreamResponse:
        path = request.path
        audio, size = ogg_seconds(body), len(body)
        if fault := self._fault(path, audio, size):
            return fault
        if path in _HEARING:
            return await self._recognised(request, body, audio)
        answer = await self._passed_on(request, body)
        said = answer.body
        if not isinstance(said, bytes):
            return answer
        if answer.status < 300 and path.startswith(_UPLOADS) and request.method in {"POST", "PUT"}:
            for name in _names(path, said):
                self._uploads[name] = audio, size
        if answer.status < 300 and path in _JOBS:
            self._submitted(path, body, json.loads(said))
        return answer

    async def _recognised(self, request: web.Request, body: bytes, audio: float) -> web.Response:
        took = self._recognition(request.path, audio, len(body))
        await asyncio.sleep(took)
        async with self._talking:
            if self.talker is not None:
                self.talker.words = [word for word in self.words if word.end <= audio]
            answer = await self._passed_on(request, body)
        if answer.status < 300:
            self._note(request.path, audio, len(body), took)
        return answer

    def _submitted(self, path: str, body: bytes, answer: dict[str, str]) -> None:
        audio, size = next(found for name, found in self._uploads.items() if name.encode() in body)
        took = self._recognition(path, audio, size)
        self._due[answer.get("jobId") or answer["id"]] = self._now() + took
        self._note(path, audio, size, took)

    def _note(self, path: str, audio: float, size: int, took: float) -> None:
        upload = 8 * size / self.latency.bits_per_second
        self.heard.append(Heard(path=path, audio=audio, upload=upload, recognition=took))

    async def _taken(self, request: web.Request) -> bytes:
        """The body, as fast as the bandwidth allows that all requests share in turns."""
        taken = bytearray()
        async for block in request.content.iter_chunked(_SHARE):
            taken += block
            self._free = max(self._free, self._now()) + 8 * len(block) / self.latency.bits_per_second
            await asyncio.sleep(self._free - self._now())
        return bytes(taken)

    def _recognition(self, path: str, audio: float, size: int) -> float:
        return audio * self._chance(f"{path} {audio:.3f} {size // 1024}").uniform(*self.latency.recognition)

    def _fault(self, path: str, audio: float, size: int) -> web.Response | None:
        key = f"{path.partition('/storage')[0]} {audio:.3f} {size // 1024}"
        self._tries[key] += 1
        rng = self._chance(f"fault {key} {self._tries[key]}")
        lot = rng.random()
        if lot >= self.latency.busy + self.latency.broken:
            return None
        status = 429 if lot < self.latency.busy else 500
        self.refused[status] += 1
        error = {"message": "made up", "type": "server_error", "code": "made_up", "param": None}
        headers = {"Retry-After": str(rng.randint(1, 3))} if status == 429 else {}
        return web.json_response({"error": error}, status=status, headers=headers)

    def _chance(self, key: str) -> random.Random:
        return random.Random(f"{self.latency.seed} {key}")

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _passed_on(self, request: web.Request, body: bytes) -> web.Response:
        """The answer of the server behind, in which our address stands for its own."""
        origin = self._storage if request.path.startswith("/storage/") else self.behind
        if request.path in _JOBS:
            body = body.replace(self.url.encode(), self.behind.encode())
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OWN_HEADERS}
        async with self.session.request(
            request.method,
            URL(origin + request.raw_path, encoded=True),
            data=body if body or request.method in {"POST", "PUT"} else None,
            headers=headers,
            skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
        ) as answer:
            content = await answer.read()
            if request.path == "/v1/media/input" and answer.status < 300:
                parts = urlsplit(json.loads(content)["url"])
                self._storage = f"{parts.scheme}://{parts.netloc}"
                content = content.replace(self._storage.encode(), self.url.encode())
            content = content.replace(self.behind.encode(), self.url.encode())
            return web.Response(body=content, status=answer.status, content_type=answer.content_type)


def _names(path: str, answer: bytes) -> list[str]:
    """How the body of a job may name what was uploaded to `path`."""
    if path.startswith("/storage/"):
        return [f"media://{path.removeprefix('/storage/')}"]
    told = json.loads(answer)
    return [told.get("upload_url") or told["urls"]["get"]]


@dataclass(kw_only=True)
class Fronts:
    """By service; `environment` is what points the engines to them."""

    by_name: dict[str, Front]
    environment: dict[str, str]

    @property
    def heard(self) -> list[Heard]:
        return [heard for front in self.by_name.values() for heard in front.heard]

    @property
    def refused(self) -> int:
        return sum(front.refused.total() for front in self.by_name.values())


@asynccontextmanager
async def fronted(latency: Latency, seconds: float) -> AsyncIterator[Fronts]:
    """All services on this machine, hearing made-up talk of that many seconds in whatever is sent whole."""
    turns = made_up_turns(seconds)
    async with AsyncExitStack() as stack:
        behind = await stack.enter_async_context(everybody.serving(made_up_words(turns)))
        behind.openai.say = _said
        rows = [{"start": t.start, "end": t.end, "speaker": f"SPEAKER_0{int(t.speaker) - 1}"} for t in turns]
        behind.pyannoteai.outputs["diarize"] |= {"diarization": rows, "exclusiveDiarization": rows}
        # Connections are not kept: a clock that is put forward would let them expire in use.
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        )
        environment = dict(behind.environment)
        by_name = {}
        for variable in [name for name in environment if name.endswith("_BASE_URL")]:
            parts = urlsplit(environment[variable])
            origin = f"{parts.scheme}://{parts.netloc}"
            name = variable.removesuffix("_BASE_URL").lower()
            talker = behind.one_call.get(name)
            words = talker.words if talker else ()
            front = Front(latency=latency, behind=origin, session=session, talker=talker, words=words)
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", front.handle)
            runner = web.AppRunner(app, access_log=None, keepalive_timeout=1e9, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            front.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            environment[variable] = front.url + parts.path
            by_name[name] = front
        yield Fronts(by_name=by_name, environment=environment)


async def _serve(latency: Latency, seconds: float) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with fronted(latency, seconds) as fronts:
        print(json.dumps(fronts.environment), flush=True)
        await stop.wait()
        print(json.dumps({"heard": len(fronts.heard), "refused": fronts.refused}), flush=True)


def main() -> None:
    """Serve until SIGTERM. The first line is the engines' environment, the last one what there was to do."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600, help="length of what is heard in a recording")
    options = parser.parse_args()
    end_with_parent()
    asyncio.run(_serve(Latency(), options.seconds))


if __name__ == "__main__":
    main()
