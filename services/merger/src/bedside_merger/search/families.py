"""What is searched: families of merges, each a box of numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from bedside_merger.merge import Merge
from bedside_merger.presets import schedule

FamilyName = Literal["schedule", "uniform", "ties", "dare_linear"]
Point = tuple[float, ...]
ANCHORS = 5
"""Of attention and of the feed-forward part, as in DeFineMed, A.4."""
DEFINEMED: Point = (0, 0.5, 0.3, 0.7, 1, 1, 0.5, 0.7, 0.3, 0, 0.5)
"""A.4 as a point: attention, feed-forward part, the rest."""


class Family(NamedTuple):
    """Merges that differ in numbers alone."""

    low: Point
    high: Point
    make: Callable[[Point], Merge]


def _schedule(point: Point) -> Merge:
    parts = schedule(point[:ANCHORS], point[ANCHORS : 2 * ANCHORS], point[-1])
    return Merge(method="slerp", parameters=parts)


def _uniform(point: Point) -> Merge:
    return Merge(method="slerp", parameters={"t": point[0]})


def _sparse(method: Literal["ties", "dare_linear"]) -> Family:
    def make(point: Point) -> Merge:
        return Merge(method=method, parameters={"weight": point[0], "density": point[1]})

    return Family((0, 0.05), (1.5, 1), make)


FAMILIES: Mapping[FamilyName, Family] = {
    "schedule": Family((0,) * len(DEFINEMED), (1,) * len(DEFINEMED), _schedule),
    "uniform": Family((0,), (1,), _uniform),
    "ties": _sparse("ties"),
    "dare_linear": _sparse("dare_linear"),
}
