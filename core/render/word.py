"""Word documents. The content key is the document's identifier property.

The same transcript gives the same bytes: the archive's times and the properties come from the recording.
"""

from __future__ import annotations

import io
import re
import zipfile
from datetime import datetime
from typing import Final

from docx import Document
from docx.document import Document as DocumentObject
from docx.enum.table import WD_TABLE_DIRECTION
from docx.oxml.ns import qn
from docx.oxml.parser import OxmlElement
from docx.shared import Pt, RGBColor
from docx.styles.style import ParagraphStyle
from docx.text.paragraph import Paragraph as Line

from core.model import Recording, Transcript
from core.render import times
from core.render.layout import DRAFT_NOTICE, NO_SPEECH, OVERLAPPING, Page, Section, lay_out
from core.render.safe import clean, has_rtl, is_rtl

_GREY: Final = RGBColor(0x6B, 0x72, 0x80)
# Dark enough on white for 4.5:1, and told apart by colour-blind readers too (after Okabe and Ito).
_COLOURS: Final = tuple(
    RGBColor.from_string(colour) for colour in ("00629B", "9A3F00", "006B4F", "8A2D6B", "5B5200", "374151")
)
_PROPERTY_LIMIT: Final = 255  # characters, of python-docx and of Word
# fmt: off
_AFTER_BIDI: Final = (  # the schema fixes the order of a paragraph's properties
    "w:adjustRightInd", "w:snapToGrid", "w:spacing", "w:ind", "w:contextualSpacing", "w:mirrorIndents",
    "w:suppressOverlap", "w:jc", "w:textDirection", "w:textAlignment", "w:textboxTightWrap",
    "w:outlineLvl", "w:divId", "w:cnfStyle", "w:rPr", "w:sectPr", "w:pPrChange",
)
# fmt: on


def render_docx(transcript: Transcript, recording: Recording) -> bytes:
    """An Office Open XML document."""
    page = lay_out(transcript, recording)
    document = Document()
    _describe(document, page, transcript, times.utc(recording.shared_at))
    writer = _Writer(document)
    _header(writer, document, page)
    if not page.sections:
        writer.line("Normal").add_run(NO_SPEECH).italic = True
    colours: dict[str, RGBColor] = {}
    for section in page.sections:
        colour = colours.setdefault(section.speaker, _COLOURS[len(colours) % len(_COLOURS)])
        _section(writer, section, colour)
    buffer = io.BytesIO()
    document.save(buffer)
    return _settled(buffer.getvalue(), times.utc(recording.shared_at))


class _Writer:
    """Appends lines. python-docx looks for the end of the document each time, which takes quadratic time."""

    def __init__(self, document: DocumentObject) -> None:
        self._document = document
        self._body = document.element.body

    def line(self, style: str) -> Line:
        element = OxmlElement("w:p")
        self._body.sectPr.addprevious(element)
        line = Line(element, self._document._body)  # noqa: SLF001  (what Document.add_paragraph passes)
        if style != "Normal":
            line.style = self._document.styles[style]
        return line


def _header(writer: _Writer, document: DocumentObject, page: Page) -> None:
    _write(writer.line("Title"), page.title)
    if page.draft:
        writer.line("Intense Quote").add_run(f"Draft. {DRAFT_NOTICE}")
    for name, value in page.facts:
        line = writer.line("Normal")
        line.paragraph_format.space_after = Pt(2)
        line.add_run(f"{name}: ").bold = True
        line.add_run(value)
    if page.shares:
        table = document.add_table(rows=1 + len(page.shares), cols=3, style="Light List Accent 1")
        table.table_direction = WD_TABLE_DIRECTION.LTR
        rows = [("Speaker", "Talking time", "Share")]
        rows += [
            (str(share.speaker), times.duration(share.seconds), share.shown_percent) for share in page.shares
        ]
        filled = list(table._cells)  # noqa: SLF001  (row by row; `table.cell` computes them all each time)
        for index, text in enumerate(text for row in rows for text in row):
            _write(filled[index].paragraphs[0], text)
        writer.line("Normal")
    for warning in page.warnings:
        line = writer.line("Normal")
        line.add_run("Note: ").bold = True
        _write(line, warning)


def _section(writer: _Writer, section: Section, colour: RGBColor) -> None:
    for index, paragraph in enumerate(section.paragraphs):
        stamp = times.clock(paragraph.start) + (f" {OVERLAPPING}" if paragraph.overlap else "")
        line = writer.line("Normal")
        if index == 0:
            line.paragraph_format.space_before = Pt(10)
            line.paragraph_format.space_after = Pt(0)
            line.paragraph_format.keep_with_next = True
            name = line.add_run(section.speaker)
            name.bold = name.font.cs_bold = True
            name.font.color.rgb = colour
            name.font.rtl = has_rtl(section.speaker) or None
            line.add_run(f"  {stamp}").font.color.rgb = _GREY
            line = writer.line("Normal")
        else:
            line.add_run(f"{stamp}  ").font.color.rgb = _GREY
        _write(line, paragraph.text)


def _write(line: Line, text: str) -> None:
    """Add text in its direction; a line that is mostly right-to-left is laid out so."""
    run = line.add_run(text)
    if is_rtl(text):
        run.font.rtl = True
        line._p.get_or_add_pPr().insert_element_before(OxmlElement("w:bidi"), *_AFTER_BIDI)  # noqa: SLF001


def _describe(document: DocumentObject, page: Page, transcript: Transcript, shared_at: datetime) -> None:
    moment = _within_zip(shared_at)
    properties = document.core_properties
    properties.title = page.title[:_PROPERTY_LIMIT]
    properties.author = properties.last_modified_by = "Erni Audio"
    properties.comments = ""
    properties.identifier = clean(transcript.content_key)[:_PROPERTY_LIMIT]
    properties.created = properties.modified = moment
    properties.revision = 1
    normal = document.styles["Normal"]
    if isinstance(normal, ParagraphStyle):
        normal.paragraph_format.space_after = Pt(6)
    language = next((code for code in transcript.languages if re.fullmatch("[a-z]{2,3}", code)), None)
    for element in document.styles.element.iter(qn("w:lang")):  # the spelling checker goes by it
        for attribute in ("w:val", "w:eastAsia", "w:bidi"):
            if language is not None:
                element.set(qn(attribute), language)


def _within_zip(moment: datetime) -> datetime:
    """The nearest time that a zip archive can hold."""
    naive = moment.replace(tzinfo=None, microsecond=0)
    return min(max(naive, datetime(1980, 1, 1)), datetime(2107, 12, 31, 23, 59, 58))  # noqa: DTZ001


def _settled(archive: bytes, shared_at: datetime) -> bytes:
    """The archive with `shared_at` as the time of each of its files."""
    moment = _within_zip(shared_at)
    date_time = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(archive)) as source,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for member in source.infolist():
            entry = zipfile.ZipInfo(member.filename, date_time)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # else it depends on the machine
            target.writestr(entry, source.read(member))
    return buffer.getvalue()
