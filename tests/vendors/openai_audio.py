"""OpenAI's `/v1/audio/transcriptions`, as its documentation and SDK describe it, and servers that copy it.

What was said is up to whoever serves: a callable is given the uploaded file and the form. The server puts it
into the format that was asked for, with the vendor's habits (timed words carry no punctuation), and refuses
what the vendor refuses.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import av
from aiohttp import web

from tests.vendors import faults
from tests.vendors.faults import Fault

KEY = "sk-test-0123456789"
MAX_BYTES = 26_214_400  # of a whole request

_SUFFIXES = {"flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "wav", "webm"}
_SINGLE = {"model", "language", "prompt", "response_format", "temperature", "stream", "chunking_strategy"}
_LISTS = {
    "include[]",
    "keywords[]",
    "known_speaker_names[]",
    "known_speaker_references[]",
    "languages[]",
    "timestamp_granularities[]",
}
_LANGUAGES = {"en": "english", "de": "german", "fr": "french", "es": "spanish", "zh": "chinese"}

Form = Mapping[str, Sequence[str]]
"""Field as it was sent (lists with their brackets) -> its values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """Something said by `speaker`, from `start` to `end` seconds of the uploaded file."""

    start: float
    end: float
    text: str
    speaker: str = "A"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is in a file. `words` are (start, end, text), spread evenly over the phrases where none are given;
    `text` are the phrases' texts where none is given. `language` is a code of ISO 639-1."""

    phrases: Sequence[Phrase] = ()
    words: Sequence[tuple[float, float, str]] | None = None
    text: str | None = None
    language: str = "en"

    @property
    def whole(self) -> str:
        return " ".join(phrase.text for phrase in self.phrases) if self.text is None else self.text

    @property
    def timed(self) -> Sequence[tuple[float, float, str]]:
        if self.words is not None:
            return self.words
        found = []
        for phrase in self.phrases:
            words = phrase.text.split()
            step = (phrase.end - phrase.start) / max(1, len(words))
            for number, word in enumerate(words):
                start = phrase.start + number * step
                found.append((start, start + step, re.sub(r"^\W+|\W+$", "", word)))
        return found


