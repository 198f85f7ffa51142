"""Replicate's files and predictions, as its HTTP reference describes them, and one version of the model.

The model's `file_url` is fetched by the model itself, without a token: a file of Replicate's own storage
given there ends in a failed prediction, as it does in truth.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from tests.vendors.faults import Faults, serving

TOKEN = "r8_test_0123456789"
VERSION = "ab" * 32
SECRET = "whsec_" + base64.b64encode(b"made up for tests").decode()

_FIELDS = {"version", "input", "webhook", "webhook_events_filter"}
_INPUTS = {"file", "file_url", "file_string", "num_speakers", "language", "prompt", "translate"}
_EVENTS = {"start", "output", "logs", "completed"}


@dataclass(slots=True)
class Prediction:
    """A prediction that was created; `left` are the states still to be gone through."""

    id: str
    body: dict[str, Any]
    left: list[str]
    cancelled: bool = False


def signature(body: bytes, name: str, stamp: str, secret: str = SECRET) -> str:
    """As the vendor signs a webhook: one entry of the list."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{name}.{stamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


class ReplicateServer:
    """`output` is what predictions give, or `outcome` how they end otherwise; `states` are what each goes
    through before, one per question. `named` is the origin in its answers, its own unless set."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.output: Any = {"segments": [], "language": "en", "num_speakers": 0}
        self.outcome: dict[str, Any] | None = None
        self.states: Sequence[str] = ("starting", "processing")
        self.early = False
        self.named = ""
        self.url = ""
        self.files: dict[str, bytes] = {}
        self.names: dict[str, str] = {}
        self.deleted: list[str] = []
        self.predictions: list[Prediction] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ReplicateServer]:
        """Serve."""
        app = web.Application(middlewares=[self.faults.middleware], client_max_size=100 * 2**20)
        app.add_routes(
            [
                web.post("/v1/files", self._create_file),
                web.delete("/v1/files/{file}", self._delete_file),
                web.post("/v1/predictions", self._create),
                web.get("/v1/predictions/{id}", self._get),
                web.post("/v1/predictions/{id}/cancel", self._cancel),
            ]
        )
        async with serving(app) as self.url:
            self.named = self.named or self.url
            yield self

    async def call_back(self, prediction: Prediction) -> int:
        """End the prediction and call its webhook; the answer's status."""
        prediction.left.clear()
        body, stamp = json.dumps(self._shown(prediction)).encode(), str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": "msg_1",
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,bm90IHRoaXMgb25l {signature(body, 'msg_1', stamp)}",
        }
        async with (
            aiohttp.ClientSession() as session,
            session.post(prediction.body["webhook"], data=body, headers=headers) as answer,
        ):
            return answer.status

    def _authorise(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise _problem(web.HTTPUnauthorized, "Unauthenticated")

    async def _create_file(self, request: web.Request) -> web.Response:
        self._authorise(request)
        if request.content_type != "multipart/form-data":
            raise _problem(web.HTTPBadRequest, "Missing content")
        form = await request.post()
        content = form.get("content")
        if not isinstance(content, web.FileField) or set(form) - {"content", "metadata"}:
            raise _problem(web.HTTPBadRequest, "Missing content")
        file = f"file{len(self.names) + 1}"
        self.files[file] = content.file.read()
        self.names[file] = content.filename
        about = {
            "id": file,
            "content_type": content.content_type,
            "size": len(self.files[file]),
            "expires_at": "2026-11-23T10:00:00Z",
            "urls": {"get": f"{self.named}/v1/files/{file}"},
        }
        return web.json_response(about, status=201)

    async def _delete_file(self, request: web.Request) -> web.Response:
        self._authorise(request)
        if self.files.pop(request.match_info["file"], None) is None:
            raise _problem(web.HTTPNotFound, "Not found")
        self.deleted.append(request.match_info["file"])
        return web.Response(status=204)

    async def _create(self, request: web.Request) -> web.Response:
        self._authorise(request)
        body = await request.json()
        if set(body) - _FIELDS or not set(body.get("webhook_events_filter", [])) <= _EVENTS:
            raise _problem(web.HTTPUnprocessableEntity, "Input validation failed")
        if body.get("version") != VERSION:
            raise _problem(web.HTTPUnprocessableEntity, "Invalid version or not permitted")
        self._validate(body["input"])
        prediction = Prediction(f"pred{len(self.predictions) + 1}", body, list(self.states))
        self.predictions.append(prediction)
        if self.early:
            await self.call_back(prediction)
        return web.json_response({**self._shown(prediction), "status": "starting"}, status=201)

    def _validate(self, wanted: Mapping[str, Any]) -> None:
        speakers = wanted.get("num_speakers", 1)
        if set(wanted) - _INPUTS or not isinstance(speakers, int) or not 1 <= speakers <= 50:
            raise _problem(web.HTTPUnprocessableEntity, "Input validation failed")
        if not all(isinstance(wanted.get(name, ""), str) for name in ("file", "language", "prompt")):
            raise _problem(web.HTTPUnprocessableEntity, "Input validation failed")

    def _file_trouble(self, prediction: Prediction) -> str:
        wanted = prediction.body["input"]
        if len({"file", "file_url", "file_string"} & set(wanted)) != 1:
            return "Provide exactly one of file_string, file_url, or file"
        if "file_url" in wanted:
            return "401 Client Error: Unauthorized for url"
        known = {f"{self.named}/v1/files/{file}" for file in self.names}
        return "" if wanted.get("file") in known else "404 Client Error: Not Found for url"

    async def _get(self, request: web.Request) -> web.Response:
        self._authorise(request)
        prediction = self._find(request)
        if prediction.left:
            state = prediction.left.pop(0)
            return web.json_response({**self._shown(prediction), "status": state, "output": None})
        return web.json_response(self._shown(prediction))

    async def _cancel(self, request: web.Request) -> web.Response:
        self._authorise(request)
        prediction = self._find(request)
        prediction.cancelled = True
        return web.json_response(self._shown(prediction))

    def _find(self, request: web.Request) -> Prediction:
        for prediction in self.predictions:
            if prediction.id == request.match_info["id"]:
                return prediction
        raise _problem(web.HTTPNotFound, "Not found")

    def _shown(self, prediction: Prediction) -> dict[str, Any]:
        trouble = self._file_trouble(prediction)
        place = f"{self.named}/v1/predictions/{prediction.id}"
        found: dict[str, Any] = {
            "id": prediction.id,
            "model": "thomasmol/whisper-diarization",
            "version": VERSION,
            "input": prediction.body["input"],
            "logs": "",
            "error": None,
            "status": "succeeded",
            "output": self.output,
            "urls": {"get": place, "cancel": f"{place}/cancel"},
        }
        if prediction.cancelled:
            return {**found, "status": "canceled", "output": None}
        if trouble:
            return {**found, "status": "failed", "output": None, "error": trouble}
        return {**found, **(self.outcome or {})}


def _problem(kind: type[web.HTTPException], title: str) -> web.HTTPException:
    told = {"title": title, "detail": title, "status": kind.status_code}
    return kind(text=json.dumps(told), content_type="application/problem+json")
