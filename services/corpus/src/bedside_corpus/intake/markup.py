"""Text of HTML, CDA narratives and other XML elements, with its lists, tables and raised digits.

resiliparse 2.0 and trafilatura 2.3 were tried first: both write 10<sup>9</sup>/l as 109/l, and
resiliparse's main content lost a list of findings. Here nothing is left out but what no reader of
the page reads as its text: scripts, navigation, and blocks of links.
"""

from __future__ import annotations

import re
from typing import Any

_BLOCKS = (
    *("p", "div", "paragraph", "title", "h1", "h2", "h3", "h4", "h5", "h6", "section", "sec"),
    *("article", "main", "blockquote", "caption", "dl", "dt", "dd", "address", "figure", "body"),
    *("figcaption", "footnote", "header", "text", "component", "abstract", "hr", "center"),
    "structuredbody",
)
ROLES = {
    **dict.fromkeys(_BLOCKS, "block"),
    **dict.fromkeys(("ul", "ol", "list"), "list"),
    **dict.fromkeys(("li", "item", "list-item"), "item"),
    **dict.fromkeys(("td", "th"), "cell"),
    "br": "break",
    "tr": "row",
    "table": "table",
    "pre": "verbatim",
    "sup": "raised",
    "sub": "lowered",
}
UNREAD = {
    *("script", "style", "noscript", "template", "nav", "footer", "aside", "iframe", "object"),
    *("svg", "select", "button", "input", "textarea", "head", "entry", "author", "informant"),
    *("authenticator", "legalauthenticator", "participant"),
}
"""No part of the text: programs, navigation, and in CDA the coded entries and persons."""
RAISED = str.maketrans("0123456789+-−()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁽⁾ⁿ")
LOWERED = str.maketrans("0123456789+-−()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₍₎")
MIN_LINKS, MAX_LINK_SHARE = 3, 0.8
"""A block of so many links that are most of its text is navigation."""
MAX_DEPTH = 200
_BLANKS = re.compile(r"[ \t\r\n\f\v]+")


def text_of(element: Any) -> str:
    """The text below an lxml element; cells are parted by tabs, items begin with a dash."""
    writer = _Writer()
    _walk(element, writer, 0)
    return writer.finish()


def raised(text: str) -> str:
    """As superscript: 10⁹; with a caret where Unicode has no such sign."""
    made = text.strip().translate(RAISED)
    return made if not made or not any(c.isascii() and c.isalnum() for c in made) else f"^{made}"


def lowered(text: str) -> str:
    """As subscript where Unicode has it, else as it is."""
    return text.strip().translate(LOWERED)


class _Writer:
    """Lines in the making; white space is one blank, whoever wrote it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line: list[str] = []
        self.cells: list[str] | None = None
        self.rows: list[tuple[list[str], list[str]]] = []
        """Cells and unfinished line of the rows around this one: a table in a cell is its text."""
        self.prefix = ""

    def add(self, text: str) -> None:
        self.line.append(text)

    def taken(self) -> str:
        line = _BLANKS.sub(" ", "".join(self.line)).strip()
        self.line = []
        return line

    def end_line(self, blank: bool = False) -> None:
        if self.cells is not None:  # a cell is one line, whatever it holds
            self.add(" ")
            return
        line = self.taken()
        if line:
            self.lines.append(self.prefix + line)
            self.prefix = ""
        if blank and self.lines and self.lines[-1]:
            self.lines.append("")

    def finish(self) -> str:
        self.end_line()
        return "\n".join(self.lines).strip("\n")


def _walk(element: Any, writer: _Writer, depth: int) -> None:
    if not isinstance(element.tag, str):  # a comment or a processing instruction
        return
    name = _local(element)
    if name in UNREAD or depth > MAX_DEPTH or _is_navigation(element, name):
        return
    role = ROLES.get(name, "inline")
    if role in ("raised", "lowered"):
        text = "".join(element.itertext())
        writer.add(raised(text) if role == "raised" else lowered(text))
        return
    if role == "verbatim":
        writer.end_line(blank=True)
        writer.lines += "".join(element.itertext()).strip("\n").splitlines()
        writer.end_line(blank=True)
        return
    _open(element, role, writer)
    writer.add(element.text or "")
    for child in element:
        _walk(child, writer, depth + 1)
        writer.add(child.tail or "")
    _close(role, writer)


def _open(element: Any, role: str, writer: _Writer) -> None:
    if role in ("block", "list", "table", "break"):
        writer.end_line(blank=role in ("block", "table"))
    elif role == "item":
        writer.end_line()
        above = [_local(a) for a in element.iterancestors() if ROLES.get(_local(a)) == "list"]
        mark = f"{_number(element)}. " if _is_ordered(element.getparent()) else "- "
        if writer.cells is None:
            writer.prefix = "  " * (len(above) - 1) + mark
        else:
            writer.add(mark)
    elif role == "row":
        if writer.cells is None:
            writer.end_line()
        else:
            writer.rows.append((writer.cells, writer.line))
            writer.line = []
        writer.cells = []


def _close(role: str, writer: _Writer) -> None:
    if role == "cell" and writer.cells is not None:
        writer.cells.append(writer.taken())
    elif role == "row":
        cells, writer.cells = writer.cells or [], None
        rest = writer.taken()
        cells += [rest] if rest else []
        if writer.rows:
            writer.cells, writer.line = writer.rows.pop()
            writer.add(f" {' '.join(cells)} ")
        elif any(map(str.strip, cells)):
            writer.lines.append("\t".join(cells))
    elif role in ("block", "table"):
        writer.end_line(blank=True)
    elif role in ("list", "item"):
        writer.end_line()


def _local(element: Any) -> str:
    tag = element.tag
    return tag.rpartition("}")[2].lower() if isinstance(tag, str) else ""


def _is_ordered(parent: Any) -> bool:
    if parent is None:
        return False
    return _local(parent) == "ol" or parent.get("listType") == "ordered"


def _number(item: Any) -> int:
    return 1 + sum(ROLES.get(_local(one)) == "item" for one in item.itersiblings(preceding=True))


def _is_navigation(element: Any, name: str) -> bool:
    if name not in ("ul", "ol", "div", "header", "table", "section"):
        return False
    links = [link for link in element.iter("a") if link.get("href")]
    if len(links) < MIN_LINKS:
        return False
    whole = sum(len(part.strip()) for part in element.itertext())
    linked = sum(len(part.strip()) for link in links for part in link.itertext())
    return linked >= MAX_LINK_SHARE * whole