Say = Callable[[bytes, Form], Said | Awaitable[Said]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What a model takes. `refuses` is the status for a format or granularity that it lacks; `omits` are
    parts of an answer that it leaves out."""

    formats: frozenset[str] = frozenset({"json", "text"})
    granularities: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset({"language", "prompt", "temperature"})
    max_seconds: float = 1500.0
    chunking: bool = False
    names_languages: bool = False
    refuses: int = 400
    omits: frozenset[str] = frozenset()


_SUBTITLES = frozenset({"json", "text", "srt", "vtt", "verbose_json"})
_TEXT_FIELDS = frozenset({"language", "prompt", "temperature", "include[]", "stream", "chunking_strategy"})
MODELS: Mapping[str, Model] = {
    "whisper-1": Model(
        formats=_SUBTITLES,
        granularities=frozenset({"word", "segment"}),
        fields=frozenset({"language", "prompt", "temperature", "timestamp_granularities[]"}),
    ),
    "gpt-4o-transcribe": Model(formats=frozenset({"json"}), fields=_TEXT_FIELDS),
    "gpt-4o-mini-transcribe": Model(formats=frozenset({"json"}), fields=_TEXT_FIELDS),
    "gpt-4o-mini-transcribe-2025-12-15": Model(formats=frozenset({"json"}), fields=_TEXT_FIELDS),
    "gpt-4o-transcribe-diarize": Model(
        formats=frozenset({"json", "text", "diarized_json"}),
        fields=frozenset(
            {
                "language",
                "temperature",
                "stream",
                "chunking_strategy",
                "known_speaker_names[]",
                "known_speaker_references[]",
            }
        ),
        max_seconds=1400.0,
        chunking=True,
    ),
    "gpt-transcribe": Model(
        fields=frozenset({"prompt", "keywords[]", "languages[]", "stream", "temperature"}),
        names_languages=True,
    ),
}
"""OpenAI's, as of November 2026."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One that was understood. `seconds` is how long the file is, `size` its bytes."""

    form: Form
    filename: str
    content_type: str
    seconds: float
    size: int
    headers: Mapping[str, str]

    def value(self, name: str) -> str | None:
        """The only value of a field, None if it was not sent."""
        values = self.form.get(name)
        return values[0] if values else None


class Refusal(Exception):
    """An answer with a status other than 200."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        kind = "server_error" if status >= 500 else "invalid_request_error"
        self.status = status
        self.error = {"message": message, "type": kind, "param": param, "code": code}


def refused(status: int, code: str, **headers: str) -> Fault:
    """A fault with an error as the vendor words it; underscores in header names stand for dashes."""
    body = json.dumps({"error": {"message": "made up", "type": code, "param": None, "code": code}})
    return Fault(status=status, body=body, headers={name.replace("_", "-"): v for name, v in headers.items()})


@dataclass(slots=True)
class OpenAIServer:
    """A server that runs. `url` is what to set `OPENAI_BASE_URL` to, `requests` what was understood so far,
    `calls` how many came at all. Set `say` to change what is heard."""

    say: Say
    key: str | None
    models: Mapping[str, Model]
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    calls: int = 0
    _faults: list[Fault | str] = field(default_factory=list)
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    def fail(self, *faults: Fault | str) -> None:
        """Answer the next requests with these, one each: a `Fault`, "cut" (the connection ends), or "stuck"
        (no answer ever comes)."""
        self._faults += faults

    def end(self) -> None:
        """Let go of those who are stuck."""
        self._over.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        if self._faults:
            return await self._failing(request, self._faults.pop(0))
        try:
            return await self._answer(request)
        except Refusal as refusal:
            return web.json_response({"error": refusal.error}, status=refusal.status)

    async def _failing(self, request: web.Request, fault: Fault | str) -> web.StreamResponse:
        await request.read()
        if isinstance(fault, Fault):
            return web.Response(
                status=fault.status, text=fault.body, content_type=fault.content_type, headers=fault.headers
            )
        if fault == "stuck":
            await self._over.wait()
        if request.transport is not None:
            request.transport.close()
        return web.Response()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            raise Refusal(401, "Incorrect API key provided.", code="invalid_api_key")
        if (request.content_length or 0) > MAX_BYTES:
            raise Refusal(413, f"Maximum content size limit ({MAX_BYTES}) exceeded")
        if request.content_type != "multipart/form-data":
            raise Refusal(400, "Could not parse multipart form")
        posted = await request.post()
        form: dict[str, list[str]] = {}
        for name, value in posted.items():
            if isinstance(value, str):
                form.setdefault(name, []).append(value)
        file = posted.get("file")
        if not isinstance(file, web.FileField):
            raise Refusal(400, "file is required", param="file", code="missing_required_parameter")
        data = file.file.read()
        model = self._model(form)
        seconds = await asyncio.to_thread(_length, file.filename, data)
        _check(form, model, seconds)
        self.requests.append(
            Request(
                form=form,
                filename=file.filename,
                content_type=file.content_type,
                seconds=seconds,
                size=len(data),
                headers=dict(request.headers),
            )
        )
        said = self.say(data, form)
        return _rendered(await said if inspect.isawaitable(said) else said, form, model, seconds)

    def _model(self, form: Form) -> Model:
        for name, values in form.items():
            if name not in _SINGLE | _LISTS:
                raise Refusal(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
            if name in _SINGLE and len(values) > 1:
                raise Refusal(400, f"Duplicate parameter: '{name}'.", param=name, code="invalid_value")
        if "model" not in form:
            raise Refusal(400, "model is required", param="model", code="missing_required_parameter")
        name = form["model"][0]
        if name not in self.models:
            raise Refusal(404, f"The model `{name}` does not exist", code="model_not_found")
        return self.models[name]


def _length(filename: str, data: bytes) -> float:
    """How long the file is, seconds."""
    if filename.rpartition(".")[2] not in _SUFFIXES:
        raise Refusal(400, "Invalid file format.", param="file", code="unsupported_format")
    try:
        with av.open(io.BytesIO(data), "r") as container:
            seconds = (container.duration or 0) / 1e6
    except av.FFmpegError:
        raise Refusal(
            400, "Audio file might be corrupted or unsupported", param="file", code="invalid_value"
        ) from None
    if seconds < 0.1:
        raise Refusal(400, "Audio file is too short.", param="file", code="audio_too_short")
    return seconds


def _check(form: Form, model: Model, seconds: float) -> None:
    """Refuse what the model does not take."""
    wanted = form.get("response_format", ["json"])[0]
    if wanted not in model.formats:
        raise Refusal(
            model.refuses,
            f"response_format '{wanted}' is not compatible with this model.",
            param="response_format",
            code="unsupported_value",
        )
    for name in form:
        if name not in model.fields | {"model", "response_format"}:
            raise Refusal(
                400, f"{name} is not supported by this model.", param=name, code="unsupported_parameter"
            )
    asked = form.get("timestamp_granularities[]", [])
    if asked and wanted != "verbose_json":
        raise Refusal(400, "needs verbose_json", param="timestamp_granularities", code="invalid_value")
    if not set(asked) <= model.granularities:
        raise Refusal(
            model.refuses, "no such granularity", param="timestamp_granularities", code="invalid_value"
        )
    if model.chunking and seconds > 30 and form.get("chunking_strategy") != ["auto"]:
        raise Refusal(400, "chunking_strategy is required", param="chunking_strategy", code="invalid_value")
    for code in [*form.get("language", []), *form.get("languages[]", [])]:
        if code not in _LANGUAGES:
            raise Refusal(
                400, f"Language '{code}' is not supported.", param="language", code="unsupported_language"
            )
    if seconds > model.max_seconds:
        limit = round(model.max_seconds)
        raise Refusal(
            400,
            f"audio duration {seconds} seconds is longer than {limit} seconds which is the maximum",
            code="invalid_value",
        )


def _rendered(said: Said, form: Form, model: Model, seconds: float) -> web.StreamResponse:
    wanted = form.get("response_format", ["json"])[0]
    usage = {"type": "duration", "seconds": round(seconds)}
    body: dict[str, Any] = {"text": said.whole, "usage": usage}
    if wanted == "text":
        return web.Response(text=said.whole + "\n")
    if wanted == "json" and model.names_languages:
        body["languages"] = [{"code": said.language}] if said.whole else []
    if wanted == "verbose_json":
        asked = form.get("timestamp_granularities[]", ["segment"])
        body |= {"task": "transcribe", "language": _LANGUAGES[said.language], "duration": seconds}
        if "segment" in asked:
            body["segments"] = [_segment(number, phrase) for number, phrase in enumerate(said.phrases)]
        if "word" in asked:
            body["words"] = [{"word": text, "start": start, "end": end} for start, end, text in said.timed]
    if wanted == "diarized_json":
        body |= {"task": "transcribe", "duration": seconds}
        body["segments"] = [
            {
                "type": "transcript.text.segment",
                "id": f"seg_{number}",
                "start": phrase.start,
                "end": phrase.end,
                "speaker": phrase.speaker,
                "text": f" {phrase.text}",
            }
            for number, phrase in enumerate(said.phrases)
        ]
    return web.json_response({name: value for name, value in body.items() if name not in model.omits})


def _segment(number: int, phrase: Phrase) -> dict[str, Any]:
    return {
        "id": number,
        "seek": 0,
        "start": phrase.start,
        "end": phrase.end,
        "text": f" {phrase.text}",
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": -0.2,
        "compression_ratio": 1.1,
        "no_speech_prob": 0.01,
    }


@asynccontextmanager
async def serving(
    say: Say | None = None, *, key: str | None = KEY, models: Mapping[str, Model] = MODELS
) -> AsyncIterator[OpenAIServer]:
    """A server on this machine. `say` tells what is in an uploaded file (default: nothing); `key` is the only
    one accepted, None accepts anybody."""
    server = OpenAIServer(say=say or (lambda _data, _form: Said()), key=key, models=models)
    app = web.Application(client_max_size=2 * MAX_BYTES)
    app.router.add_post("/v1/audio/transcriptions", server.handle)
    async with faults.serving(app) as origin:
        server.url = f"{origin}/v1"
        try:
            yield server
        finally:
            server.end()
