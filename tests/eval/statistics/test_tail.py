"""The tail guard against published numbers."""

from __future__ import annotations

import pytest
from scipy import stats

from bedside_eval.statistics.tail import allowed, tail, tail_bound


@pytest.mark.parametrize(
    ("lost", "clusters", "bound"),
    [(0, 16, 0.1707), (0, 14, 0.1926), (0, 100, 0.0295), (1, 100, 0.0466), (3, 3, 1.0)],
)
def test_clopper_pearson(lost: int, clusters: int, bound: float) -> None:
    assert tail_bound(lost, clusters, 0.95) == pytest.approx(bound, abs=5e-5)


@pytest.mark.parametrize("lost", [0, 1, 7])
def test_at_the_bound_so_few_are_as_rare_as_promised(lost: int) -> None:
    assert stats.binom.cdf(lost, 40, tail_bound(lost, 40, 0.95)) == pytest.approx(0.05)


def test_only_losses_beyond_delta_count() -> None:
    found = tail([0.5, -0.5, -1.0, -1.01, 3.0], delta=1.0, confidence=0.95)
    assert (found.lost, found.clusters) == (1, 5)
    assert found.bound == tail_bound(1, 5, 0.95)


@pytest.mark.parametrize(
    ("clusters", "share", "expected"),
    [(13, 0.2, None), (14, 0.2, 0), (16, 0.2, 0), (98, 0.03, None), (99, 0.03, 0), (100, 0.03, 0)],
)
def test_so_many_may_lose(clusters: int, share: float, expected: int | None) -> None:
    assert allowed(clusters, share, 0.95) == expected


def test_one_more_is_too_many() -> None:
    most = allowed(500, 0.03, 0.95)
    assert most is not None
    assert tail_bound(most, 500, 0.95) <= 0.03 < tail_bound(most + 1, 500, 0.95)
