"""Plain text: wrapped, so that it reads well in a terminal and in a mail.

The last line carries the content key. Names that run from right to left are isolated where numbers or other
names share their line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from core.model import Recording, Transcript, Word
from core.render import times
from core.render.layout import DRAFT_NOTICE, FORMAT_VERSION, NO_SPEECH, OVERLAPPING, Page, Paragraph, lay_out
from core.render.safe import clean, isolate
from core.render.words import cells, pieces, wrap

_WIDTH: Final = 80


def render_txt(transcript: Transcript, recording: Recording) -> bytes:
    """UTF-8 without a byte-order mark, lines of at most 80 columns that end in a line feed."""
    page = lay_out(transcript, recording)
    lines = [*_header(page), *_body(page)]
    key = clean(transcript.content_key)
    lines += ["", "-" * _WIDTH, f"Erni Audio transcript, format {FORMAT_VERSION}, of {key}"]
    return ("\n".join(lines) + "\n").encode()


def _header(page: Page) -> Iterator[str]:
    title = _wrapped(page.title)
    yield from title
    yield "=" * min(_WIDTH, max(map(cells, title)))
    if page.draft:
        yield ""
        yield from _wrapped(f"DRAFT. {DRAFT_NOTICE}", indent="! ")
    yield ""
    margin = max(len(name) for name, _ in page.facts) + 2
    for name, value in page.facts:
        yield f"{name:<{margin}}{value}"
    widest = max((cells(isolate(str(share.speaker))) for share in page.shares), default=0)
    for index, share in enumerate(page.shares):
        name = isolate(str(share.speaker))
        label = ("Speakers" if len(page.shares) > 1 else "Speaker") if index == 0 else ""
        pad = " " * (min(widest, 40) - cells(name))
        yield f"{label:<{margin}}{name}{pad}  {share.shown_percent:>4}  {times.duration(share.seconds)}"
    for warning in page.warnings:
        yield ""
        yield from _wrapped(f"Note: {warning}")


def _body(page: Page) -> Iterator[str]:
    if not page.sections:
        yield from ("", NO_SPEECH)
    for section in page.sections:
        first, *rest = section.paragraphs
        yield from ("", "")
        yield f"{isolate(section.speaker)}  {_stamp(first)}"
        yield from wrap(pieces(first.words, limit=_WIDTH), _WIDTH)
        for paragraph in rest:
            yield ""
            stamp = Word(start=paragraph.start, end=paragraph.start, text=_stamp(paragraph))
            yield from wrap(pieces([stamp, *paragraph.words], limit=_WIDTH), _WIDTH)


def _stamp(paragraph: Paragraph) -> str:
    stamp = f"[{times.clock(paragraph.start)}]"
    return f"{stamp} {OVERLAPPING}" if paragraph.overlap else stamp


def _wrapped(text: str, *, indent: str = "") -> list[str]:
    width = _WIDTH - len(indent)
    lines = wrap(pieces([Word(start=0, end=0, text=text)], limit=width), width)
    return [indent + line for line in lines]
