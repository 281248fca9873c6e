"""The order of the lines on a page: columns of prose one after the other, tables row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, pairwise
from statistics import median
from typing import NamedTuple

MIN_ROWS = 3
"""Fewer rows beside each other are no columns."""
MIN_WORDS = 4
"""Median words of a line of prose; the cells of a table have fewer."""
FULL = 0.8
"""A line of prose that fills less of its column's width ends a paragraph."""
MAX_GAP = 1.8
"""In line heights: a wider one parts what stands above from what stands below."""


class Segment(NamedTuple):
    """Text that stands together on a line, with its box in points; y grows upwards."""

    x0: float
    y0: float
    x1: float
    y1: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line in reading order."""

    text: str
    y: float
    height: float
    zone: int
    """Lines of one column, or of one part of the page over its full width, share it."""
    is_full: bool


Row = list[Segment]


def read_order(segments: list[Segment]) -> list[Line]:
    """The lines of one page."""
    zones = count()
    return list(_order(_rows(segments), zones))


def _order(rows: list[Row], zones: count[int]) -> Iterator[Line]:
    for gutter in _gutters(rows):
        zone = _columns(rows, gutter)
        if zone is None:
            continue
        first, last = zone
        inside = rows[first:last]
        yield from _order(rows[:first], zones)
        for side in (True, False):
            column = [[s for s in row if (s.x1 <= gutter) == side] for row in inside]
            yield from _order([row for row in column if row], zones)
        yield from _order(rows[last:], zones)
        return
    if not rows:
        return
    left = min(row[0].x0 for row in rows)
    width = max(row[-1].x1 for row in rows) - left
    zone_number = next(zones)
    for row in rows:
        height = max(s.y1 - s.y0 for s in row)
        text = "\t".join(s.text for s in row)
        yield Line(text, row[0].y0, height, zone_number, row[-1].x1 - left >= FULL * width)


def _rows(segments: list[Segment]) -> list[Row]:
    """Segments that stand beside each other, from the top down, each row from the left."""
    rows: list[Row] = []
    for segment in sorted(segments, key=lambda s: (-(s.y0 + s.y1), s.x0)):
        middle = (segment.y0 + segment.y1) / 2
        if rows and rows[-1][0].y0 <= middle <= rows[-1][0].y1:
            rows[-1].append(segment)
        else:
            rows.append([segment])
    return [sorted(row) for row in rows]


def _gutters(rows: list[Row]) -> list[float]:
    """Where a column may end, those between the most rows first."""
    gaps = [(a.x1, b.x0) for row in rows for a, b in pairwise(row) if a.x1 < b.x0]
    middles = sorted({round((a + b) / 2) for a, b in gaps})
    support = {x: sum(a <= x <= b for a, b in gaps) for x in middles}
    return [float(x) for x in sorted(middles, key=lambda x: -support[x]) if support[x] >= MIN_ROWS]


def _columns(rows: list[Row], gutter: float) -> tuple[int, int] | None:
    """The first and one past the last of the rows that are prose on both sides of the gutter."""
    start = 0
    for index in range(len(rows) + 1):
        ends = index == len(rows) or any(s.x0 < gutter < s.x1 for s in rows[index])
        if not ends and index > start:
            above, below = rows[index - 1][0], rows[index][0]
            ends = above.y0 - below.y1 > (MAX_GAP - 1) * (above.y1 - above.y0)
            if ends and _is_prose(rows[start:index], gutter):
                return start, index
            if ends:
                start = index
                continue
        if ends:
            if _is_prose(rows[start:index], gutter):
                return start, index
            start = index + 1
    return None


def _is_prose(rows: list[Row], gutter: float) -> bool:
    left = [s for row in rows for s in row if s.x1 <= gutter]
    right = [s for row in rows for s in row if s.x1 > gutter]
    return all(
        len(side) >= MIN_ROWS and median(len(s.text.split()) for s in side) >= MIN_WORDS
        for side in (left, right)
    )
