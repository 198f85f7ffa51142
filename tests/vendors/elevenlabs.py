"""ElevenLabs' speech-to-text on this machine, as its API reference describes it."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import BodyPartReader, web

from core.model import Word
from tests.vendors.one_call import Fault, Sent, VendorServer, running, taken

_FIELDS = {
    "model_id",
    "language_code",
    "tag_audio_events",
    "num_speakers",
    "timestamps_granularity",
    "diarize",
    "keyterms",
    "file",
    "file_type",
}
_CODES = {"en": "eng", "de": "deu", "fr": "fra", "it": "ita"}


def refusal(status: int, code: str, message: str, kind: str = "validation_error") -> Fault:
    """An error as ElevenLabs words it."""
    return Fault(
        status=status, body={"detail": {"type": kind, "code": code, "message": message, "status": code}}
    )


BAD_KEY = refusal(401, "invalid_api_key", "Invalid API key", "authentication_error")
NO_CREDIT = refusal(
    401,
    "quota_exceeded",
    "This request exceeds your quota of 10000. You have 0 credits remaining, while 43 credits are required.",
    "authentication_error",
)
BUSY = refusal(429, "system_busy", "The system is experiencing heavy traffic", "rate_limit_error")
TOO_LARGE = refusal(413, "file_too_large", "The file is larger than 3.0GB")
INVALID = Fault(status=422, body={"detail": [{"loc": ["body", "model_id"], "msg": "Field required"}]})


@dataclass(kw_only=True)
class ElevenLabsServer(VendorServer):
    """`POST /v1/speech-to-text`."""

    async def speech_to_text(self, request: web.Request) -> web.StreamResponse:
        if fault := await self.fault(request):
            return fault
        if request.headers.get("xi-api-key") != self.key:
            await request.read()
            return await BAD_KEY.answer(request)
        if request.query or request.content_type != "multipart/form-data":
            return await INVALID.answer(request)
        fields = await self._form(request)
        self.asked.append(fields)
        if problem := self._problem(fields):
            return await problem.answer(request)
        await self.gate.wait()
        return web.json_response(self._answer())

    async def _form(self, request: web.Request) -> dict[str, Any]:
        """The fields, with the file as `Sent` and the terms as a list."""
        fields: dict[str, Any] = {"keyterms": []}
        reader = await request.multipart()
        while (piece := await reader.next()) is not None:
            assert isinstance(piece, BodyPartReader)
            if piece.name == "file" and piece.filename:
                fields["file"] = sent = await taken(_blocks(piece))
                fields["file_type"] = piece.headers.get("Content-Type")
                self.sent.append(sent)
            elif piece.name == "keyterms":
                fields["keyterms"].append(await piece.text())
            else:
                fields[str(piece.name)] = await piece.text()
        return fields

    def _problem(self, fields: dict[str, Any]) -> Fault | None:
        file = fields.get("file")
        if not isinstance(file, Sent) or not file.media_type or file.media_type != fields["file_type"]:
            return refusal(400, "invalid_audio", "The file is corrupted")
        known = fields.keys() <= _FIELDS and fields.get("model_id") in {"scribe_v1", "scribe_v2"}
        if not known or not 1 <= int(fields.get("num_speakers", 1)) <= 32:
            return INVALID
        if fields.get("language_code", "en") not in {*_CODES, *_CODES.values()}:
            return refusal(400, "invalid_language_code", "The language code is not supported")
        if any(set(term) & set("<>{}[]\\") for term in fields["keyterms"]):
            return refusal(400, "invalid_keyword", "Some keyword contains invalid characters")
        if any(len(term) >= 50 or len(term.split()) > 5 for term in fields["keyterms"]):
            return refusal(400, "invalid_keyword_length", "Some keyword is too long")
        return None

    def _answer(self) -> dict[str, Any]:
        items: list[dict[str, Any]] = []
        for number, word in enumerate(self.words):
            if number:
                items.append(_item(" ", "spacing", self.words[number - 1].end, word.start, word))
            items.append(_item(word.text, "word", word.start, word.end, word))
        return {
            "language_code": _CODES[self.language],
            "language_probability": 0.98,
            "text": self.text,
            "words": items,
            "channel_index": None,
            "additional_formats": None,
            "transcription_id": "kGh2J0wYsM6iCkWxk6h1",
            "entities": None,
            "audio_duration_secs": 7.1,
        }


def _item(text: str, kind: str, start: float, end: float, word: Word) -> dict[str, Any]:
    return {
        "text": text,
        "start": start,
        "end": end,
        "type": kind,
        "speaker_id": word.speaker,
        "logprob": math.log(1.0 if word.confidence is None else word.confidence),
        "characters": None,
        "channel_index": None,
    }


async def _blocks(piece: BodyPartReader) -> AsyncIterator[bytes]:
    while block := await piece.read_chunk():
        yield block


@asynccontextmanager
async def serving(words: Sequence[Word] = (), language: str = "en") -> AsyncIterator[ElevenLabsServer]:
    """The server, answering these words."""
    server = ElevenLabsServer(words=words, language=language)
    app = web.Application(client_max_size=2**30)
    app.router.add_post("/v1/speech-to-text", server.speech_to_text)
    async with running(app, server):
        yield server
