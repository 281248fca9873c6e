"""All models on one scale, by who is preferred to whom (Bradley and Terry 1952).

Each pair of models also has one tie that nobody saw, as a model that never loses would have no
finite strength. The intervals are percentiles of resampled clusters, in which every comparison of
one item stays together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import evalica
import numpy as np
from numpy.typing import NDArray

from bedside_eval.records import Role
from bedside_eval.statistics.estimate import MIN_CLUSTERS, Estimate, Interval
from bedside_eval.statistics.resampling import expanded, weights

Array = NDArray[np.float64]
CONFIDENCE = 0.95
"""Whatever that of a verdict is: a ladder is shown, and nothing rests on it."""
DRAWS = 1000
UNSEEN = 1.0
"""Ties of each pair that nobody saw."""


def ladder(scores: Mapping[tuple[Role, Role], Array], *, seed: int) -> list[tuple[Role, Estimate]]:
    """Each model's log-odds against the mean of all, the strongest first.

    Args:
        scores: of the first of each pair, shape (clusters,), in the same order of clusters.
        seed: of the resamples.
    """
    roles = list(dict.fromkeys(role for pair in scores for role in pair))
    table = np.array(list(scores.values()))
    clusters = table.shape[1]
    names = list(scores)
    estimate = _strengths(roles, names, table.sum(axis=1), clusters)
    methods: list[dict[Any, Interval]] = [{} for _ in roles]
    if clusters >= MIN_CLUSTERS and np.ptp(table, axis=1).any():
        drawn = np.array(
            [
                _strengths(roles, names, table @ (share * clusters), clusters)
                for block in weights(clusters, DRAWS, seed)
                for share in block
            ]
        )
        beyond = expanded((1 - CONFIDENCE) / 2, clusters)
        low, high = np.quantile(drawn, (beyond, 1 - beyond), axis=0)
        methods = [
            {"bootstrap": Interval(estimate=float(e), low=float(under), high=float(over))}
            for e, under, over in zip(estimate, low, high, strict=True)
        ]
    found = [
        (
            role,
            Estimate(
                estimate=float(value), clusters=clusters, confidence=CONFIDENCE, methods=method
            ),
        )
        for role, value, method in zip(roles, estimate, methods, strict=True)
    ]
    return sorted(found, key=lambda rung: -rung[1].estimate)


def _strengths(
    roles: Sequence[Role], names: Sequence[tuple[Role, Role]], won: Array, of: int
) -> Array:
    """Shape (roles,): of each pair, the first model won so many of so many."""
    firsts = [first for first, _ in names] * 2
    seconds = [second for _, second in names] * 2
    count = len(names)
    winners = [evalica.Winner.X] * count + [evalica.Winner.Y] * count
    given = [*(won + UNSEEN / 2), *(of - won + UNSEEN / 2)]
    found = evalica.bradley_terry(firsts, seconds, winners, weights=given, limit=1000)
    logs = np.array([np.log(found.scores[role]) for role in roles])
    centred: Array = logs - logs.mean()
    return centred
