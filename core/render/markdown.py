"""Markdown (CommonMark with GitHub's tables) that also reads well as it is.

What people said and what files are called is escaped so that it stays literal, and only where it must be:
`file_name` and `C#` look in the source as they look on the page. The last line is an HTML comment with the
content key; `content_key_of` reads it back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

from core.model import Recording, Transcript
from core.render import times
from core.render.layout import DRAFT_NOTICE, FORMAT_VERSION, NO_SPEECH, OVERLAPPING, Page, Section, lay_out
from core.render.safe import encodable, isolate

_MARKUP = re.compile(
    r"""[\\`*\[\]<~|]              # always
      | (?<![^\W_])_ | _(?![^\W_])  # an underscore that is not inside a word
      | &(?=\#?\w+;)                # what would be read as a character reference
      | :(?=//) | (?<=www)\.        # what GitHub would turn into a link
    """,
    re.VERBOSE | re.IGNORECASE,
)
_BLOCK = re.compile(r"^(\d{1,9}(?=[.)](?:\s|$))|(?=[#>+=-]))")
_MARK = re.compile(rb"<!-- erni-audio transcript=(\d+) content=([!-~]*) -->\s*\Z")


def render_md(transcript: Transcript, recording: Recording) -> bytes:
    """UTF-8, one paragraph per line."""
    page = lay_out(transcript, recording)
    blocks = [*_header(page), *_body(page)]
    key = quote(encodable(transcript.content_key), safe=":/").replace("-", "%2D")
    blocks.append(f"<!-- erni-audio transcript={FORMAT_VERSION} content={key} -->")
    return ("\n\n".join(blocks) + "\n").encode()


def content_key_of(document: bytes) -> str | None:
    """The content key of a Markdown transcript that we wrote, None for any other file."""
    found = _MARK.search(document)
    return unquote(found[2].decode("ascii")) if found else None


def escape(text: str) -> str:
    """Clean text as Markdown that shows exactly it, at the start of a line or within one."""
    text = _BLOCK.sub(r"\1\\", _MARKUP.sub(r"\\\g<0>", text))
    return text.replace("$", r"\$") if text.count("$") > 1 else text  # between two, many show mathematics


def _name(text: str) -> str:
    return isolate(escape(text))


def _header(page: Page) -> Iterator[str]:
    title = re.sub(r"(?<![\\#])(#+)$", r"\\\1", escape(page.title))  # hashes that would close the heading
    yield f"# {title}"
    if page.draft:
        yield f"> **Draft.** {escape(DRAFT_NOTICE)}"
    yield "\n".join(f"- **{name}:** {escape(value)}" for name, value in page.facts)
    if page.shares:
        rows = [
            f"| {_name(str(share.speaker))} | {times.duration(share.seconds)} | {share.shown_percent} |"
            for share in page.shares
        ]
        yield "\n".join(["| Speaker | Talking time | Share |", "| :--- | ---: | ---: |", *rows])
    for warning in page.warnings:
        yield f"> **Note:** {escape(warning)}"
    yield "---"


def _body(page: Page) -> Iterator[str]:
    if not page.sections:
        yield f"*{NO_SPEECH}*"
    for section in page.sections:
        yield from _section(section)


def _section(section: Section) -> Iterator[str]:
    for index, paragraph in enumerate(section.paragraphs):
        stamp = times.clock(paragraph.start)
        overlap = f" *{OVERLAPPING}*" if paragraph.overlap else ""
        if index == 0:
            yield f"**{_name(section.speaker)}** · {stamp}{overlap}"
            yield escape(paragraph.text)
        else:
            yield f"`{stamp}`{overlap} {escape(paragraph.text)}"
