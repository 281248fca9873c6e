"""Average ranks of many models over development parts: base selection, as PARCOMED's table 7.

There 35 models are ranked over seven tasks without an interval; here clusters are resampled
(`compare.averages`), ties share their rank, and two models whose intervals overlap widely are not
told apart by the order of their averages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bedside_core.errors import InputError
from bedside_eval.compare.averages import ranks
from bedside_eval.compare.result import Rank
from bedside_eval.exam import Paper
from bedside_eval.groups import Groups
from bedside_eval.records import METRIC_OF, ModelScores
from bedside_eval.statistics.resampling import seed_of

EVERY = "all sets"
"""The name of what is ranked over the sets of all groups together."""


class Task(NamedTuple):
    """One set, as every model answered it."""

    clusters: tuple[str, ...]
    scores: NDArray[np.float64]
    """Shape (models, items)."""


class Ranking(NamedTuple):
    """The models of one group, in the order in which they were named."""

    group: str
    sets: tuple[str, ...]
    averages: tuple[float, ...]
    """Of each model, weighted by questions."""
    ranks: tuple[Rank, ...]


def measures(groups: Groups, paper: Paper) -> dict[str, str]:
    """The measure of each set of a group; without groups, of every exam with options."""
    named = {name: m for sets in groups.values() for name, m in sets.items()}
    return named if groups else dict.fromkeys(paper.choices, "accuracy")


def rankable(groups: Groups, development: Paper) -> Paper:
    """The exams that are asked in this process.

    Raises:
        InputError: there is none, or a set's measure is not taken here: an average of the others
            would be another group's.
    """
    wanted = measures(groups, development)
    other = sorted(name for name, measure in wanted.items() if measure not in METRIC_OF)
    if other or not wanted:
        raise InputError(
            f"{', '.join(other) or 'no exam'}: cannot be ranked - in this process "
            f"{' and '.join(METRIC_OF)} are taken; rank by groups of such sets alone"
        )
    return Paper({}, {name: development.exams[name] for name in wanted})


def ranked(
    groups: Groups, paper: Paper, scores: Mapping[str, ModelScores], *, confidence: float
) -> list[Ranking]:
    """All sets together, and then each group if there are several.

    Args:
        groups: none ranks over all exams.
        paper: what was asked.
        scores: by model.
        confidence: of the intervals.
    """
    of = measures(groups, paper)
    tasks = {name: _task(name, measure, paper, scores.values()) for name, measure in of.items()}
    sets: dict[str, tuple[str, ...]] = {EVERY: tuple(of)}
    if len(groups) > 1:
        sets |= {group: tuple(names) for group, names in groups.items()}
    return [_ranking(group, names, tasks, list(scores), confidence)
            for group, names in sets.items()]  # fmt: skip


def _ranking(
    group: str, names: tuple[str, ...], tasks: Mapping[str, Task], labels: list[str],
    confidence: float,
) -> Ranking:  # fmt: skip
    chosen = [tasks[name] for name in names]
    sizes = [task.scores.shape[1] for task in chosen]
    means = np.stack([task.scores.mean(axis=1) for task in chosen])
    seed = seed_of(names, f"ranks {group}")
    return Ranking(
        group, names, tuple((np.asarray(sizes) @ means / sum(sizes)).tolist()),
        tuple(ranks(chosen, labels, confidence=confidence, seed=seed)),
    )  # fmt: skip


def _task(name: str, measure: str, paper: Paper, models: Iterable[ModelScores]) -> Task:
    metric = METRIC_OF[measure]
    scores = [[item.correct[metric] for item in model.exams[name]] for model in models]
    # A case that two sets name alike, as CasiMedicos in two languages, is drawn in both or neither.
    return Task(tuple(item.cluster for item in paper.exams[name]), np.array(scores, np.float64))
