"""What several models of one training did on development parts, in their order, and its picture."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.figure import Figure

from bedside_core.files import write_atomic
from bedside_core.kinds.measures import LIKELIHOOD
from bedside_eval.choice import on_development
from bedside_eval.exam import Paper
from bedside_eval.records import ModelScores
from bedside_eval.statistics.estimate import Estimate

NAME = "trajectory"
_COLUMNS = 3


class Course(NamedTuple):
    """One number for each set and model, with its interval."""

    models: tuple[str, ...]
    sets: dict[tuple[str, str], tuple[Estimate, ...]]
    """By set and measure, one for each model."""

    def rows(self) -> list[list[str]]:
        """A table."""
        rows = [["set", "measure", *self.models]]
        for (name, measure), estimates in self.sets.items():
            rows.append([name, measure, *(_shown(measure, one) for one in estimates)])
        return rows


def points(paper: Paper, scores: Mapping[str, ModelScores]) -> Course:
    """Bits per byte of every held-out set, accuracy of every exam with options."""
    measured = [on_development(paper, found) for found in scores.values()]
    named = [(name, LIKELIHOOD) for name in paper.heldout]
    named += [(name, "accuracy") for name in paper.choices]
    return Course(
        tuple(scores),
        {
            (name, measure): tuple(one.own(measure, name).estimate for one in measured)
            for name, measure in named
        },
    )


def plotted(course: Course, folder: Path) -> Iterable[Path]:
    """Write a PNG and an SVG, equal for equal numbers; a set for each panel.

    Raises:
        ArtifactError: the disk is full or must not be written.
    """
    columns = min(_COLUMNS, len(course.sets))
    rows = -(-len(course.sets) // columns)
    # Without a date and with fixed ids, so that the same numbers are the same bytes.
    with rc_context({"svg.hashsalt": NAME}):
        figure = Figure(figsize=(4.2 * columns, 3.0 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel, ((name, measure), estimates) in zip(axes, course.sets.items(), strict=False):
            values = [one.estimate for one in estimates]
            bounds = [one.envelope for one in estimates]
            below = [v - b.low if b else 0 for v, b in zip(values, bounds, strict=True)]
            above = [b.high - v if b else 0 for v, b in zip(values, bounds, strict=True)]
            panel.errorbar(range(len(values)), values, yerr=[below, above], fmt="o-", capsize=3,
                           color="#0072b2")  # fmt: skip
            panel.set_xticks(range(len(values)), labels=course.models, rotation=45, ha="right")
            less = ", less is better" if measure == LIKELIHOOD else ""
            panel.set_title(f"{name}: {_unit(measure)}{less}", fontsize="medium")
        for panel in axes[len(course.sets) :]:
            panel.set_visible(False)
        figure.suptitle("Development parts, 95 % intervals: for a choice, no evidence")
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=120, metadata=metadata)
            path = folder / f"{NAME}.{kind}"
            write_atomic(path, buffer.getvalue())
            yield path


def _unit(measure: str) -> str:
    return "bits per byte" if measure == LIKELIHOOD else measure


def _shown(measure: str, one: Estimate) -> str:
    factor, digits, unit = (1, 4, "") if measure == LIKELIHOOD else (100, 1, " %")
    value, bounds = f"{factor * one.estimate:.{digits}f}{unit}", one.envelope
    if bounds is None:
        return f"{value} (no information)"
    return f"{value} ({factor * bounds.low:.{digits}f} to {factor * bounds.high:.{digits}f})"
