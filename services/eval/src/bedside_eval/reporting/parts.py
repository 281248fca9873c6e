"""What a report is made of, before it is HTML, PDF or text.

Tested in tests/eval/reporting/test_files.py.
"""

from __future__ import annotations

from typing import NamedTuple


class Table(NamedTuple):
    """Rows below a header; the first cell of a row names it."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Section(NamedTuple):
    """A heading, what is said below it, and at most one figure and one table."""

    id: str
    title: str
    text: tuple[str, ...] = ()
    figure: str = ""
    """Name of a figure; its text alternative is `alt`."""
    alt: str = ""
    table: Table | None = None
