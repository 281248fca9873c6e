"""Which pairings two printed numbers of right answers allow, and what a paired test says of each.

Two models sat the same items; printed is how many each had right, not which. If a items were right
for both, the candidate gained k' - a and lost k - a, and a may be anything from max(0, k + k' - n)
to min(k, k').
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy import stats


class Pairings(NamedTuple):
    """Exact McNemar tests (two-sided) over every pairing."""

    best: float
    """Smallest p: as many items as possible were right, or wrong, for both."""
    worst: float
    """Largest p: at most `alpha` means that no pairing can take the claim away."""
    fewest: int
    most: int
    """Items on which the models differ."""
    critical: int | None
    """Most of them with which p is still at most `alpha`, at whatever counts; None: never."""


def pairings(
    base: Iterable[int], candidate: Iterable[int], items: int, *, alpha: float
) -> Pairings:
    """All pairings of all counts that are printed alike.

    Args:
        base: possible numbers of right answers.
        candidate: likewise.
        items: which both were asked.
        alpha: level of the test.
    """
    others = tuple(candidate)
    found = [_tests(first, second, items) for first in base for second in others]
    if not found:
        raise ValueError("no counts")
    p, discordant = (np.concatenate(column) for column in zip(*found, strict=True))
    held = [int(d[v <= alpha].max()) if (v <= alpha).any() else None for v, d in found]
    known = [value for value in held if value is not None]
    return Pairings(
        float(p.min()), float(p.max()), int(discordant.min()), int(discordant.max()),
        min(known) if len(known) == len(held) else None,
    )  # fmt: skip


def _tests(base: int, candidate: int, items: int) -> tuple[np.ndarray, np.ndarray]:
    both = np.arange(max(0, base + candidate - items), min(base, candidate) + 1)
    gained, lost = candidate - both, base - both
    discordant = gained + lost
    # With no discordant item the distribution function is 1, and so is p.
    p = np.minimum(1.0, 2 * stats.binom.cdf(np.minimum(gained, lost), discordant, 0.5))
    return p, discordant
