"""The report as one HTML file: no script, nothing from elsewhere, fit for a screen reader.

Tested in tests/eval/reporting/test_files.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from bedside_eval.reporting.parts import Section, Table
from bedside_eval.reporting.view import View

_STYLE = """
:root { color-scheme: light; }
body { font: 1rem/1.5 "Libertinus Serif", Georgia, serif; color: #1a1a1a; background: #fff;
  max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: .4rem; } h2 { font-size: 1.2rem; margin: 1.3rem 0 .2rem; }
p { margin: .2rem 0 .6rem; }
.verdict { border-left: .4rem solid #0072b2; padding: .4rem 1rem; background: #eef4f8; }
.verdict strong { font-size: 1.2rem; display: block; }
.warning { border: 2px solid #8a3b00; padding: .4rem 1rem; font-weight: bold; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; }
dt { color: #444; } dd { margin: 0; overflow-wrap: anywhere; }
.signature dd { border-bottom: 1px solid #1a1a1a; min-height: 1.9rem; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem .25rem 0;
  border-bottom: 1px solid #bbb; overflow-wrap: anywhere; font-weight: normal; }
thead th { font-weight: bold; } figure { margin: .5rem 0; }
figure svg { width: 100%; height: auto; }
@media print { @page { size: A4; margin: 18mm; }
  body { margin: 0; max-width: none; font-size: 10pt; }
  .summary { break-after: page; } tr, figure { break-inside: avoid; } }
"""


def html(view: View, figures: Mapping[str, str]) -> str:
    """Every string of the view is escaped; `figures` are SVG elements by name."""
    return "\n".join(_lines(view, figures)) + "\n"


def _lines(view: View, figures: Mapping[str, str]) -> Iterator[str]:
    yield f'<!DOCTYPE html>\n<html lang="{view.language}">\n<head>\n<meta charset="utf-8">'
    yield (
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    )
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(view.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>"
    yield f'<div class="summary">\n<h1>{escape(view.title)}</h1>'
    yield from _fields(view.facts, "facts")
    yield (
        f'<p class="verdict"><strong>{escape(view.verdict)}</strong> '
        f"<code>{escape(view.code)}</code></p>"
    )
    if view.warning:
        yield f'<p class="warning">{escape(view.warning)}</p>'
    for section in view.summary:
        yield from _section(section, figures)
    yield from _fields(view.signature, "signature")
    yield "</div>"
    for section in view.sections:
        yield from _section(section, figures)
    yield "</main>\n</body>\n</html>"


def _fields(fields: tuple[tuple[str, str], ...], name: str) -> Iterator[str]:
    rows = (f"<dt>{escape(term)}</dt><dd>{escape(value)}</dd>" for term, value in fields)
    yield f'<dl class="{name}">{"".join(rows)}</dl>'


def _section(section: Section, figures: Mapping[str, str]) -> Iterator[str]:
    head = f"{section.id}-title"
    yield f'<section aria-labelledby="{head}">\n<h2 id="{head}">{escape(section.title)}</h2>'
    yield from (f"<p>{escape(text)}</p>" for text in section.text)
    if section.figure:
        yield f'<figure role="img" aria-label="{escape(section.alt)}">{figures[section.figure]}'
        yield "</figure>"
    if section.table is not None:
        yield from _table(section.table, section.title)
    yield "</section>"


def _table(table: Table, title: str) -> Iterator[str]:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.header)
    yield f'<table aria-label="{escape(title)}">\n<thead><tr>{head}</tr></thead>\n<tbody>'
    for first, *rest in table.rows:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        yield f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>'
    yield "</tbody>\n</table>"
