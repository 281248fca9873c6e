"""Score intervals of shares: closed formulas, which hold with few and with no discordant items.

Counts may be fractions: those of clustered items are scaled to what they are worth. All but `tango`
take arrays too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

Number = float | NDArray[np.float64]

_EDGE = 1e-9


class Table(NamedTuple):
    """How two models answered the same items; counts."""

    both: Number
    gained: Number
    """Only the candidate is right."""
    lost: Number
    """Only the reference is right."""
    neither: Number

    @property
    def items(self) -> Number:
        return self.both + self.gained + self.lost + self.neither

    @property
    def difference(self) -> Number:
        return (self.gained - self.lost) / self.items


def wilson(share: Number, items: Number, z: float) -> tuple[Number, Number]:
    """Wilson's score interval of a share (J. Am. Stat. Assoc. 22, 1927)."""
    middle = (share + z * z / (2 * items)) / (1 + z * z / items)
    variance = share * (1 - share) / items + z * z / (4 * items * items)
    reach = z * np.sqrt(variance) / (1 + z * z / items)
    # Within the shares that exist, and around the observed one, whatever was rounded.
    low = np.minimum(np.maximum(0, middle - reach), share)
    high = np.maximum(np.minimum(1, middle + reach), share)
    return low, high


def tango(table: Table, z: float) -> tuple[float, float]:
    """The score interval of a paired difference (Tango, Statistics in Medicine 17, 1998)."""
    here = float(table.difference)

    def exceeds(delta: float) -> float:
        return float(tango_score(table, delta))

    low, high = here, here
    if here > -1 + _EDGE and exceeds(here) < z:
        low = optimize.brentq(lambda d: exceeds(d) - z, -1 + _EDGE, here)
    if here < 1 - _EDGE and exceeds(here) > -z:
        high = optimize.brentq(lambda d: exceeds(d) + z, here, 1 - _EDGE)
    return low, high


def tango_score(table: Table, delta: float) -> Number:
    """Standard errors that the observed difference lies above `delta`, were `delta` true."""
    items, gained, lost = table.items, table.gained, table.lost
    # The most likely share of losses is the larger root of a quadratic equation.
    linear = (2 * items - gained + lost) * delta - gained - lost
    constant = -lost * delta * (1 - delta)
    root = np.sqrt(np.maximum(0, linear**2 - 8 * items * constant))
    losing = (root - linear) / (4 * items)
    variance = np.maximum(0, items * (2 * losing + delta * (1 - delta)))
    above = gained - lost - items * delta
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(above == 0, 0.0, above / np.sqrt(variance))


def newcombe(table: Table, z: float) -> tuple[Number, Number]:
    """The hybrid score interval, method 10 of Newcombe (Statistics in Medicine 17, 1998)."""
    both, gained, lost, neither = table
    items = table.items
    ours, theirs = (both + gained) / items, (both + lost) / items
    low, high = wilson(ours, items, z)
    other_low, other_high = wilson(theirs, items, z)
    margins = (both + gained) * (lost + neither) * (both + lost) * (gained + neither)
    cross = both * neither - gained * lost
    cross = np.where(cross > 0, np.maximum(0, cross - items / 2), cross)
    phi = np.where(margins > 0, cross / np.sqrt(np.where(margins > 0, margins, 1)), 0)

    def reach(a: Number, b: Number) -> Number:
        return np.sqrt(np.maximum(0, a**2 - 2 * phi * a * b + b**2))

    below, above = reach(ours - low, other_high - theirs), reach(high - ours, theirs - other_low)
    return table.difference - below, table.difference + above
