"""DOCX: a document per file, by its XML.

Not by python-docx, whose paragraphs leave out what was inserted under tracked changes and what
stands in content controls and text boxes.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import Any, BinaryIO

from bedside_corpus.intake.docx_numbers import Numbering, W
from bedside_corpus.intake.markup import lowered, raised
from bedside_corpus.intake.ooxml import refuse_encrypted
from bedside_corpus.intake.record import MAX_DOCUMENT_BYTES, Parsed, UnreadableError
from bedside_corpus.intake.xml import tree

BODY, NOTES = "word/document.xml", ("word/footnotes.xml", "word/endnotes.xml")
NUMBERING, STYLES = "word/numbering.xml", "word/styles.xml"
PASSED_OVER = frozenset(
    {"del", "moveFrom", "delText", "instrText", "Fallback", "pPr", "rPr", "tblPr", "sdtPr"}
)
"""Deleted text, the codes of fields, the older copy of a drawing, and properties."""
SIGNS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "\u2011", "softHyphen": "\u00ad"}


def read_docx(content: BinaryIO) -> Parsed:
    """Paragraphs, lists and tables in order, then the notes; without headers and footers.

    Raises:
        UnreadableError: `malformed`, `encrypted`, `too_large` or `entities`.
    """
    refuse_encrypted(content)
    try:
        with zipfile.ZipFile(content) as archive:
            others = (*NOTES, NUMBERING, STYLES)
            parts = [BODY, *(name for name in others if name in archive.namelist())]
            roots = {name: tree(io.BytesIO(_part(archive, name))) for name in parts}
    except (zipfile.BadZipFile, KeyError, zlib.error, EOFError, NotImplementedError, ValueError):
        raise UnreadableError("malformed") from None
    except RuntimeError:  # what zipfile raises for a password
        raise UnreadableError("encrypted") from None
    lines: list[str] = []
    numbering = Numbering(roots.get(NUMBERING), roots.get(STYLES))
    for name in (BODY, *NOTES):
        if name in roots:
            _blocks(roots[name], numbering, lines)
    return Parsed("\n".join(lines).strip("\n"))


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    """A part, unpacked as far as it may be large: its declared size is a stranger's word."""
    with archive.open(name) as part:
        data = part.read(4 * MAX_DOCUMENT_BYTES + 1)
    if len(data) > 4 * MAX_DOCUMENT_BYTES:
        raise UnreadableError("too_large")
    return data


def _blocks(element: Any, numbering: Numbering, lines: list[str]) -> None:
    for child in element:
        name = _local(child)
        if name == "p":
            lines += _paragraph(child, numbering)
        elif name == "tbl":
            lines += ["", *_table(child, numbering), ""]
        elif name not in PASSED_OVER:
            _blocks(child, numbering, lines)


def _paragraph(paragraph: Any, numbering: Numbering) -> list[str]:
    """Its line, and those of the text boxes that hang on it."""
    boxes: list[str] = []
    text = _inline(paragraph, numbering, boxes)
    mark = numbering.mark(paragraph)  # also of an empty one, which counts
    if mark and text.strip():
        text = f"{mark} {text.strip()}"
    return [text, *boxes] if text.strip() or not boxes else boxes


def _inline(element: Any, numbering: Numbering, boxes: list[str]) -> str:
    parts: list[str] = []
    for child in element:
        name = _local(child)
        if name == "t":
            parts.append(child.text or "")
        elif name in SIGNS:
            parts.append(SIGNS[name])
        elif name == "sym":
            parts.append(_symbol(child))
        elif name == "txbxContent":
            _blocks(child, numbering, boxes)
        elif name == "r":
            parts.append(_run(child, numbering, boxes))
        elif name not in PASSED_OVER:
            parts.append(_inline(child, numbering, boxes))
    return "".join(parts)


def _run(run: Any, numbering: Numbering, boxes: list[str]) -> str:
    text = _inline(run, numbering, boxes)
    hidden = run.find(f"{W}rPr/{W}vanish")
    if hidden is not None and hidden.get(f"{W}val") not in ("0", "false"):
        return ""
    align = run.find(f"{W}rPr/{W}vertAlign")
    kind = None if align is None else align.get(f"{W}val")
    if kind == "superscript":
        return raised(text)
    return lowered(text) if kind == "subscript" else text


def _symbol(element: Any) -> str:
    """A sign of a symbol font, in the private use area, where the cleaner knows it."""
    code = element.get(f"{W}char", "")
    try:
        number = int(code, 16)
    except ValueError:
        return ""
    return chr(number if number >= 0xF000 else 0xF000 + number) if 0 < number < 0xF100 else ""


def _table(table: Any, numbering: Numbering) -> list[str]:
    rows = []
    for row in table.iter(f"{W}tr"):
        if next(row.iterancestors(f"{W}tbl")) is not table:  # of a table inside a cell
            continue
        cells = []
        for cell in row.iter(f"{W}tc"):
            if next(cell.iterancestors(f"{W}tr")) is row:
                lines: list[str] = []
                _blocks(cell, numbering, lines)
                cells.append(" ".join(" ".join(lines).split()))
        rows.append("\t".join(cells))
    return rows


def _local(element: Any) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
