"""The report as plain text, for a terminal.

Tested in tests/eval/reporting/test_files.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from bedside_eval.reporting.view import View


def plain(view: View) -> str:
    """Every section; figures are left out, as their tables say the same."""
    return "\n".join(_lines(view))


def _lines(view: View) -> Iterator[str]:
    yield from (view.title, "", *(f"{name}: {value}" for name, value in view.facts), "")
    yield f"{view.verdict} [{view.code}]"
    if view.warning:
        yield view.warning
    for section in (*view.summary, *view.sections):
        yield from ("", section.title, *section.text)
        if section.table is not None:
            yield " | ".join(section.table.header)
            yield from (
                f"- {' | '.join(cell for cell in row if cell)}" for row in section.table.rows
            )
