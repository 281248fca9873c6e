"""The forest plot of the evidence: every paired difference with its interval.

Tested in tests/eval/test_run.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bedside_eval.evidence import Evidence
from bedside_eval.records import LABELS, PairDifference
from bedside_eval.statistics.estimate import Estimate, Interval

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")
"""Okabe and Ito's palette, which colour-blind readers can tell apart."""


def forest_plot(evidence: Evidence, path: Path) -> None:
    """Write a PNG: held-out likelihood on the left, exam accuracy (acc_norm) on the right."""
    first = evidence.differences[0]
    panels = 2 if first.exams else 1
    height = 1.5 + 0.8 * max(len(first.heldout), len(first.exams))
    figure = Figure(figsize=(5.5 * panels, height), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    _panel(
        axes[0],
        [(pair, _intervals(pair.heldout, 1)) for pair in evidence.differences],
        "difference in bits per byte (left: better)",
    )
    if first.exams:
        _panel(
            axes[1],
            [(pair, _accuracies(pair)) for pair in evidence.differences],
            "difference in accuracy, percentage points (right: better)",
        )
    axes[0].legend(loc="best", fontsize="small")
    demo = " - a demo, nothing clinical" if evidence.scope == "demo" else ""
    figure.suptitle(f"Paired differences, {100 * evidence.confidence:g} % intervals{demo}")
    figure.savefig(path, dpi=120)


def _accuracies(pair: PairDifference) -> dict[str, Interval]:
    estimates = {name: metrics["acc_norm"].difference for name, metrics in pair.exams.items()}
    return _intervals(estimates, 100)


def _intervals(estimates: Mapping[str, Estimate], factor: float) -> dict[str, Interval]:
    """Scaled; without information a point alone."""
    found = {}
    for name, estimate in estimates.items():
        point = Interval(estimate=estimate.estimate, low=estimate.estimate, high=estimate.estimate)
        bounds = estimate.envelope or point
        found[name] = Interval(
            estimate=factor * bounds.estimate, low=factor * bounds.low, high=factor * bounds.high
        )
    return found


def _panel(axes: Axes, pairs: list[tuple[PairDifference, dict[str, Interval]]], label: str) -> None:
    names = list(pairs[0][1])
    for number, (pair, intervals) in enumerate(pairs):
        offset = 0.22 * ((len(pairs) - 1) / 2 - number)
        values = [intervals[name] for name in names]
        axes.errorbar(
            [v.estimate for v in values],
            [len(names) - 1 - row + offset for row in range(len(names))],
            xerr=[[v.estimate - v.low for v in values], [v.high - v.estimate for v in values]],
            fmt="o",
            capsize=3,
            color=_COLOURS[number],
            label=f"{LABELS[pair.candidate]} - {LABELS[pair.reference]}",
        )
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.set_yticks(range(len(names)), labels=names[::-1])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel(label)
