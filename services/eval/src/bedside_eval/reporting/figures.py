"""The forest plot as SVG: the same bytes for the same evidence, letters as paths.

Tested in tests/eval/reporting/test_files.py.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bedside_core.kinds.measures import LIKELIHOOD
from bedside_eval.records import AGAINST, LABELS
from bedside_eval.reporting.gains import Gain
from bedside_eval.reporting.numerals import Language
from bedside_eval.reporting.words import WORDS

_COLOURS = dict(zip(("base", "incumbent", "reference", "checkpoint"),
                    (("#0072b2", "o"), ("#d55e00", "s"), ("#009e73", "D"), ("#cc79a7", "^")),
                    strict=True))  # fmt: skip
"""Okabe and Ito's palette, which colour-blind readers can tell apart, and a shape for each."""


def forest(gains: Sequence[Gain], language: Language) -> str:
    """An SVG element: a row for each gain, better to the right, the policy's margin as a bar."""
    words = WORDS[language]
    panels = [
        (words["gain_bits"], 1.0, [g for g in gains if g.measure == LIKELIHOOD]),
        (words["gain_points"], 100.0, [g for g in gains if g.measure != LIKELIHOOD]),
    ]
    panels = [panel for panel in panels if panel[2]]
    heights = [len(rows) + 1.5 for _, _, rows in panels]
    with matplotlib.rc_context({"svg.hashsalt": "bedside", "svg.fonttype": "path"}):
        figure = Figure(figsize=(7.2, 0.3 * sum(heights) + 0.6), layout="constrained")
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (label, factor, rows) in zip(grid, panels, strict=True):
            _panel(axes, rows, factor, label, language)
        shown = [role for role in LABELS if any(gain.against == role for gain in gains)]
        for role in shown:
            colour, mark = _COLOURS[role]
            grid[0].plot([], [], mark, color=colour, label=words[f"role_{role}"])
        if any(gain.against in AGAINST and gain.margin is not None for gain in gains):
            grid[0].plot([], [], "|", color="black", markersize=12, label=words["margin"])
        figure.legend(loc="outside upper center", ncols=4, fontsize=7, frameon=False)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def _panel(axes: Axes, rows: Sequence[Gain], factor: float, label: str, language: Language) -> None:
    words = WORDS[language]
    axes.axvline(0, color="#555555", linewidth=0.8)
    names = []
    for number, gain in enumerate(rows):
        height = len(rows) - 1 - number
        colour, mark = _COLOURS[gain.against]
        found, value = gain.estimate.envelope, factor * gain.estimate.estimate
        if found is not None:
            axes.plot([factor * found.low, factor * found.high], [height] * 2, color=colour)
        axes.plot([value], [height], mark, color=colour, markersize=5)
        if gain.margin is not None:
            axes.plot([factor * gain.margin], [height], "|", color="black", markersize=12,
                      markeredgewidth=1.6)  # fmt: skip
        name = words[gain.kind].format(name=gain.of)
        names.append(f"{name}, {words.get(gain.measure, gain.measure)}")
    axes.set_yticks(range(len(rows)), labels=names[::-1], fontsize=7, parse_math=False)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.tick_params(axis="x", labelsize=7)
    axes.set_xlabel(label, fontsize=8)
