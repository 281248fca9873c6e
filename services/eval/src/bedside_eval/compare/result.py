"""What a comparison found: the records of `compare.json`.

Tested in tests/eval/compare/test_judge.py.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from bedside_eval.statistics.estimate import Estimate, Interval, Relation


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ComparedModel(_Record):
    """A model by the letter that the tables call it."""

    label: str
    name: str
    path: str


class ModelScore(_Record):
    """One model in one task; each cluster counts once."""

    label: str
    score: Estimate
    item_mean: float
    """Each item counting once, as lm-eval prints it."""
    unmeasured: int
    unread: int


class PairedDifference(_Record):
    """A model's score minus that of A on the same items."""

    label: str
    difference: Estimate
    relation: Relation
    """Where all methods' intervals lie to 0."""
    gained: int | None
    """Items that only this model has right; None where scores are no right and wrong."""
    lost: int | None
    mcnemar_p: float | None
    """Exact, two-sided; None too where items of one cluster depend on each other."""
    p: float
    """Two-sided: the smallest at which every method's interval still excludes 0."""
    p_holm: float
    """`p` after Holm over all differences of the comparison."""


class TaskResult(_Record):
    """One task."""

    task: str
    metric: str
    items: int
    clusters: int
    repeats: int
    other_prompts: int
    models: tuple[ModelScore, ...]
    differences: tuple[PairedDifference, ...]


AverageName = Literal["macro average", "item-weighted average"]


class Average(_Record):
    """One model over all tasks: each task once, or each by its number of items."""

    label: str
    name: AverageName
    value: Estimate
    difference: Estimate | None
    """From A's; this and what follows is None for A itself."""
    relation: Relation | None
    p: float | None
    """Two-sided, not corrected."""


class Rank(_Record):
    """One model's average rank over all tasks; 1 is best, ties are averaged."""

    label: str
    rank: float
    interval: Interval | None
    """None with fewer clusters than 8 in a task, or where no resample changes it."""


class CompareResult(_Record):
    """The whole comparison."""

    schema_version: Literal[1] = 1
    confidence: float
    seed: int
    models: tuple[ComparedModel, ...]
    tasks: tuple[TaskResult, ...]
    averages: tuple[Average, ...]
    """Empty for a single task, as `ranks` are."""
    ranks: tuple[Rank, ...]
    notes: tuple[str, ...]
