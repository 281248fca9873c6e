"""What a checkpoint says about its training: facts, and the files below.

    loss.jsonl, loss.png   each step, as it would be without interruptions; the same as a plot
    heldout.json           held-out likelihood before and after, text by text, for each set
    metrics.jsonl          each step with its time, speed, memory and energy
    tensorboard/           the same for TensorBoard

Tested in tests/trainer/test_run.py.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # files only: there is no display on a server

from matplotlib.figure import Figure

from bedside_trainer.data.report import PackingReport
from bedside_trainer.loop import Outcome
from bedside_trainer.state.record import Point
from bedside_trainer.watch.events import FOLDER
from bedside_trainer.watch.metrics import METRICS

SCHEMA_VERSION = 4
"""Of `heldout.json`. 3 had one set alone; 2 had no bytes, and the prefix token before a text's
first window alone; 1 scored all tokens but a text's first, in windows of `sequence_length`."""
SMOOTHING = 0.1
"""Weight of a new value in the running mean of the plot."""


def write_report(target: Path, outcome: Outcome, work: Path) -> None:
    """Write loss curve and held-out scores into `target`, and copy what was written on the way."""
    lines = "".join(json.dumps(point.model_dump()) + "\n" for point in outcome.curve)
    (target / "loss.jsonl").write_text(lines, encoding="utf-8")
    scores = {
        "schema_version": SCHEMA_VERSION,
        "estimand": outcome.before.estimand.model_dump(),
        "before": outcome.before.summary(),
        "after": outcome.after.summary(),
        "sets": {
            name: {"before": before.summary(), "after": after.summary()}
            for name, (before, after) in outcome.domains.items()
        },
    }
    (target / "heldout.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    shutil.copyfile(work / METRICS, target / METRICS)
    if (work / FOLDER).is_dir():
        shutil.copytree(work / FOLDER, target / FOLDER)
    plot(target / "loss.png", outcome.curve, changes(outcome))


def changes(outcome: Outcome) -> dict[str, float]:
    """By how much each set's nats per token changed; below zero the model has learned it."""
    pairs = outcome.domains.items()
    return {name: after.nll_per_token - before.nll_per_token for name, (before, after) in pairs}


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
        "nll_per_token_change": changes(outcome),
    }


def plot(path: Path, curve: Sequence[Point], changes: Mapping[str, float]) -> None:
    """Training loss per step, and by how much each held-out set changed, side by side."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 1 + 0.3 * len(changes)))
    steps, losses = [p.step for p in curve], [p.loss for p in curve]
    left.plot(steps, losses, color="tab:blue", alpha=0.35, linewidth=1, label="per step")
    left.plot(steps, running_mean(losses), color="tab:blue", label="running mean")
    left.set(title="Training", xlabel="optimizer step", ylabel="loss (nats per token)")
    left.legend(frameon=False)
    values = list(changes.values())
    colours = ["tab:blue" if value < 0 else "tab:red" for value in values]
    bars = right.bar(list(changes), values, color=colours)
    right.bar_label(bars, fmt="{:+.3f}")
    right.axhline(0, color="black", linewidth=0.8)
    right.set(title="Held-out, after - before", ylabel="nats per token (below 0: learned)")
    right.tick_params(axis="x", labelrotation=20)
    right.margins(y=0.15)
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
