"""The pictures of the passport, as SVG: no library draws bars with fewer bytes.

Tested in tests/corpus/passport/test_passport.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, LABEL, BAR, HIGH, LINE = 760, 150, 440, 22, 16
"""Pixels: the picture, the names, the longest bar, a bar's height, a line of text."""
STYLE = """
text { font: 12px system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  fill: #16242c; }
.soft { fill: #475963; } .kept { fill: #0b5c6b; } .gone { fill: #e0b27a; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6eef1; }
  .soft { fill: #aebfc7; } .kept { fill: #5fb4c4; } .gone { fill: #a97b3f; }
}
@media print {
  text { fill: #000; }
  .soft { fill: #333; } .kept { fill: #0b5c6b; } .gone { fill: #e0b27a; }
}
"""


def funnel(steps: Sequence[Mapping[str, Any]]) -> str:
    """From what was read to what was kept: a bar for each step, and under it what went out there.

    Args:
        steps: `funnel` of the passport.
    """
    read = max((step["read"] for step in steps), default=0) or 1
    parts, y = [], 4
    for step in steps:
        came, kept = (BAR * step[name] / read for name in ("read", "kept"))
        parts.append(text(0, y + 15, step["step"].replace("_", " ")))
        parts.append(_bar(LABEL, y, came, "gone"))
        parts.append(_bar(LABEL, y, kept, "kept"))
        parts.append(text(WIDTH, y + 15, f"{step['kept']:,}", anchor="end"))
        y += HIGH + LINE
        for name, gone in step["dropped"].items():
            share = gone["records"] / read
            said = f"{name}  {gone['records']:,}  ({share:.1%})"
            parts.append(text(LABEL + 8, y - 1, said, soft=True))
            y += LINE
        y += 2
    title = f"{steps[0]['read']:,} records read, {steps[-1]['kept']:,} kept" if steps else "nothing"
    return picture(y, title, parts)


def histogram(bins: Sequence[Mapping[str, int]]) -> str:
    """How many documents have how many words; each bin is twice as wide as the one before.

    Args:
        bins: `lengths` of the passport.
    """
    most = max((one["documents"] for one in bins), default=0) or 1
    parts, y = [], 4
    for one in bins:
        ends = (one["from"], one["to"])
        name = f"{ends[0]:,}" if ends[0] == ends[1] else f"{ends[0]:,} to {ends[1]:,}"
        parts.append(text(LABEL - 10, y + 13, name, anchor="end"))
        parts.append(_bar(LABEL, y, BAR * one["documents"] / most, "kept", high=HIGH - 6))
        parts.append(text(WIDTH, y + 13, f"{one['documents']:,}", anchor="end"))
        y += HIGH
    return picture(y, "documents by number of words", parts)


def picture(height: int, title: str, parts: Sequence[str]) -> str:
    """An SVG document of these parts."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            f'aria-label="{escape(title)}">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            *parts,
            "</svg>\n",
        ]
    )


def _bar(x: float, y: float, width: float, kind: str, high: int = HIGH) -> str:
    # What is there at all is seen, however little it is.
    wide = max(width, 1.5) if width > 0 else 0
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{wide:.2f}" height="{high}" rx="2"/>'


def text(x: float, y: float, said: str, *, anchor: str = "start", soft: bool = False) -> str:
    """Plain text at a place, in pixels; `anchor` is SVG's."""
    kind = ' class="soft"' if soft else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{kind}>{escape(said)}</text>'
