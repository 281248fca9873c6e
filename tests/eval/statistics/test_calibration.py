"""Calibration: values known by hand, and what is compared of two models."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_eval.statistics.calibration import (
    bins_for,
    brier,
    confidence,
    coverage_accuracy,
    expected_calibration_error,
    probabilities,
)

LIKELIHOODS = st.lists(st.floats(-200, 0), min_size=2, max_size=10)


def test_values_known_by_hand() -> None:
    half = [math.log(0.5), math.log(0.25), math.log(0.25)]
    assert brier(half, [0]) == pytest.approx((0.25 + 0.0625 + 0.0625) / 2)
    assert brier(half, [0, 1]) == pytest.approx((0.0625 + 0.0625) / 2)
    assert confidence(half) == pytest.approx(0.5)
    assert brier([0.0, -900.0], [0]) == 0 and brier([0.0, -900.0], [1]) == 1
    sure, right = np.array([0.9] * 10 + [0.6] * 10), np.array([1.0] * 8 + [0, 0] + [1.0] * 10)
    whole = np.ones((1, 20))
    assert expected_calibration_error(2)(sure, right, whole) == pytest.approx(0.5 * 0.1 + 0.5 * 0.4)
    assert coverage_accuracy(sure, right, whole) == pytest.approx((8 + 6) / 16)
    half_right = np.array([1.0] * 5 + [0.0] * 5)
    assert coverage_accuracy(np.full(10, 0.5), half_right, np.ones((1, 10))) == 0.5
    assert [bins_for(n) for n in (1, 35, 1000)] == [2, 3, 10]


@given(LIKELIHOODS, st.data())
def test_brier_lies_between_sure_and_right_and_sure_and_wrong(
    found: list[float], data: st.DataObject
) -> None:
    answer = data.draw(st.integers(0, len(found) - 1))
    assert 0 <= brier(found, [answer]) <= 1
    assert brier(found, list(range(len(found)))) == pytest.approx(0)
    assert probabilities([value - 50 for value in found]) == pytest.approx(probabilities(found))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.integers(0, 3)), min_size=2))
def test_a_weight_is_as_many_copies_of_the_item(drawn: list[tuple[float, bool, int]]) -> None:
    if not any(weight for *_, weight in drawn):
        return
    sure, right, weight = (np.array(column, float) for column in zip(*drawn, strict=True))
    copies = np.repeat(np.arange(len(drawn)), weight.astype(int))
    for statistic in (coverage_accuracy, expected_calibration_error(3)):
        (found,) = statistic(sure, right, weight[None, :])
        (copied,) = statistic(sure[copies], right[copies], np.ones((1, len(copies))))
        assert found == pytest.approx(copied, abs=1e-9)
        assert -1e-9 <= found <= 1 + 1e-9
