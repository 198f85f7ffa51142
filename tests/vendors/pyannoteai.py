"""pyannoteAI's API and its storage, each on its own port, as the vendor's documentation describes them.

Stricter than the vendor in one thing: fields that it does not know are refused. More lenient in one: webhooks
may go to http:// addresses, since there is no other kind on this machine.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp
from aiohttp import web

from tests.vendors.faults import Faults, serving

KEY = "sk_test_0123456789"
SECRET = "whs_made_up_for_tests"

_MEDIA = re.compile(r"media://[A-Za-z0-9\-_./]{1,247}")
_COMMON = {"url", "model", "webhook", "webhookStatusOnly"}
_SPEAKERS = {
    "numSpeakers",
    "minSpeakers",
    "maxSpeakers",
    "exclusive",
    "confidence",
    "turnLevelConfidence",
}
_FIELDS = {
    "diarize": _COMMON | _SPEAKERS | {"transcription", "transcriptionConfig"},
    "identify": _COMMON | _SPEAKERS | {"voiceprints", "matching"},
    "voiceprint": _COMMON,
}
_MODELS = {
    "diarize": {"precision-2", "community-1"},
    "identify": {"precision-2"},
    "voiceprint": {"precision-2"},
}
_RECOGNISERS = {"parakeet-tdt-0.6b-v3", "faster-whisper-large-v3-turbo"}


@dataclass(slots=True)
class Job:
    """A job that was submitted; `left` are the states still to be gone through before `outcome`."""

    id: str
    kind: str
    body: dict[str, Any]
    left: list[str]
    outcome: dict[str, Any] = field(default_factory=dict)


def signature(body: bytes, stamp: str, *, secret: str = SECRET, encoding: str = "base64") -> str:
    """As the vendor signs a webhook."""
    digest = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).digest()
    return base64.b64encode(digest).decode() if encoding == "base64" else digest.hex()


class PyannoteAIServer:
    """`outputs` are what jobs of a kind give, or `outcome` how they end otherwise; `states` are what each
    goes through before, one per question. `early` calls webhooks before the submission is answered."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.outputs: dict[str, Any] = {"diarize": {"diarization": [], "exclusiveDiarization": []}}
        self.outcome: dict[str, Any] | None = None
        self.states: Sequence[str] = ("pending", "created", "running")
        self.early = False
        self.url = ""
        self.uploads: dict[str, bytes] = {}
        self.jobs: list[Job] = []
        self._storage = ""
        self._places: dict[str, str] = {}

    @asynccontextmanager
    async def running(self, *, one_origin: bool = False) -> AsyncIterator[PyannoteAIServer]:
        """Serve. `one_origin` puts the storage on the API's port, as behind a proxy."""
        storage_routes = [web.put("/storage/{key:.+}", self._put)]
        api = web.Application(middlewares=[self.faults.middleware])
        api.add_routes(
            [
                web.post("/v1/media/input", self._media),
                *(web.post(f"/v1/{kind}", self._submit(kind)) for kind in _FIELDS),
                web.get("/v1/jobs/{job}", self._ask),
                *storage_routes,
            ]
        )
        storage = web.Application(middlewares=[self.faults.middleware], client_max_size=2**30)
        storage.add_routes(storage_routes)
        async with serving(api) as self.url, serving(storage) as elsewhere:
            self._storage = self.url if one_origin else elsewhere
            yield self

    async def call_back(self, job: Job, *, times: int = 1) -> list[int]:
        """End the job and call its webhook; the answers' statuses."""
        job.left.clear()
        told = {"jobId": job.id, "status": self._final(job)["status"]}
        if not job.body.get("webhookStatusOnly"):
            told |= self._final(job)
        body, stamp = json.dumps(told).encode(), str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "X-Request-Timestamp": stamp,
            "X-Signature": signature(body, stamp),
        }
        found = []
        async with aiohttp.ClientSession() as session:
            for _ in range(times):
                async with session.post(job.body["webhook"], data=body, headers=headers) as answer:
                    found.append(answer.status)
        return found

    def _final(self, job: Job) -> dict[str, Any]:
        return self.outcome or {"status": "succeeded", "output": self.outputs[job.kind]}

    async def _media(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        url = body.get("url")
        if not isinstance(url, str) or not _MEDIA.fullmatch(url) or len(url) > 255 or len(body) != 1:
            raise _invalid("url", "url must be a media:// address")
        token = hashlib.sha256(url.encode()).hexdigest()
        self._places[url.removeprefix("media://")] = token
        place = f"{self._storage}/storage/{quote(url.removeprefix('media://'))}?X-Amz-Signature={token}"
        return web.json_response({"url": place}, status=201)

    async def _put(self, request: web.Request) -> web.Response:
        key = request.match_info["key"]
        if "Authorization" in request.headers:
            return web.Response(status=400, text="<Error><Code>InvalidArgument</Code></Error>")
        if request.content_length is None:
            return web.Response(status=411, text="<Error><Code>MissingContentLength</Code></Error>")
        if self._places.get(key) != request.query.get("X-Amz-Signature"):
            return web.Response(status=403, text="<Error><Code>SignatureDoesNotMatch</Code></Error>")
        self.uploads[f"media://{key}"] = await request.read()
        return web.Response()

    def _submit(self, kind: str) -> Callable[[web.Request], Any]:
        async def submit(request: web.Request) -> web.Response:
            body = await self._body(request)
            self._validate(kind, body)
            job = Job(f"job-{len(self.jobs) + 1}", kind, body, list(self.states))
            self.jobs.append(job)
            if self.early:
                await self.call_back(job)
            return web.json_response({"jobId": job.id, "status": "created"})

        return submit

    async def _ask(self, request: web.Request) -> web.Response:
        self._authorise(request)
        job = next((job for job in self.jobs if job.id == request.match_info["job"]), None)
        if job is None:
            return web.json_response({"message": "Job not found"}, status=404)
        said = {"status": job.left.pop(0)} if job.left else self._final(job)
        dates = {"createdAt": "2026-11-22T10:00:00Z", "updatedAt": "2026-11-22T10:00:01Z"}
        return web.json_response({"jobId": job.id, **dates, **said})

    async def _body(self, request: web.Request) -> dict[str, Any]:
        self._authorise(request)
        if request.content_type != "application/json":
            raise _invalid("body", "must be JSON")
        body = await request.json()
        if not isinstance(body, dict):
            raise _invalid("body", "must be an object")
        return body

    def _authorise(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            raise web.HTTPUnauthorized(
                text=json.dumps({"message": "Unauthorized"}), content_type="application/json"
            )

    def _validate(self, kind: str, body: Mapping[str, Any]) -> None:
        for name in body:
            if name not in _FIELDS[kind]:
                raise _invalid(name, "unknown field")
        if body.get("url") not in self.uploads:
            raise _invalid("url", "must be reachable")
        if body.get("model", "precision-2") not in _MODELS[kind]:
            raise _invalid("model", "no such model")
        if "numSpeakers" in body and ("minSpeakers" in body or "maxSpeakers" in body):
            raise _invalid("numSpeakers", "excludes minSpeakers and maxSpeakers")
        if not str(body.get("webhook", "https://")).startswith(("https://", "http://127.0.0.1:")):
            raise _invalid("webhook", "must be an https address")
        if body.get("transcription"):
            if body.get("model") != "precision-2":
                raise _invalid("transcription", "needs precision-2")
            if body.get("transcriptionConfig", {}).get("model", "parakeet-tdt-0.6b-v3") not in _RECOGNISERS:
                raise _invalid("transcriptionConfig", "no such model")
        if kind == "identify":
            _validate_voices(body)


def _validate_voices(body: Mapping[str, Any]) -> None:
    voices = body.get("voiceprints")
    if not isinstance(voices, list) or not 1 <= len(voices) <= 50:
        raise _invalid("voiceprints", "must be 1 to 50")
    labels = [voice["label"] for voice in voices]
    if any(not 0 < len(label) <= 100 or label.startswith("SPEAKER_") for label in labels):
        raise _invalid("voiceprints", "bad label")
    if len(set(labels)) < len(labels) or not all(set(voice) == {"label", "voiceprint"} for voice in voices):
        raise _invalid("voiceprints", "must be distinct")
    threshold = body.get("matching", {}).get("threshold", 0)
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 100:
        raise _invalid("matching", "threshold must be 0 to 100")


def _invalid(name: str, message: str) -> web.HTTPBadRequest:
    told = {"message": "Invalid request", "errors": [{"field": name, "message": message}]}
    return web.HTTPBadRequest(text=json.dumps(told), content_type="application/json")
