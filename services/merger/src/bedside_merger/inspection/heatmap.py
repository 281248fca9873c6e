"""A heat map as SVG: components down, layers across, the angle of each tensor as colour.

Drawn here, because the merger's environment has no library for it and needs none for rectangles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from bedside_merger.inspection.angles import LINEAR_FROM, Angle

CELL, LEFT, TOP, LINE = 18, 260, 40, 16
"""Pixels: a cell's side, the room for names, the room above, a line of text."""
LIMIT = math.degrees(math.acos(LINEAR_FROM))
"""The angle at which the formula changes."""


def heatmap(found: Sequence[Angle]) -> str:
    """The picture, with a column of its own for tensors outside of the layers.

    From white (no angle) to blue (the largest one here) where SLERP is linear, and to red where it
    is spherical; each cell says its numbers when it is pointed at.
    """
    layers = sorted({item.layer for item in found if item.layer is not None})
    columns = {None: 0} | {layer: 1 + i for i, layer in enumerate(layers)}
    components = list(dict.fromkeys(item.component for item in _in_order(found)))
    rows = {component: row for row, component in enumerate(components)}
    largest = max((item.degrees for item in found), default=0.0)
    width, height = LEFT + CELL * len(columns) + CELL, TOP + CELL * len(rows) + 3 * LINE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for layer in layers:
        if layer % 4 == 0:
            parts.append(_text(LEFT + CELL * columns[layer], TOP - 6, str(layer)))
    parts.append(_text(LEFT, LINE, "layer"))
    for component, row in rows.items():
        parts.append(_text(LEFT - 6, TOP + CELL * row + 13, component, anchor="end"))
    for item in found:
        x, y = LEFT + CELL * columns[item.layer], TOP + CELL * rows[item.component]
        parts.append(
            f'<rect x="{x}" y="{y}" width="{CELL - 1}" height="{CELL - 1}" '
            f'fill="{_colour(item, largest)}" stroke="#ccc" stroke-width="0.5">'
            f"<title>{escape(item.name)}: {item.degrees:.3f} degrees, "
            f"{'linear' if item.linear else 'spherical'}, change {item.relative_change:.3%}"
            "</title></rect>"
        )
    legend = (
        f"white: 0 degrees; full colour: {largest:.3f}; blue: linear, red: spherical (from "
        f"{LIMIT:.2f} degrees)"
    )
    parts.append(_text(LEFT - 240, TOP + CELL * len(rows) + 2 * LINE, legend))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _in_order(found: Sequence[Angle]) -> list[Angle]:
    """What the layers have first, then the rest."""
    return sorted(found, key=lambda item: (item.layer is None, item.component))


def _colour(item: Angle, largest: float) -> str:
    pale = round(255 * (1 - item.degrees / largest)) if largest else 255
    return f"rgb({pale},{pale},255)" if item.linear else f"rgb(255,{pale},{pale})"


def _text(x: int, y: int, text: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
