"""The table of prices, and what is made of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.engines.credentials import AssemblyAIAccount, ElevenLabsAccount, OpenAIAccount, PyannoteAIAccount
from core.engines.prices import DOLLARS_PER_EURO, PRICES, estimate, price_of

KEYS = st.sampled_from(sorted(PRICES))
SECONDS = st.floats(0, 1e6)


@pytest.mark.parametrize(
    ("key", "an_hour"),
    [
        ("openai/whisper-1", 0.36),
        ("openai/gpt-transcribe", 0.27),
        ("openai/gpt-4o-mini-transcribe", 0.18),
        ("elevenlabs/scribe_v2", 0.22),
        ("assemblyai/universal-3-pro+diarization", 0.23),
        ("deepgram/nova-3+diarization", 0.582),
        ("pyannoteai/diarize/precision-2", 0.112 * DOLLARS_PER_EURO),
        ("pyannoteai/transcribe/parakeet-tdt-0.6b-v3", 0.168 * DOLLARS_PER_EURO),
    ],
)
def test_an_hour_costs_what_the_vendor_says(key: str, an_hour: float) -> None:
    assert estimate(key, 3600) == pytest.approx(an_hour)


@pytest.mark.parametrize(
    ("dated", "key"),
    [
        ("openai/gpt-4o-mini-transcribe-2025-12-15", "openai/gpt-4o-mini-transcribe"),
        ("openai/gpt-4o-transcribe-2025-03-20", "openai/gpt-4o-transcribe"),
        ("openai/gpt-4o-transcribe-diarize-2025-10-01", "openai/gpt-4o-transcribe-diarize"),
        ("openai/gpt-transcribe-latest", "openai/gpt-transcribe"),
        ("assemblyai/universal-2@2026-01+diarization", "assemblyai/universal-2+diarization"),
        ("assemblyai/universal-2@2026-01", "assemblyai/universal-2"),
    ],
)
def test_a_dated_model_costs_what_the_model_costs(dated: str, key: str) -> None:
    assert price_of(dated) is PRICES[key]


@pytest.mark.parametrize(
    "key",
    [
        "",
        "openai/",
        "openai/whisper-10",
        "openai/whisper-1+diarization",
        "openai/gpt-4o-transcribe-ultra",
        "openai/gpt-5-transcribe",
        "pyannoteai/diarize",
        "openai/whisper-1+",
    ],
)
def test_what_nobody_priced_is_unknown_and_not_free(key: str) -> None:
    assert price_of(key) is None
    assert estimate(key, 60) is None


def test_a_run_without_a_price_is_known_but_has_none() -> None:
    assert price_of("replicate/whisper-diarization") is not None
    assert estimate("replicate/whisper-diarization", 60) is None


def test_a_short_request_costs_the_minimum_and_none_costs_nothing() -> None:
    least = estimate("pyannoteai/diarize/precision-2", 20)
    assert least
    assert estimate("pyannoteai/diarize/precision-2", 0.1) == least
    assert estimate("pyannoteai/diarize/precision-2", 40) == pytest.approx(2 * least)
    assert estimate("pyannoteai/diarize/precision-2", 0) == 0
    assert estimate("openai/whisper-1", 10) == pytest.approx(0.001)


def test_what_is_asked_for_by_default_is_priced() -> None:
    openai, pyannoteai = OpenAIAccount(_env_file=None), PyannoteAIAccount(_env_file=None)  # type: ignore[call-arg]
    eleven, assembly = ElevenLabsAccount(_env_file=None), AssemblyAIAccount(_env_file=None)  # type: ignore[call-arg]
    keys = {
        f"openai/{openai.transcribe_model}",
        f"openai/{openai.diarize_model}",
        f"pyannoteai/diarize/{pyannoteai.model}",
        f"pyannoteai/transcribe/{pyannoteai.transcription_model}",
        f"elevenlabs/{eleven.model}",
        *(f"assemblyai/{model}+diarization" for model in assembly.models),
    }
    assert {key for key in keys if estimate(key, 60) is None} == set()


@given(key=KEYS, shorter=SECONDS, longer=SECONDS)
def test_more_audio_never_costs_less(key: str, shorter: float, longer: float) -> None:
    less, more = estimate(key, min(shorter, longer)), estimate(key, max(shorter, longer))
    assert (less is None) == (more is None)
    assert less is None or more is None or 0 <= less <= more


@given(key=KEYS, extra=st.text("abz-_.", min_size=1).filter(lambda text: "latest" not in text))
def test_a_name_that_goes_on_is_another_model(key: str, extra: str) -> None:
    assert price_of(key + extra) is None or key + extra in PRICES
