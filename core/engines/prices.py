"""What vendors charge, as one dated table. Pure.

Prices are list prices for pay as you go, without plans, discounts and taxes, read from public pages and
surveys on `PRICED_ON`. Where two sources disagreed the higher one stands here: a budget is then kept rather
than overspent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

PRICED_ON: Final = date(2026, 8, 1)
"""The day on which the prices were read. OpenAI's gpt-transcribe, announced later: 2026-11-22."""

DOLLARS_PER_EURO: Final = 1.20
"""What prices in euros are converted with. Set on 2026-11-22 on the high side; it is no day's rate."""

_DATED = re.compile(r"[-@:]v?\d[\d.\-]*|[-:]latest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars for an hour of audio, None if that can't be told; every request counts as `minimum_seconds`
    of audio at least. `note` says what is particular about it."""

    per_hour_usd: float | None
    minimum_seconds: float = 0.0
    note: str = ""


def _a_minute(dollars: float, note: str = "") -> Price:
    return Price(per_hour_usd=round(dollars * 60, 9), note=note)


def _pyannoteai(euros: float, note: str = "") -> Price:
    return Price(per_hour_usd=round(euros * DOLLARS_PER_EURO, 9), minimum_seconds=20.0, note=note)


_ORCHESTRATED = _pyannoteai(0.168, "diarization included")
_ENDS = "ends on 2027-02-26"
_NOVA_3 = "sources disagree: 0.0043 and 0.0077 a minute"

PRICES: Final[Mapping[str, Price]] = {
    "openai/whisper-1": _a_minute(0.006, _ENDS),
    "openai/gpt-4o-transcribe": _a_minute(0.006, _ENDS),
    "openai/gpt-4o-mini-transcribe": _a_minute(0.003, _ENDS),
    "openai/gpt-4o-transcribe-diarize": _a_minute(0.006, _ENDS),
    "openai/gpt-transcribe": _a_minute(0.0045),
    "pyannoteai/diarize/precision-2": _pyannoteai(0.112),
    "pyannoteai/diarize/community-1": _pyannoteai(0.035),
    "pyannoteai/transcribe/parakeet-tdt-0.6b-v3": _ORCHESTRATED,
    "pyannoteai/transcribe/faster-whisper-large-v3-turbo": _ORCHESTRATED,
    "pyannoteai/identify/precision-2": _pyannoteai(0.096, "sources disagree: 0.015 and 0.096 euros an hour"),
    "elevenlabs/scribe_v2": Price(per_hour_usd=0.22),
    "assemblyai/universal-3-pro": Price(per_hour_usd=0.21),
    "assemblyai/universal-3-pro+diarization": Price(per_hour_usd=0.23),
    "assemblyai/universal-2": Price(per_hour_usd=0.15),
    "assemblyai/universal-2+diarization": Price(per_hour_usd=0.17),
    "deepgram/nova-3": _a_minute(0.0077, _NOVA_3),
    "deepgram/nova-3+diarization": _a_minute(0.0097, _NOVA_3),
    "replicate/whisper-diarization": Price(per_hour_usd=None, note="billed by the time that a run takes"),
}
"""`vendor/model`, or `vendor/service/model`, and `+diarization` where that costs extra -> what it costs."""


def price_of(key: str) -> Price | None:
    """The price under `key`, or of the model that `key` is a dated version of; None if there is none.

    `openai/gpt-4o-mini-transcribe-2025-12-15` is a version of `openai/gpt-4o-mini-transcribe`; a name that
    goes on with words is another model, whose price nobody knows.
    """
    if key in PRICES:
        return PRICES[key]
    model, plus, option = key.partition("+")
    known = [name.removesuffix(plus + option) for name in PRICES if name.endswith(plus + option)]
    versions = [name for name in known if model.startswith(name) and _DATED.fullmatch(model, len(name))]
    return PRICES[max(versions, key=len) + plus + option] if versions else None


def estimate(key: str, seconds: float) -> float | None:
    """What `seconds` of audio in one request cost, US dollars; None if the price is unknown."""
    price = price_of(key)
    if price is None or price.per_hour_usd is None:
        return None
    return max(seconds, price.minimum_seconds) * price.per_hour_usd / 3600 if seconds > 0 else 0.0
