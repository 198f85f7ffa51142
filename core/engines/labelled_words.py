"""Vendors that hear words and speakers in one call: the engine around it, and reading of their words."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from core.engines.vendor import Vendor
from core.errors import AuthFailed, Rejected, Transient
from core.model import Audio, Hints, Recognition, Word
from core.ports import Capabilities, Diarizer, Readiness, Report, Transcriber

Hear = Callable[[Audio, Hints, Report], Awaitable[Recognition]]
"""One call of the vendor. May report fractions between 0 and 1."""

_CONTENT_TYPES: Final = {
    ".ogg": "audio/ogg",
    ".flac": "audio/flac",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".webm": "audio/webm",
}

# ISO 639-3 and 639-2/B codes of languages that have a two-letter code. Others keep their three letters.
_PAIRS: Final = """
    afr:af aka:ak amh:am ara:ar arb:ar asm:as azb:az aze:az azj:az bak:ba bam:bm baq:eu bel:be ben:bn bod:bo
    bos:bs bre:br bul:bg bur:my cat:ca ces:cs chi:zh cmn:zh cos:co cym:cy cze:cs dan:da deu:de dut:nl ell:el
    eng:en epo:eo ekk:et est:et eus:eu ewe:ee fao:fo fas:fa fin:fi fra:fr fre:fr fry:fy ful:ff geo:ka ger:de
    gla:gd gle:ga glg:gl gre:el grn:gn guj:gu hat:ht hau:ha heb:he hin:hi hrv:hr hun:hu hye:hy arm:hy ibo:ig
    ice:is ind:id isl:is ita:it jav:jv jpn:ja kal:kl kan:kn kas:ks kat:ka kaz:kk khk:mn khm:km kin:rw kir:ky
    kor:ko kur:ku lao:lo lat:la lav:lv lin:ln lit:lt ltz:lb lug:lg lvs:lv mac:mk mal:ml mao:mi mar:mr may:ms
    mkd:mk mlg:mg mlt:mt mon:mn mri:mi msa:ms mya:my nep:ne npi:ne nld:nl nno:nn nob:nb nor:no nya:ny oci:oc
    ori:or ory:or orm:om oss:os pan:pa pes:fa per:fa pol:pl por:pt prs:fa pus:ps que:qu roh:rm ron:ro rum:ro
    run:rn rus:ru san:sa sin:si slk:sk slo:sk slv:sl smo:sm sna:sn snd:sd som:so sot:st spa:es sqi:sq alb:sq
    srd:sc srp:sr sun:su swa:sw swe:sv swh:sw tam:ta tat:tt tel:te tgk:tg tgl:tl tha:th tib:bo tir:ti ton:to
    tsn:tn tuk:tk tur:tr twi:tw uig:ug ukr:uk urd:ur uzb:uz uzn:uz vie:vi wel:cy wol:wo xho:xh yid:yi ydd:yi
    yor:yo zho:zh zsm:ms zul:zu
    """
_TWO_LETTERS: Final[dict[str, str]] = dict(re.findall(r"([a-z]{3}):([a-z]{2})", _PAIRS))


@dataclass(frozen=True, slots=True, kw_only=True)
class OneCallTranscriber:
    """Hears words with speakers by one call of a vendor. `key` is empty where `variable` is not set."""

    name: str
    capabilities: Capabilities
    key: str
    variable: str
    hear: Hear

    async def transcribe(self, audio: Audio, hints: Hints, report: Report) -> Recognition:
        """The words of `audio.path`, at most a file of the vendor's limits. Raises Rejected, Transient,
        AuthFailed, QuotaExhausted or Misconfigured."""
        if not self.key:
            raise AuthFailed(f"{self.name} needs a key. Set {self.variable}.")
        report(0.0)
        try:
            found = await self.hear(audio, hints, report)
        except Rejected:
            if hints == Hints():
                raise
            # Vendors refuse requests for a language they don't do or a term they don't like, in the same way
            # as broken audio. No hint is worth a transcript.
            found = await self.hear(audio, Hints(), report)
            warning = f"{self.name} did not accept what was known beforehand and listened without it."
            found = replace(found, warnings=(*found.warnings, warning))
        report(1.0)
        return found


class OneCallEngine:
    """An engine that is one such transcriber, and its connections to the vendor."""

    draft = False

    def __init__(self, name: str, transcriber: OneCallTranscriber, vendor: Vendor) -> None:
        self.name = name
        self._transcriber = transcriber
        self._vendor = vendor

    @property
    def transcriber(self) -> Transcriber:
        return self._transcriber

    @property
    def diarizer(self) -> Diarizer | None:
        return None

    async def check(self) -> Readiness:
        """Whether there is a key; asks nobody whether it is a good one."""
        if not self._transcriber.key:
            variable = self._transcriber.variable
            return Readiness(
                usable=False,
                absent=True,
                reason=f"{variable} is not set",
                remedy=f"Set {variable} to the key of an account at {self._vendor.name}.",
            )
        return Readiness(usable=True, reason=self._transcriber.name)

    async def close(self) -> None:
        """Close the connections. Safe to repeat; a later call opens them again."""
        await self._vendor.close()


def content_type(path: Path) -> str:
    """The media type that a file's suffix says."""
    return _CONTENT_TYPES.get(path.suffix.lower(), "application/octet-stream")


