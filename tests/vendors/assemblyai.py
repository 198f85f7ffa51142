"""AssemblyAI's upload and transcripts on this machine, as its OpenAPI description has them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from aiohttp import web

from core.model import Word
from tests.vendors.one_call import Fault, Sent, VendorServer, running, taken

_MODELS = {"universal-3-pro", "universal-2"}
_LANGUAGES = {"en", "de", "fr", "it"}
_FIELDS: dict[str, type] = {
    "audio_url": str,
    "speech_models": list,
    "speaker_labels": bool,
    "speakers_expected": int,
    "speaker_options": dict,
    "language_code": str,
    "language_detection": bool,
    "language_detection_options": dict,
    "keyterms_prompt": list,
}


def refusal(status: int, message: str) -> Fault:
    """An error as AssemblyAI words it."""
    return Fault(status=status, body={"error": message})


BAD_KEY = refusal(401, "Authentication error, API token missing/invalid")
NO_CREDIT = refusal(400, "Your current account balance is negative. Please top up to continue using the API.")
BUSY = refusal(429, "Too Many Requests")
TOO_LARGE = refusal(413, "Upload exceeds 2.2GB")
NO_SPEECH = "language_detection cannot be performed on files with no spoken audio."
UNREADABLE = (
    "Transcoding failed. File does not appear to contain audio. File type is text/plain (ASCII text)."
)


@dataclass(kw_only=True)
class AssemblyAIServer(VendorServer):
    """`/v2/upload` and `/v2/transcript`. A job is `slow` for so many questions; it fails with `error`. `here`
    are the jobs that were not deleted."""

    slow: int = 0
    error: str = ""
    here: dict[str, dict[str, Any]] = field(default_factory=dict)
    uploads: dict[str, Sent] = field(default_factory=dict)

    @web.middleware
    async def checked(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if fault := await self.fault(request):
            return fault
        if request.headers.get("Authorization") != self.key:
            await request.read()
            return await BAD_KEY.answer(request)
        if request.query:
            return await refusal(400, "Unknown query parameter").answer(request)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def upload(self, request: web.Request) -> web.StreamResponse:
        sent = await taken(request.content.iter_any())
        if (
            request.content_type != "application/octet-stream"
            or request.content_length is None
            or not sent.size
        ):
            return await refusal(400, "Upload failed, please upload a file as raw data").answer(request)
        address = f"https://cdn.assemblyai.com/upload/{sent.sha256}"
        self.uploads[address] = sent
        self.sent.append(sent)
        return web.json_response({"upload_url": address})

    async def submit(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        if problem := self._problem(body):
            return await refusal(400, problem).answer(request)
        if body["audio_url"] not in self.uploads:
            return await refusal(403, "Cannot access uploaded file").answer(request)
        job = f"5551722-f677-48a6-9287-{len(self.asked):012}"
        self.here[job] = body
        return web.json_response(self._state(job, "queued"))

    async def look(self, request: web.Request) -> web.StreamResponse:
        job = request.match_info["job"]
        if job not in self.here:
            return await refusal(404, "Not found").answer(request)
        if not self.gate.is_set():
            return web.json_response(self._state(job, "processing"))
        if self.slow:
            self.slow -= 1
            return web.json_response(self._state(job, "processing"))
        if self.error or not self.uploads[self.here[job]["audio_url"]].media_type:
            state = self._state(job, "error")
            return web.json_response(state | {"error": self.error or UNREADABLE})
        return web.json_response(self._state(job, "completed") | self._result(job))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        job = request.match_info["job"]
        if job not in self.here:
            return await refusal(404, "Not found").answer(request)
        state = self._state(job, "completed")
        del self.here[job]
        return web.json_response(state | {"text": "Deleted by user.", "audio_url": "http://deleted_by_user"})

    def _problem(self, body: dict[str, Any]) -> str:
        """What is wrong with a request, empty if nothing is."""
        if any(not isinstance(value, _FIELDS.get(name, ())) for name, value in body.items()):
            return "A field is not known, or of another type"
        models, terms = body.get("speech_models", ()), body.get("keyterms_prompt", ())
        options = body.get("language_detection_options", {}).keys()
        bounds = body.get("speaker_options", {}).keys()
        wrong = {
            '"speech_models" must be a non-empty list of known models': not models
            or not set(models) <= _MODELS,
            "language_code excludes language_detection": ("language_code" in body)
            == bool(body.get("language_detection")),
            "This language is not supported": body.get("language_code", "en") not in _LANGUAGES,
            "language_detection_options is invalid": not options
            <= {"expected_languages", "fallback_language"},
            "speakers_expected excludes speaker_options": {"speakers_expected", "speaker_options"}
            <= body.keys(),
            "speaker_options is invalid": not bounds <= {"min_speakers_expected", "max_speakers_expected"},
            "keyterms_prompt has too many words": len(terms) > 200
            or any(len(term.split()) > 6 for term in terms),
        }
        return next((text for text, holds in wrong.items() if holds), "")

    def _state(self, job: str, status: str) -> dict[str, Any]:
        asked = self.here[job]
        return {
            "id": job,
            "status": status,
            "audio_url": asked["audio_url"],
            "speech_models": asked["speech_models"],
            "speech_model_used": None,
            "language_code": asked.get("language_code", "en_us"),
            "language_detection": asked.get("language_detection", False),
            "speaker_labels": True,
            "text": None,
            "words": None,
            "utterances": None,
            "confidence": None,
            "audio_duration": None,
            "webhook_url": None,
            "error": None,
        }

    def _result(self, job: str) -> dict[str, Any]:
        asked = self.here[job]
        items = [_item(word) for word in self.words]
        turns = [list(turn) for _, turn in groupby(items, key=lambda item: item["speaker"])]
        return {
            "speech_model_used": asked["speech_models"][0],
            "language_code": self.language,
            "language_confidence": 0.97,
            "text": self.text,
            "words": items,
            "utterances": [
                {
                    "speaker": turn[0]["speaker"],
                    "text": " ".join(item["text"] for item in turn),
                    "start": turn[0]["start"],
                    "end": turn[-1]["end"],
                    "confidence": 0.95,
                    "channel": None,
                    "words": turn,
                }
                for turn in turns
            ],
            "confidence": 0.95,
            "audio_duration": 7,
        }


def _item(word: Word) -> dict[str, Any]:
    return {
        "text": word.text,
        "start": round(word.start * 1000),
        "end": round(word.end * 1000),
        "confidence": word.confidence,
        "channel": None,
        "speaker": word.speaker,
    }


@asynccontextmanager
async def serving(words: Sequence[Word] = (), language: str = "en") -> AsyncIterator[AssemblyAIServer]:
    """The server, answering these words."""
    server = AssemblyAIServer(words=words, language=language)
    app = web.Application(client_max_size=2**30, middlewares=[server.checked])
    app.router.add_post("/v2/upload", server.upload)
    app.router.add_post("/v2/transcript", server.submit)
    app.router.add_get("/v2/transcript/{job}", server.look)
    app.router.add_delete("/v2/transcript/{job}", server.delete)
    async with running(app, server):
        yield server
