"""DOCX: a document per file, by its XML.

Not by python-docx, whose paragraphs leave out what was inserted under tracked changes and what
stands in content controls and text boxes.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import Any, BinaryIO

from bedside_corpus.intake.markup import lowered, raised
from bedside_corpus.intake.ooxml import refuse_encrypted
from bedside_corpus.intake.record import MAX_DOCUMENT_BYTES, Parsed, UnreadableError
from bedside_corpus.intake.xml import tree

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
BODY, NOTES = "word/document.xml", ("word/footnotes.xml", "word/endnotes.xml")
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
            parts = [BODY, *(name for name in NOTES if name in archive.namelist())]
            roots = [tree(io.BytesIO(_part(archive, name))) for name in parts]
    except (zipfile.BadZipFile, KeyError, zlib.error, EOFError, NotImplementedError, ValueError):
        raise UnreadableError("malformed") from None
    except RuntimeError:  # what zipfile raises for a password
        raise UnreadableError("encrypted") from None
    lines: list[str] = []
    for root in roots:
        _blocks(root, lines)
    return Parsed("\n".join(lines).strip("\n"))


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    """A part, unpacked as far as it may be large: its declared size is a stranger's word."""
    with archive.open(name) as part:
        data = part.read(4 * MAX_DOCUMENT_BYTES + 1)
    if len(data) > 4 * MAX_DOCUMENT_BYTES:
        raise UnreadableError("too_large")
    return data


def _blocks(element: Any, lines: list[str]) -> None:
    for child in element:
        name = _local(child)
        if name == "p":
            lines += _paragraph(child)
        elif name == "tbl":
            lines += ["", *_table(child), ""]
        elif name not in PASSED_OVER:
            _blocks(child, lines)


def _paragraph(paragraph: Any) -> list[str]:
    """Its line, and those of the text boxes that hang on it."""
    boxes: list[str] = []
    text = _inline(paragraph, boxes)
    level = paragraph.find(f"{W}pPr/{W}numPr/{W}ilvl")
    if paragraph.find(f"{W}pPr/{W}numPr") is not None and text.strip():
        depth = int(level.get(f"{W}val", "0")) if level is not None else 0
        text = "  " * min(depth, 8) + "- " + text.strip()
    return [text, *boxes] if text.strip() or not boxes else boxes


def _inline(element: Any, boxes: list[str]) -> str:
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
            _blocks(child, boxes)
        elif name == "r":
            parts.append(_run(child, boxes))
        elif name not in PASSED_OVER:
            parts.append(_inline(child, boxes))
    return "".join(parts)


def _run(run: Any, boxes: list[str]) -> str:
    text = _inline(run, boxes)
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


def _table(table: Any) -> list[str]:
    rows = []
    for row in table.iter(f"{W}tr"):
        if next(row.iterancestors(f"{W}tbl")) is not table:  # of a table inside a cell
            continue
        cells = []
        for cell in row.iter(f"{W}tc"):
            if next(cell.iterancestors(f"{W}tr")) is row:
                lines: list[str] = []
                _blocks(cell, lines)
                cells.append(" ".join(" ".join(lines).split()))
        rows.append("\t".join(cells))
    return rows


def _local(element: Any) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
