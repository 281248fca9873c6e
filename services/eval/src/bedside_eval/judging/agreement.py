"""How often two judges, or a judge and people, say the same, corrected for chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

CATEGORIES = 3
"""One answer, the other, neither."""


def cohen_kappa(one: Sequence[str], other: Sequence[str]) -> float | None:
    """Cohen 1960: chance follows from how often each of both gives each answer.

    None without a pair, and where chance alone agrees on everything.
    """
    if not one:
        return None
    count = len(one)
    ours, theirs = Counter(one), Counter(other)
    chance = sum(ours[answer] * theirs[answer] for answer in ours) / count**2
    return _corrected(_observed(one, other), chance)


def gwet_ac1(one: Sequence[str], other: Sequence[str]) -> float | None:
    """Gwet 2008: chance is small where nearly everything gets one answer."""
    if not one:
        return None
    shares = [found / (2 * len(one)) for found in Counter([*one, *other]).values()]
    chance = sum(share * (1 - share) for share in shares) / (CATEGORIES - 1)
    return _corrected(_observed(one, other), chance)


def _observed(one: Sequence[str], other: Sequence[str]) -> float:
    return sum(a == b for a, b in zip(one, other, strict=True)) / len(one)


def _corrected(observed: float, chance: float) -> float | None:
    return (observed - chance) / (1 - chance) if chance < 1 else None
