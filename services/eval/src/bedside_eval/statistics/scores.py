"""Score intervals of shares: closed formulas, which hold with few and with no discordant items.

Counts may be fractions: those of clustered items are scaled to what they are worth.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy import optimize

_EDGE = 1e-9


class Table(NamedTuple):
    """How two models answered the same items; counts."""

    both: float
    gained: float
    """Only the candidate is right."""
    lost: float
    """Only the reference is right."""
    neither: float

    @property
    def items(self) -> float:
        return sum(self)

    @property
    def difference(self) -> float:
        return (self.gained - self.lost) / self.items


def wilson(share: float, items: float, z: float) -> tuple[float, float]:
    """Wilson's score interval of a share (J. Am. Stat. Assoc. 22, 1927)."""
    middle = (share + z * z / (2 * items)) / (1 + z * z / items)
    variance = share * (1 - share) / items + z * z / (4 * items * items)
    reach = z * math.sqrt(variance) / (1 + z * z / items)
    # Within the shares that exist, and around the observed one, whatever was rounded.
    return min(max(0.0, middle - reach), share), max(min(1.0, middle + reach), share)


def tango(table: Table, z: float) -> tuple[float, float]:
    """The score interval of a paired difference (Tango, Statistics in Medicine 17, 1998)."""
    here = table.difference

    def exceeds(delta: float) -> float:
        return tango_score(table.gained, table.lost, table.items, delta)

    low = high = here
    if here > -1 + _EDGE and exceeds(here) < z:
        low = optimize.brentq(lambda d: exceeds(d) - z, -1 + _EDGE, here)
    if here < 1 - _EDGE and exceeds(here) > -z:
        high = optimize.brentq(lambda d: exceeds(d) + z, here, 1 - _EDGE)
    return low, high


def tango_score(gained: float, lost: float, items: float, delta: float) -> float:
    """Standard errors that the observed difference lies above `delta`, were `delta` true."""
    square = 2 * items
    linear = -gained - lost + (2 * items - gained + lost) * delta
    constant = -lost * delta * (1 - delta)
    root = math.sqrt(max(0.0, linear * linear - 4 * square * constant))
    losing = (root - linear) / (2 * square)
    variance = items * (2 * losing + delta * (1 - delta))
    above = gained - lost - items * delta
    if variance <= 0:
        return math.copysign(math.inf, above) if above else 0.0
    return above / math.sqrt(variance)


def newcombe(table: Table, z: float) -> tuple[float, float]:
    """The hybrid score interval, method 10 of Newcombe (Statistics in Medicine 17, 1998)."""
    both, gained, lost, neither = table
    items = table.items
    ours, theirs = (both + gained) / items, (both + lost) / items
    low, high = wilson(ours, items, z)
    other_low, other_high = wilson(theirs, items, z)
    margins = (both + gained) * (lost + neither) * (both + lost) * (gained + neither)
    cross = both * neither - gained * lost
    if cross > 0:
        cross = max(0.0, cross - items / 2)
    phi = cross / math.sqrt(margins) if margins > 0 else 0.0

    def reach(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))

    here = ours - theirs
    return here - reach(ours - low, other_high - theirs), here + reach(
        high - ours, theirs - other_low
    )
