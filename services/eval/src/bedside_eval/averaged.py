"""Averages over the sets of a group, by number of questions and set by set, paired and clustered.

Papers print such averages without a paired error; the macro average of lm-evaluation-harness had
the micro average's until 0.4.13. Sets of a group are independent strata: a source that two of them
share is two clusters here. A group of which a set was not measured has no average.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bedside_eval.groups import Groups
from bedside_eval.measured import Measured
from bedside_eval.records import GroupAverage, Role
from bedside_eval.statistics.averages import combined
from bedside_eval.statistics.difference import difference
from bedside_eval.statistics.estimate import Estimate
from bedside_eval.statistics.resampling import seed_of

Array = NDArray[np.float64]


def not_taken(groups: Groups, measured: Measured) -> dict[str, tuple[str, ...]]:
    """By group the sets that were not measured, so that it has no average: none of a part of it."""
    return {
        group: tuple(missing)
        for group, sets in groups.items()
        if (missing := [n for n, measure in sets.items() if not measured.takes(measure, n)])
    }


def gains(groups: Groups, measured: Measured, against: Role, role: Role) -> dict[str, GroupAverage]:
    """By how much one model is better than another in each group whose sets were all measured."""
    return _averages(
        groups, measured, lambda measure, name: measured.gains(measure, name, against, role)
    )


def own(groups: Groups, measured: Measured, role: Role) -> dict[str, GroupAverage]:
    """One model's own averages."""
    return _averages(
        groups, measured, lambda measure, name: measured.by_cluster(measure, name, role)
    )


def _averages(
    groups: Groups, measured: Measured, values: Callable[[str, str], Array]
) -> dict[str, GroupAverage]:
    missing = not_taken(groups, measured)
    found = {}
    for group, sets in groups.items():
        if group in missing:
            continue
        numbers = [values(measure, name) for name, measure in sets.items()]
        questions = [sum(measured.exams[name].kept) for name in sets]
        clusters = [
            [f"{name}/{label}" for label in sorted(set(measured.exams[name].labels))]
            for name in sets
        ]
        seed = seed_of([measured.exams[name].sha256 for name in sets], f"group {group}")

        def average(
            weights: Sequence[float], numbers: Sequence[Array] = numbers,
            clusters: Sequence[Sequence[str]] = clusters, seed: int = seed,
        ) -> Estimate:  # fmt: skip
            row = combined(numbers, clusters, weights)
            return difference(row, confidence=measured.confidence, seed=seed).estimate

        found[group] = GroupAverage(
            sets=dict(sets), questions=sum(questions), by_questions=average(questions),
            by_sets=average([1.0] * len(sets)),
        )  # fmt: skip
    return found
