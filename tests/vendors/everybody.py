"""All vendors' servers at once, hearing the same conversation: for what every engine has in common."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from core.model import Word
from tests.vendors import assemblyai, deepgram, elevenlabs, openai_audio, pyannoteai, replicate
from tests.vendors.openai_audio import OpenAIServer, Phrase, Said
from tests.vendors.pyannoteai import PyannoteAIServer
from tests.vendors.replicate import ReplicateServer

_LABELS = {"assemblyai": "A", "deepgram": "0", "elevenlabs": "speaker_0"}
"""How each vendor names the first speaker; the next one's label ends in the next character."""


@dataclass(kw_only=True)
class Everybody:
    """The servers; `environment` is what points the engines to them."""

    openai: OpenAIServer
    pyannoteai: PyannoteAIServer
    replicate: ReplicateServer
    one_call: dict[str, assemblyai.AssemblyAIServer | deepgram.DeepgramServer | elevenlabs.ElevenLabsServer]

    @property
    def environment(self) -> dict[str, str]:
        found = {
            "OPENAI_API_KEY": openai_audio.KEY,
            "OPENAI_BASE_URL": self.openai.url,
            "OPENAI_DIARIZE_MODEL": "gpt-4o-transcribe-diarize",
            "PYANNOTEAI_API_KEY": pyannoteai.KEY,
            "PYANNOTEAI_BASE_URL": self.pyannoteai.url,
            "REPLICATE_API_TOKEN": replicate.TOKEN,
            "REPLICATE_BASE_URL": self.replicate.url,
            "REPLICATE_VERSION": replicate.VERSION,
        }
        for name, server in self.one_call.items():
            found |= {f"{name.upper()}_API_KEY": server.key, f"{name.upper()}_BASE_URL": server.url}
        return found

    def hear(self, words: Sequence[Word]) -> None:
        """From now on every vendor hears `words`, whose speakers are "1", "2", ... ; whatever it is sent."""
        turns = [
            {"start": w.start, "end": w.end, "speaker": f"SPEAKER_0{int(w.speaker or 1) - 1}"} for w in words
        ]
        texts = [{**turn, "text": w.text} for turn, w in zip(turns, words, strict=True)]
        self.openai.say = lambda _data, _form: Said(
            phrases=[
                Phrase(start=w.start, end=w.end, text=w.text, speaker="ABCDEFGH"[int(w.speaker or 1) - 1])
                for w in words
            ]
        )
        self.pyannoteai.states = self.replicate.states = ()
        self.pyannoteai.outputs["diarize"] = {
            "diarization": turns,
            "exclusiveDiarization": turns,
            "wordLevelTranscription": texts,
            "turnLevelTranscription": texts,
        }
        self.replicate.output = {
            "segments": [
                {
                    **text,
                    "avg_logprob": -0.2,
                    "words": [
                        {"start": w.start, "end": w.end, "word": f" {w.text}", "probability": 0.9}
                        | {"speaker": text["speaker"]}
                    ],
                }
                for text, w in zip(texts, words, strict=True)
            ],
            "language": "en",
            "num_speakers": len({w.speaker for w in words}),
        }
        for name, server in self.one_call.items():
            first = _LABELS[name]
            server.words = [
                Word(
                    start=w.start,
                    end=w.end,
                    text=w.text,
                    confidence=0.9,
                    speaker=first[:-1] + chr(ord(first[-1]) + int(w.speaker or 1) - 1),
                )
                for w in words
            ]


@asynccontextmanager
async def serving(words: Sequence[Word] = ()) -> AsyncIterator[Everybody]:
    """All servers on this machine, hearing `words`."""
    async with AsyncExitStack() as stack:
        one_call = {
            "assemblyai": await stack.enter_async_context(assemblyai.serving()),
            "deepgram": await stack.enter_async_context(deepgram.serving()),
            "elevenlabs": await stack.enter_async_context(elevenlabs.serving()),
        }
        everybody = Everybody(
            openai=await stack.enter_async_context(openai_audio.serving()),
            pyannoteai=await stack.enter_async_context(PyannoteAIServer().running()),
            replicate=await stack.enter_async_context(ReplicateServer().running()),
            one_call=one_call,  # type: ignore[arg-type]  # dict is invariant
        )
        everybody.hear(words)
        yield everybody
