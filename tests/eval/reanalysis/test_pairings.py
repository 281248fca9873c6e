"""The range over pairings against every assignment of right answers."""

from __future__ import annotations

from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_eval.reanalysis.pairings import pairings


def mcnemar(gained: int, lost: int) -> float:
    """By its definition: a fair coin for each discordant item."""
    tosses = gained + lost
    few = sum(comb(tosses, k) for k in range(min(gained, lost) + 1))
    return min(1.0, 2 * few / 2**tosses)


@given(st.data())
def test_the_range_is_that_of_all_assignments(data: st.DataObject) -> None:
    items = data.draw(st.integers(1, 9))
    base, new = (data.draw(st.integers(0, items)) for _ in range(2))
    alpha = data.draw(st.sampled_from([0.05, 0.3, 0.6]))
    first = frozenset(range(base))
    tests = {}
    for chosen in combinations(range(items), new):
        gained, lost = len(set(chosen) - first), len(first - set(chosen))
        tests[gained + lost] = mcnemar(gained, lost)
    found = pairings([base], [new], items, alpha=alpha)
    assert found.best == pytest.approx(min(tests.values()))
    assert found.worst == pytest.approx(max(tests.values()))
    assert (found.fewest, found.most) == (min(tests), max(tests))
    assert found.critical == max((d for d, p in tests.items() if p <= alpha + 1e-12), default=None)


@given(st.integers(2, 300), st.data())
def test_p_rises_with_discordance_and_needs_no_direction(items: int, data: st.DataObject) -> None:
    base, new = (data.draw(st.integers(0, items)) for _ in range(2))
    found = pairings([base], [new], items, alpha=0.05)
    assert found.fewest == abs(base - new)
    assert found.best == pytest.approx(min(1.0, 2 * 0.5 ** abs(base - new)))
    assert found == pairings([new], [base], items, alpha=0.05)
    wider = pairings([base, min(base + 1, items)], [new], items, alpha=0.05)
    assert wider.best <= found.best and wider.worst >= found.worst


def test_what_cannot_be_paired() -> None:
    assert pairings([0], [0], 5, alpha=0.05)[:2] == (1, 1)
    with pytest.raises(ValueError, match="no counts"):
        pairings([], [3], 5, alpha=0.05)
