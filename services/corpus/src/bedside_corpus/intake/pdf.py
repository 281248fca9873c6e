"""PDF: a document per file, in the order in which a person reads it.

pdfminer.six gives lines with their places; the order is made here. On our own samples (two columns
above a table of laboratory values, the same drawn in random order) pypdf and pypdfium2 keep the
order of the drawing, so mix the columns, and pdfminer's own order reads the table by columns, which
parts values from their names. Ligatures, bullets of symbol fonts and words divided at a line end
are left to the cleaner, which knows them from other formats too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

from pdfminer.converter import PDFPageAggregator
from pdfminer.layout import LAParams, LTContainer, LTTextLine
from pdfminer.pdfdocument import PDFDocument, PDFEncryptionError, PDFPasswordIncorrect
from pdfminer.pdfinterp import PDFPageInterpreter, PDFResourceManager
from pdfminer.pdfpage import PDFPage
from pdfminer.pdfparser import PDFParser
from pdfminer.psexceptions import PSException

from bedside_corpus.intake.layout import Line, Segment, read_order
from bedside_corpus.intake.record import Parsed, UnreadableError

MARGIN_LINES = 2
"""So many lines at the top and at the bottom of a page may be its header and footer."""
MAX_UNMAPPED = 0.1
"""Share of signs whose letters the file does not tell."""
LETTERS_PER_SIGN = 8  # of "(cid:123)"
_UNMAPPED = re.compile(r"\(cid:\d+\)")
_NUMBER = re.compile(r"(?<![\w.,/-])\d{1,4}(?![\w.,-]*\d)")
_DIVIDED = re.compile(r"\w-$|\u00ad$")
_ITEM = re.compile(r"^\s*(?:[-–•▪*\uf0a7\uf0b7]|\d{1,2}[.)]\s|[a-z]\)\s)")


def read_pdf(content: BinaryIO) -> Parsed:
    """The text of all pages, its lines joined to paragraphs, table cells parted by tabs.

    A running header is kept once and page numbers never. Pages without text are noted; without any
    the file is a scan.

    Raises:
        UnreadableError: `no_text_layer`, `unmapped_glyphs`, `encrypted` or `malformed`.
    """
    try:
        pages = list(_pages(content))
    except (PDFPasswordIncorrect, PDFEncryptionError):
        raise UnreadableError("encrypted") from None
    except (PSException, ValueError, TypeError, KeyError, IndexError, AttributeError, OSError):
        raise UnreadableError("malformed") from None  # pdfminer raises whatever it stumbles over
    without = sum(not page for page in pages)
    if without == len(pages):
        raise UnreadableError("no_text_layer" if pages else "malformed")
    removed = _without_running_lines(pages)
    text = "\n".join(_paragraphs([line for page in pages for line in page])).strip("\n")
    if len("".join(_UNMAPPED.findall(text))) > MAX_UNMAPPED * LETTERS_PER_SIGN * len(text):
        raise UnreadableError("unmapped_glyphs")
    notes = ("pages without text",) * without + ("running lines",) * removed
    return Parsed(text, notes=notes)


def _pages(content: BinaryIO) -> Iterator[list[Line]]:
    document = PDFDocument(PDFParser(content))
    manager = PDFResourceManager()
    device = PDFPageAggregator(manager, laparams=LAParams(boxes_flow=None, all_texts=True))
    interpreter = PDFPageInterpreter(manager, device)
    for page in PDFPage.create_pages(document):
        interpreter.process_page(page)
        yield read_order(list(_segments(device.get_result())))


def _segments(item: Any) -> Iterator[Segment]:
    if isinstance(item, LTTextLine):
        text = item.get_text().strip()
        if text:
            yield Segment(item.x0, item.y0, item.x1, item.y1, text)
    elif isinstance(item, LTContainer):
        for inner in item:
            yield from _segments(inner)


def _without_running_lines(pages: list[list[Line]]) -> int:
    """Take out what the margins of most pages repeat; returns how many lines that were."""
    seen: Counter[str] = Counter()
    for number, page in enumerate(pages, start=1):
        seen.update({_key(page[index], number, len(pages)) for index in _margins(page)})
    running = {key for key, count in seen.items() if count > 1 and 2 * count > len(pages)}
    kept: set[str] = set()
    removed = 0
    for number, page in enumerate(pages, start=1):
        for index in sorted(_margins(page), reverse=True):
            key = _key(page[index], number, len(pages))
            if key in running and ("\0" in key or key in kept):
                del page[index]
                removed += 1
            elif key in running:
                kept.add(key)
    return removed


def _margins(page: list[Line]) -> set[int]:
    by_height = sorted(range(len(page)), key=lambda index: page[index].y)
    return {*by_height[:MARGIN_LINES], *by_height[-MARGIN_LINES:]}


def _key(line: Line, number: int, pages: int) -> str:
    """The line with the page's own number, and no other, blotted out."""
    own = {str(number), str(pages)}
    return _NUMBER.sub(lambda found: "\0" if found[0] in own else found[0], line.text)


def _paragraphs(lines: list[Line]) -> Iterator[str]:
    """A line that fills its column goes on in the next.

    A divided word waits for the cleaner, which knows which hyphens are words' own; before a capital
    or a digit they are ("CT-", "Angiographie"; "5-", "10 mg").
    """
    made = ""
    before: Line | None = None
    for line in lines:
        divided = before is not None and _DIVIDED.search(before.text) is not None
        if before is None or not _goes_on(before, line) or (divided and line.text[0].islower()):
            if before is not None:
                yield made
                if before.zone != line.zone or before.y - line.y > 2 * line.height:
                    yield ""
            made = line.text
        else:
            made += line.text if divided else f" {line.text}"
        before = line
    yield made


def _goes_on(line: Line, after: Line) -> bool:
    return (
        line.zone == after.zone
        and (line.is_full or _DIVIDED.search(line.text) is not None)
        and "\t" not in line.text + after.text
        and 0 < line.y - after.y <= 1.7 * line.height
        and not _ITEM.match(after.text)
    )
