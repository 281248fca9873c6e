"""What a checkpoint says about its training: `loss.jsonl`, `loss.png`, `heldout.json`, facts.

Tested in tests/trainer/test_run.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # files only: there is no display on a server

from matplotlib.figure import Figure

from bedside_trainer.data.report import PackingReport
from bedside_trainer.loop import Outcome
from bedside_trainer.state.record import Point

SCHEMA_VERSION = 3
"""Of `heldout.json`. 2 had no bytes, and the prefix token before a text's first window alone; 1
scored all tokens but a text's first, in windows of `sequence_length`."""
SMOOTHING = 0.1
"""Weight of a new value in the running mean of the plot."""


def write_report(target: Path, outcome: Outcome) -> None:
    """Write the loss curve and the held-out scores into `target`."""
    lines = "".join(json.dumps(point.model_dump()) + "\n" for point in outcome.curve)
    (target / "loss.jsonl").write_text(lines, encoding="utf-8")
    scores = {
        "schema_version": SCHEMA_VERSION,
        "estimand": outcome.before.estimand.model_dump(),
        "before": outcome.before.summary(),
        "after": outcome.after.summary(),
    }
    (target / "heldout.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    plot(target / "loss.png", outcome.curve, outcome.before.perplexity, outcome.after.perplexity)


def facts(outcome: Outcome, packing: PackingReport) -> dict[str, Any]:
    """Facts for the manifest."""
    last = outcome.curve[-1]
    return {
        "steps": last.step,
        "tokens": last.tokens,
        "seconds": round(outcome.seconds, 1),
        "tokens_per_second": round(last.tokens / outcome.seconds, 1),
        "perplexity_before": outcome.before.perplexity,
        "perplexity_after": outcome.after.perplexity,
        "compute_dtype": outcome.compute_dtype,
        "left_out": len(outcome.course.monitor.spikes),
        "packing": packing.model_dump(),
    }


def plot(path: Path, curve: Sequence[Point], before: float, after: float) -> None:
    """Training loss per step, and held-out perplexity before and after, side by side."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 1))
    steps, losses = [p.step for p in curve], [p.loss for p in curve]
    left.plot(steps, losses, color="tab:blue", alpha=0.35, linewidth=1, label="per step")
    left.plot(steps, running_mean(losses), color="tab:blue", label="running mean")
    left.set(title="Training", xlabel="optimizer step", ylabel="loss (nats per token)")
    left.legend(frameon=False)
    bars = right.bar(["before", "after"], [before, after], color=["tab:gray", "tab:blue"])
    right.bar_label(bars, fmt="{:.1f}")
    right.set(title="Held-out", ylabel="perplexity")
    right.margins(y=0.12)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def running_mean(values: Sequence[float]) -> list[float]:
    """Exponential mean that starts at the first value."""
    means: list[float] = []
    for value in values:
        previous = means[-1] if means else value
        means.append(previous + SMOOTHING * (value - previous))
    return means
