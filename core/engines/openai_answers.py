"""Reading what servers answer that speak OpenAI's protocol: times, punctuation and languages. Pure.

Whisper's words come with times but without punctuation, its text with punctuation but without times. Here one
gets what the other has.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from core.engines.lenient import Row, fraction, in_order, label, rows, seconds
from core.engines.openai_models import SpeechModel
from core.model import Recognition, Word
from core.turnwise import Slice, words_of

ESTIMATED = "The recogniser gave no times for this recording, so they are rough estimates."

_A_WORD = 0.4  # seconds, for words that the text has and the list of timed words lacks

# Thai, Lao, Burmese, Khmer, kana and Chinese characters: written without spaces between words
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_OPENING = re.escape("([{\u00ab\u2018\u201c\u3008\u300a\u300c\u300e\u3010\u3014\uff08")  # brackets and quotes
_TOKEN = re.compile(rf"[{_UNSPACED}][^\w{_UNSPACED}{_OPENING}]*|[^{_UNSPACED}]+")

_NAMES = """
afrikaans=af albanian=sq amharic=am arabic=ar armenian=hy assamese=as azerbaijani=az bashkir=ba
basque=eu belarusian=be bengali=bn bosnian=bs breton=br bulgarian=bg burmese=my cantonese=yue
castilian=es catalan=ca chinese=zh croatian=hr czech=cs danish=da dutch=nl english=en estonian=et
faroese=fo finnish=fi flemish=nl french=fr galician=gl georgian=ka german=de greek=el gujarati=gu
haitian=ht hausa=ha hawaiian=haw hebrew=he hindi=hi hungarian=hu icelandic=is indonesian=id italian=it
japanese=ja javanese=jv kannada=kn kazakh=kk khmer=km korean=ko lao=lo latin=la latvian=lv
letzeburgesch=lb lingala=ln lithuanian=lt luxembourgish=lb macedonian=mk malagasy=mg malay=ms
malayalam=ml maltese=mt mandarin=zh maori=mi marathi=mr moldavian=ro moldovan=ro mongolian=mn myanmar=my
nepali=ne norwegian=no nynorsk=nn occitan=oc panjabi=pa pashto=ps persian=fa polish=pl portuguese=pt
punjabi=pa pushto=ps romanian=ro russian=ru sanskrit=sa serbian=sr shona=sn sindhi=sd sinhala=si
sinhalese=si slovak=sk slovenian=sl somali=so spanish=es sundanese=su swahili=sw swedish=sv tagalog=tl
tajik=tg tamil=ta tatar=tt telugu=te thai=th tibetan=bo turkish=tr turkmen=tk ukrainian=uk urdu=ur
uzbek=uz valencian=ca vietnamese=vi welsh=cy yiddish=yi yoruba=yo
"""
_LANGUAGES = dict(pair.split("=") for pair in _NAMES.split())
_LANGUAGES["haitian creole"] = "ht"


def language_code(name: object) -> str | None:
    """The ISO 639-1 code (639-3 where there is none) of a language given as "english", "en" or "en-GB"; None
    if it is none."""
    if not isinstance(name, str):
        return None
    plain = name.strip().lower()
    if plain in _LANGUAGES:
        return _LANGUAGES[plain]
    code = re.split(r"[-_]", plain)[0]
    if code == "jw":
        return "jv"  # Whisper's own code for Javanese
    return code if re.fullmatch(r"[a-z]{2,3}", code) and code != "und" else None


def recognition(answer: Row, model: SpeechModel, length: float, expected: Sequence[str]) -> Recognition:
    """What was heard in `length` seconds of audio, from the answer to `openai_models.form`.

    `expected` are the languages that were asked for: an only one is what it was heard in, if the answer names
    none. A model that should give times and gives text only loses no word: they are spread.
    """
    given = answer.get("text")
    text = given if isinstance(given, str) else ""
    phrases = rows(answer.get("segments"))
    text = text or " ".join(str(phrase.get("text") or "").strip() for phrase in phrases)
    languages = _languages(answer) or (tuple(expected) if len(expected) == 1 else ())
    if not model.timed:
        return Recognition(words=(), text=text.strip(), languages=languages if text.strip() else ())
    warnings: tuple[str, ...] = ()
    timed = [] if model.labels_speakers else _timed(answer, phrases, length)
    if timed:
        words = punctuated(timed, text, length)
    elif phrases:
        words = in_order(word for phrase in phrases for word in _spread(phrase, length))
    else:
        words = words_of(text, Slice(start=0.0, end=length, speaker=None))
        warnings = (ESTIMATED,) if words else ()
    return Recognition(words=words, languages=languages if words else (), warnings=warnings)


def is_transcript(answer: Row) -> bool:
    """Whether it holds what was said, if only that nothing was."""
    return isinstance(answer.get("text"), str) or isinstance(answer.get("segments"), list)


def has_times(answer: Row) -> bool:
    """Whether it holds a list of words or phrases with times, if only an empty one."""
    return isinstance(answer.get("words"), list) or isinstance(answer.get("segments"), list)


def _languages(answer: Row) -> tuple[str, ...]:
    several = [row.get("code") for row in rows(answer.get("languages"))]
    codes = [language_code(name) for name in several or [answer.get("language")]]
    return tuple(dict.fromkeys(code for code in codes if code))


def _timed(answer: Row, phrases: Sequence[Row], length: float) -> list[Word]:
    """Words with times, which some servers put into their phrases only."""
    found = rows(answer.get("words")) or [row for phrase in phrases for row in rows(phrase.get("words"))]
    words: list[Word] = []
    for row in found:
        text = str(row.get("word") or row.get("text") or "").strip()
        if text:
            start, end = _stretch(row, words[-1].end if words else 0.0, length)
            confidence = fraction(row.get("probability"))
            words.append(Word(start=start, end=end, text=text, confidence=confidence))
    return words


def _spread(phrase: Row, length: float) -> tuple[Word, ...]:
    start, end = _stretch(phrase, 0.0, length)
    text = str(phrase.get("text") or "")
    return words_of(text, Slice(start=start, end=end, speaker=label(phrase.get("speaker"))))


def _stretch(row: Row, otherwise: float, length: float) -> tuple[float, float]:
    start, end = seconds(row.get("start")), seconds(row.get("end"))
    start = min(max(otherwise if start is None else start, 0.0), length)
    return start, min(max(start if end is None else end, start), length)


# --- words and text ---


@dataclass(frozen=True, slots=True)
class _Token:
    """A word of a text with its punctuation; `plain` is what is compared, `spaced`: a space is before it."""

    text: str
    plain: str
    spaced: bool


@dataclass(frozen=True, slots=True)
class _Piece:
    """A token with times, and the number of the timed word it is of (-1: of none in particular)."""

    token: _Token
    start: float
    end: float
    confidence: float | None
    source: int


def punctuated(words: Sequence[Word], text: str, length: float) -> tuple[Word, ...]:
    """The words of `text` as it writes them, each once and in order, with the times of `words`.

    A word of the text that `words` lacks gets a time beside its neighbours; one that only `words` has is kept
    as it is. Times are within 0 and `length` seconds, and no word starts before the one before it.
    """
    pieces = [piece for number, word in enumerate(words) for piece in _exploded(word, number)]
    tokens = _tokens(text)
    if not tokens:
        whole = [_Piece(_Token(w.text, "", True), w.start, w.end, w.confidence, -1) for w in words]
        return _in_bounds(whole, length)
    return _in_bounds(_rejoined(_aligned(pieces, tokens, length)), length)


def _tokens(text: str) -> list[_Token]:
    """The words of a text; in unspaced scripts its characters. Lone punctuation goes with the next word."""
    found: list[_Token] = []
    pending, spaced_before = "", True
    for chunk in text.split():
        spaced = True
        for match in _TOKEN.finditer(chunk):
            part = match.group()
            if pending:
                part, spaced = f"{pending}{' ' if spaced else ''}{part}", spaced_before
            plain = _plain(part)
            if plain:
                found.append(_Token(part, plain, spaced))
                pending = ""
            else:
                pending, spaced_before = part, spaced
            spaced = False
    if pending and found:
        last = found[-1]
        found[-1] = replace(last, text=f"{last.text}{' ' if spaced_before else ''}{pending}")
    return found


def _plain(text: str) -> str:
    """Letters, digits and their marks, in lower case."""
    return "".join(c for c in text.casefold() if c.isalnum() or unicodedata.category(c).startswith("M"))


def _exploded(word: Word, number: int) -> Iterable[_Piece]:
    return _over(_tokens(word.text), word.start, word.end, word.confidence, number)


def _aligned(pieces: Sequence[_Piece], tokens: Sequence[_Token], length: float) -> list[_Piece]:
    ours, theirs = [piece.token.plain for piece in pieces], [token.plain for token in tokens]
    found: list[_Piece] = []
    for kind, i, i_end, j, j_end in SequenceMatcher(None, ours, theirs).get_opcodes():
        own, said = pieces[i:i_end], tokens[j:j_end]
        if kind == "equal":
            found += [replace(piece, token=token) for piece, token in zip(own, said, strict=True)]
        elif kind == "insert":
            before = found[-1].end if found else 0.0
            after = pieces[i].start if i < len(pieces) else length
            room = _A_WORD * len(said)
            start = max(before, after - room) if i < len(pieces) else before
            found += _over(said, start, max(start, min(after, start + room)), None)
        elif kind == "delete" or _letters(ours[i:i_end]) > 2 * _letters(theirs[j:j_end]) + 8:
            found += own
        else:
            known = [piece.confidence for piece in own if piece.confidence is not None]
            found += _over(said, own[0].start, max(piece.end for piece in own), min(known, default=None))
    return found


def _letters(plain: Sequence[str]) -> int:
    return sum(map(len, plain))


def _over(
    tokens: Sequence[_Token], start: float, end: float, confidence: float | None, source: int = -1
) -> Iterable[_Piece]:
    """`tokens` from `start` to `end`, in proportion to their length."""
    total = sum(len(token.plain) for token in tokens)
    done, at = 0, start
    for token in tokens:
        done += len(token.plain)
        until = end if done == total else start + (end - start) * done / total
        yield _Piece(token, at, until, confidence, source)
        at = until


def _rejoined(pieces: Sequence[_Piece]) -> list[_Piece]:
    """Characters of one timed word, which was taken apart, together again."""
    joined: list[_Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if last is not None and last.source == piece.source >= 0 and not piece.token.spaced:
            whole = replace(last.token, text=last.token.text + piece.token.text)
            joined[-1] = replace(last, token=whole, end=max(last.end, piece.end))
        else:
            joined.append(piece)
    return joined


def _in_bounds(pieces: Sequence[_Piece], length: float) -> tuple[Word, ...]:
    words: list[Word] = []
    latest = 0.0
    for piece in pieces:
        latest = min(max(piece.start, latest), length)
        end = min(max(piece.end, latest), length)
        words.append(Word(start=latest, end=end, text=piece.token.text, confidence=piece.confidence))
    return tuple(words)