def language_of(code: object) -> str | None:
    """ISO 639-1 for what a vendor calls a language (`eng`, `en_us`, `zh-TW`, `de`); three letters where there
    is no two-letter code. None if it is no code at all."""
    if not isinstance(code, str):
        return None
    base = code.replace("_", "-").partition("-")[0].strip().lower()
    if not (base.isascii() and base.isalpha() and len(base) in {2, 3}):
        return None
    return _TWO_LETTERS.get(base, base)


def languages_of(codes: Iterable[object]) -> tuple[str, ...]:
    """Those of `codes` that are languages, each once, in order."""
    return tuple(dict.fromkeys(code for code in map(language_of, codes) if code is not None))


def terms(
    vocabulary: Sequence[str],
    name: str,
    *,
    most: int,
    most_bytes: float = math.inf,
    fits: Callable[[str], bool] = bool,
) -> tuple[list[str], tuple[str, ...]]:
    """The first `most` terms that fit, each once and with single spaces, and a warning if some are left out.

    `most_bytes` bounds all of them together, as UTF-8 and with a separator each.
    """
    wanted = list(dict.fromkeys(" ".join(term.split()) for term in vocabulary if term.strip()))
    taken: list[str] = []
    for term in wanted:
        size = len(term.encode()) + 1
        if len(taken) < most and size <= most_bytes and fits(term):
            taken.append(term)
            most_bytes -= size
    if len(taken) == len(wanted):
        return taken, ()
    return taken, (f"{name} can take only {len(taken)} of the {len(wanted)} terms of the vocabulary.",)


def not_understood(name: str) -> Transient:
    """For an answer that is no error and yet lacks what was asked for."""
    return Transient(f"{name} answered in a form that is not understood.")


def part(answer: object, key: str, kind: type, name: str) -> Any:
    """`answer[key]`, which must be a `kind`. Raises Transient if it isn't."""
    found = answer.get(key) if isinstance(answer, Mapping) else None
    if not isinstance(found, kind):
        raise not_understood(name)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A word as a vendor gives it, times in seconds. Everything but the text may be missing or nonsense."""

    text: object
    start: object = None
    end: object = None
    confidence: object = None
    speaker: object = None


def words_of(said: Iterable[Said], seconds: float, name: str) -> tuple[Word, ...]:
    """The words in order of start, within 0 to `seconds`; a word without times follows the one before.

    Raises Transient if one has no text.
    """
    words: list[Word] = []
    before = 0.0
    for each in said:
        if not isinstance(each.text, str):
            raise not_understood(name)
        text = " ".join(each.text.split())
        if not text:
            continue
        start = min(max(0.0, _number(each.start, before)), seconds)
        end = min(max(start, _number(each.end, start)), seconds)
        before = end
        confidence = _number(each.confidence, math.nan)
        words.append(
            Word(
                start=start,
                end=end,
                text=text,
                confidence=None if math.isnan(confidence) else min(max(0.0, confidence), 1.0),
                speaker=None if each.speaker is None or each.speaker == "" else str(each.speaker),
            )
        )
    return tuple(sorted(words, key=lambda word: word.start))


def _number(value: object, otherwise: float) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return otherwise
