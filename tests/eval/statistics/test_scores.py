"""Score intervals against published values and against formulas done another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from bedside_eval.statistics.scores import Table, newcombe, tango, tango_score, wilson

Z = float(stats.norm.isf(0.025))
tables = st.tuples(*[st.integers(0, 25)] * 4).filter(lambda t: sum(t) >= 8)


@pytest.mark.parametrize(
    ("gained", "lost", "items", "low", "high"),
    [(4, 0, 40, 0.4, 23.1), (1, 0, 20, -11.9, 23.6), (0, 0, 20, -16.1, 16.1),
     (0, 0, 40, -8.8, 8.8), (5, 1, 40, -2.6, 24.2)],
)  # fmt: skip
def test_tango_known(gained: int, lost: int, items: int, low: float, high: float) -> None:
    found = tango(Table(items - gained - lost, gained, lost, 0), Z)
    assert [100 * b for b in found] == pytest.approx([low, high], abs=0.05)


@pytest.mark.parametrize("items", [8, 20, 100, 5000])
def test_no_discordant_item_is_no_certainty(items: int) -> None:
    reach = Z * Z / (items + Z * Z)
    assert tango(Table(items, 0, 0, 0), Z) == pytest.approx((-reach, reach), abs=1e-6)


def test_published_example() -> None:
    """Airway hyper-responsiveness of 21 children (Fagerland, Lydersen and Laake, Statistics in
    Medicine 33(16), 2014): 1 of 2 before, 7 of 19 of the others after."""
    table = Table(1, 1, 7, 12)
    assert tango(table, Z) == pytest.approx((-0.517, -0.026), abs=5e-4)
    assert newcombe(table, Z) == pytest.approx((-0.507, -0.026), abs=5e-4)


def likelihood_score(gained: int, lost: int, items: int, delta: float) -> float:
    """Tango's statistic with the nuisance parameter found by maximising the likelihood."""

    def minus(losing: float) -> float:
        shares = (losing + delta, losing, 1 - 2 * losing - delta)
        counts = (gained, lost, items - gained - lost)
        return -sum(c * math.log(s) for c, s in zip(counts, shares, strict=True) if c)

    span = (max(0, -delta) + 1e-12, (1 - delta) / 2 - 1e-12)
    losing = optimize.minimize_scalar(minus, bounds=span, method="bounded",
                                      options={"xatol": 1e-12}).x  # fmt: skip
    return (gained - lost - items * delta) / math.sqrt(items * (2 * losing + delta - delta**2))


@pytest.mark.parametrize("delta", [-0.3, -0.05, 0.02, 0.2])
@pytest.mark.parametrize(("gained", "lost", "items"), [(5, 1, 40), (12, 9, 60), (3, 3, 20)])
def test_tango_is_the_likelihoods_score(gained: int, lost: int, items: int, delta: float) -> None:
    expected = likelihood_score(gained, lost, items, delta)
    table = Table(items - gained - lost, gained, lost, 0)
    assert tango_score(table, delta) == pytest.approx(expected, abs=1e-3)


@settings(deadline=None)
@given(tables)
def test_both_surround_the_difference_and_mirror(counts: tuple[int, int, int, int]) -> None:
    table = Table(*counts)
    mirrored = Table(table.both, table.lost, table.gained, table.neither)
    for interval in (tango, newcombe):
        low, high = interval(table, Z)
        assert -1 - 1e-9 <= low <= table.difference + 1e-9
        assert table.difference - 1e-9 <= high <= 1 + 1e-9
        assert high > low
        assert interval(mirrored, Z) == pytest.approx((-high, -low), abs=1e-6)


@given(st.integers(0, 60), st.integers(0, 60))
def test_wilson_is_scipys(correct: int, wrong: int) -> None:
    if not correct + wrong:
        return
    total = correct + wrong
    expected = stats.binomtest(correct, total).proportion_ci(0.95, method="wilson")
    found = wilson(correct / total, total, Z)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(("discordance", "difference"), [(0.05, -0.05), (0.1, -0.05), (0.2, 0.0)])
@pytest.mark.parametrize("items", [20, 40])
def test_tango_covers(items: int, discordance: float, difference: float) -> None:
    """Exactly, over all tables; the bootstrap over items had 64 % in the first cell."""
    gaining, losing = (discordance + difference) / 2, (discordance - difference) / 2
    covered = 0.0
    for gained in range(items + 1):
        for lost in range(items + 1 - gained):
            counts = np.array([gained, lost, items - gained - lost])
            chance = stats.multinomial.pmf(counts, items, [gaining, losing, 1 - discordance])
            if chance > 1e-9:
                low, high = tango(Table(items - gained - lost, gained, lost, 0), Z)
                covered += chance * (low - 1e-9 <= difference <= high + 1e-9)
    assert covered >= 0.93
