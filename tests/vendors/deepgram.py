"""Deepgram's `/v1/listen` on this machine, as its API reference describes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from core.model import Word
from tests.vendors.one_call import Fault, VendorServer, running, taken

_MODELS = {"nova-3", "nova-2"}
_LANGUAGES = {"en", "de", "fr", "it"}
_ONCE = {"model", "language", "diarize_model", "utterances", "punctuate", "smart_format"}
_REPEATED = {"detect_language", "language_hint", "keyterm"}
_REQUEST = "1e9e6f0a-7f0c-4a4e-8d2b-5a2d3f1c9b77"


def refusal(status: int, code: str, message: str) -> Fault:
    """An error as Deepgram words it."""
    return Fault(status=status, body={"err_code": code, "err_msg": message, "request_id": _REQUEST})


BAD_KEY = refusal(401, "INVALID_AUTH", "Invalid credentials.")
NO_CREDIT = Fault(
    status=402,
    body={
        "err_code": "ASR_PAYMENT_REQUIRED",
        "err_msg": "Project does not have enough credits for an ASR request and does not have an overage "
        "agreement.",
        "request_id": _REQUEST,
    },
)
BUSY = refusal(429, "TOO_MANY_REQUESTS", "Too many requests. Please try again later")
TOO_LARGE = refusal(413, "Payload Too Large", "File exceeds the limit of 2 GB")
GAVE_UP = refusal(504, "Gateway Timeout", "The request took longer than 10 minutes to process")
CORRUPT = refusal(400, "Bad Request", "Bad Request: failed to process audio: corrupt or unsupported data")


@dataclass(kw_only=True)
class DeepgramServer(VendorServer):
    """`POST /v1/listen`. `codes` are the languages it tells for each word where it switches between them."""

    codes: list[str] = field(default_factory=list)

    async def listen(self, request: web.Request) -> web.StreamResponse:
        if fault := await self.fault(request):
            return fault
        sent = await taken(request.content.iter_any())
        if request.headers.get("Authorization") != f"Token {self.key}":
            return await BAD_KEY.answer(request)
        query = {name: request.query.getall(name) for name in request.query}
        self.asked.append(query)
        if problem := self._problem(query):
            return await problem.answer(request)
        if not sent.media_type or sent.media_type != request.content_type or request.content_length is None:
            return await CORRUPT.answer(request)
        self.sent.append(sent)
        await self.gate.wait()
        return web.json_response(self._answer(query))

    def _problem(self, query: dict[str, list[str]]) -> Fault | None:
        """What is wrong with a request."""
        known = query.keys() <= _ONCE | _REPEATED
        if not known or any(len(query[name]) > 1 for name in _ONCE & query.keys()):
            return refusal(400, "Bad Request", "Bad Request: unknown or repeated parameter")
        [model] = query.get("model", ["base"])
        [language] = query.get("language", ["en"])
        terms = query.get("keyterm", [])
        wrong = {
            "Invalid diarize_model": query.get("diarize_model", ["v1"])[0] not in {"latest", "v1", "v2"},
            "No such model/language/tier combination found.": model not in _MODELS
            or language not in {*_LANGUAGES, "multi"},
            "Keyterm is only available for nova-3.": bool(terms) and model != "nova-3",
            "Keyterm limit exceeded. The maximum number of tokens across all keyterms is 500.": (
                sum(len(term.encode()) for term in terms) > 500
            ),
            "language_hint needs language=multi": "language_hint" in query and language != "multi",
        }
        text = next((text for text, holds in wrong.items() if holds), "")
        return refusal(400, "Bad Request", f"Bad Request: {text}") if text else None

    def _answer(self, query: dict[str, list[str]]) -> dict[str, Any]:
        multi = query.get("language") == ["multi"]
        items = [_item(word) for word in self.words]
        best: dict[str, Any] = {
            "transcript": self.text,
            "confidence": 0.99 if items else 0.0,
            "words": items,
            "paragraphs": {"transcript": self.text, "paragraphs": []},
        }
        channel: dict[str, Any] = {"alternatives": [best]}
        if "detect_language" in query:
            channel |= {"detected_language": self.language, "language_confidence": 0.93}
        if multi and self.codes:
            for item, code in zip(items, self.codes, strict=True):
                item["language"] = code
        elif multi:
            best["languages"] = [self.language]
        if multi:
            best["languages_hinted"] = query.get("language_hint", [])
        return {
            "metadata": {
                "transaction_key": "deprecated",
                "request_id": _REQUEST,
                "sha256": "154e291ecfa8be6ab8343560bcc109008fa7853eb5372533e8efdefc9b504c33",
                "created": "2026-11-02T18:57:13.426Z",
                "duration": 7.1,
                "channels": 1,
                "models": ["4b27e4e1-5e9a-4f5b-9a56-0e3f1f4b1c1a"],
                "model_info": {"4b27e4e1-5e9a-4f5b-9a56-0e3f1f4b1c1a": {"name": "general-nova-3"}},
            },
            "results": {"channels": [channel], "utterances": []},
        }


def _item(word: Word) -> dict[str, Any]:
    return {
        "word": word.text.strip(".,?!").lower(),
        "start": word.start,
        "end": word.end,
        "confidence": word.confidence,
        "speaker": None if word.speaker is None else int(word.speaker),
        "speaker_confidence": 0.61,
        "punctuated_word": word.text,
    }


@asynccontextmanager
async def serving(words: Sequence[Word] = (), language: str = "en") -> AsyncIterator[DeepgramServer]:
    """The server, answering these words."""
    server = DeepgramServer(words=words, language=language)
    app = web.Application(client_max_size=2**30)
    app.router.add_post("/v1/listen", server.listen)
    async with running(app, server):
        yield server
