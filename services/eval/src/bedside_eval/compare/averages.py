"""Averages over tasks with the intervals of a single task, and average ranks with a bootstrap.

As the PARCOMED paper's tables have them: the mean over tasks, the mean weighted by the tasks'
numbers of items, and the average rank over tasks (1 is best, ties averaged); the paper prints them
without intervals.

An average is a mean over the clusters of all tasks (`statistics.averages`), so a patient who is in
several tasks is one cluster.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bedside_eval.compare.pairing import Paired
from bedside_eval.compare.result import Average, AverageName, Rank
from bedside_eval.statistics.averages import combined
from bedside_eval.statistics.clusters import cluster_means
from bedside_eval.statistics.estimate import (
    MIN_CLUSTERS,
    Comparison,
    Interval,
    Method,
    standing,
)
from bedside_eval.statistics.means import Means
from bedside_eval.statistics.resampling import expanded, resamples, resolved, weights

Array = NDArray[np.float64]

NAMES: tuple[AverageName, ...] = ("macro average", "item-weighted average")
_CONSTANT = 1e-9
"""Values whose range is this share of their size are all the same but for rounding."""
_TIE = 12
"""Decimals to which scores are equal, so that rounding breaks no tie."""


class Scored(Protocol):
    """What several models made of the items of one task."""

    @property
    def clusters(self) -> tuple[str, ...]:
        """One per item."""

    @property
    def scores(self) -> Array:
        """Shape (models, items)."""


def two_sided(found: Comparison) -> float:
    """The smallest p at which every method's interval excludes 0, on either side."""
    return min(1.0, 2 * min(found.p_above(0), found.p_below(0)))


def averages(
    tasks: Sequence[Paired], labels: Sequence[str], *, confidence: float, seed: int
) -> list[Average]:
    """Every model's averages over at least two tasks, and their differences from the first's."""
    values = [_values(task) for task in tasks]
    rows = []
    for name in NAMES:
        sizes = [1 if name == "macro average" else len(task.items) for task in tasks]
        for row in range(len(labels)):
            rows.append(_moved(tasks, [task[row] for task in values], sizes))
            rows.append(_moved(tasks, [task[row] - task[0] for task in values], sizes))
    found = iter(_comparisons(np.stack(rows), confidence=confidence, seed=seed))
    return [
        _average(name, label, next(found), next(found), first=label == labels[0])
        for name in NAMES
        for label in labels
    ]


def _average(
    name: AverageName, label: str, value: Comparison, change: Comparison, *, first: bool
) -> Average:
    return Average(
        label=label,
        name=name,
        value=value.estimate,
        difference=None if first else change.estimate,
        relation=None if first else standing(change.estimate, 0).relation,
        p=None if first else two_sided(change),
    )


def ranks(
    tasks: Sequence[Scored], labels: Sequence[str], *, confidence: float, seed: int
) -> list[Rank]:
    """Every model's average rank over at least two tasks.

    Clusters are drawn within each task, or, where tasks share clusters, over all of them together;
    percentiles are Hesterberg's for the task with the fewest clusters.
    """
    tail = (1 - confidence) / 2
    smallest = min(len(set(task.clusters)) for task in tasks)
    here = _ranks([_values(task).mean(axis=1)[:, None] for task in tasks])[:, 0]
    if smallest < MIN_CLUSTERS:
        return [Rank(label=n, rank=r, interval=None) for n, r in zip(labels, here, strict=True)]
    drawn = _ranks(_draw(tasks, resamples(tail, smallest), seed))
    percentile = expanded(tail, smallest)
    low, high = np.quantile(drawn, [percentile, 1 - percentile], axis=1)
    return [
        Rank(
            label=label,
            rank=here[row],
            interval=Interval(
                estimate=here[row], low=min(low[row], here[row]), high=max(high[row], here[row])
            )
            if np.ptp(drawn[row]) > 0
            else None,
        )
        for row, label in enumerate(labels)
    ]


def _moved(tasks: Sequence[Scored], values: Sequence[Array], sizes: Sequence[int]) -> Array:
    return combined(values, [sorted(set(task.clusters)) for task in tasks], sizes)


def _comparisons(rows: Array, *, confidence: float, seed: int) -> list[Comparison]:
    """What `difference` says of each row; in one go, because the resamples cost the time."""
    size = rows.shape[1]
    found = [Comparison(float(row.mean()), size, confidence) for row in rows]
    varied = np.flatnonzero(np.ptp(rows, axis=1) > _CONSTANT * np.abs(rows).max(axis=1))
    if size < MIN_CLUSTERS or not len(varied):
        return found
    resolution, number = resolved(confidence, 1, size)
    means = Means(rows[varied], number=number, seed=seed)
    for place, row in enumerate(varied):
        bounds = partial(_bounds, means, place)
        if all(math.isfinite(b) for pair in bounds(resolution).values() for b in pair):
            estimate = float(rows[row].mean())
            found[row] = Comparison(estimate, size, confidence, bounds, resolution=resolution)
    return found


def _bounds(means: Means, place: int, tail: float) -> dict[Method, tuple[float, float]]:
    found = means.bounds(tail).items()
    return {method: (float(low[place]), float(high[place])) for method, (low, high) in found}


def _ranks(scores: Sequence[Array]) -> Array:
    """Average ranks of shape (models, draws), from one array of that shape per task."""
    found: Array = rankdata(-np.stack(scores).round(_TIE), axis=1, method="average").mean(axis=0)
    return found


def _values(task: Scored) -> Array:
    """Shape (models, clusters), sorted by the clusters' names."""
    return np.stack([cluster_means(row, task.clusters) for row in task.scores.tolist()])


def _draw(tasks: Sequence[Scored], number: int, seed: int) -> list[Array]:
    """Each task's scores in `number` resamples, shape (models, resamples)."""
    names = [sorted(set(task.clusters)) for task in tasks]
    every = sorted({name for found in names for name in found})
    if len(every) == sum(map(len, names)):
        return [
            np.concatenate([_values(task) @ w.T for w in weights(len(own), number, seed + k)], 1)
            for k, (task, own) in enumerate(zip(tasks, names, strict=True))
        ]
    position = {name: place for place, name in enumerate(every)}
    blocks: list[list[Array]] = [[] for _ in tasks]
    for block in weights(len(every), number, seed):
        for found, task, own in zip(blocks, tasks, names, strict=True):
            share = block[:, [position[name] for name in own]]
            share[share.sum(axis=1) == 0] = 1  # without any cluster of the task, it keeps all
            found.append(_values(task) @ (share / share.sum(axis=1)[:, None]).T)
    return [np.concatenate(found, axis=1) for found in blocks]
