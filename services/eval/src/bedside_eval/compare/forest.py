"""The forest plot of a comparison: every difference from A with its interval.

Tested in tests/eval/compare/test_verb.py.
"""

from __future__ import annotations

from io import BytesIO

from matplotlib.figure import Figure

from bedside_eval.compare.result import CompareResult

_COLOUR = "#0072b2"
"""Okabe and Ito's blue."""


def forest_plot(result: CompareResult) -> bytes:
    """A PNG with one row per task and model; a difference without an interval is a hollow mark."""
    rows = [(task.task, found) for task in result.tasks for found in task.differences]
    figure = Figure(figsize=(7, 1.4 + 0.35 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, (_, found) in enumerate(reversed(rows)):
        value = 100 * found.difference.estimate
        envelope = found.difference.envelope
        if envelope is not None:
            axes.plot([100 * envelope.low, 100 * envelope.high], [place] * 2, color=_COLOUR)
        axes.plot(value, place, "o", color=_COLOUR, fillstyle="full" if envelope else "none")
    axes.axvline(0, color="grey", linewidth=0.8)
    names = [f"{task}: {found.label} - A" for task, found in reversed(rows)]
    # A name is no formula: matplotlib would set what stands between dollar signs as one.
    axes.set_yticks(range(len(rows)), labels=[name.replace("$", r"\$") for name in names])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel(
        f"difference in points (right: better), {100 * result.confidence:g} % intervals"
    )
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
