"""Statistics that are no mean: alike models are rarely called different, unlike ones are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import Generator

from bedside_eval.statistics.calibration import (
    Statistic,
    coverage_accuracy,
    expected_calibration_error,
)
from bedside_eval.statistics.resampled import resampled

ECE = expected_calibration_error(4)


def sat(drawn: Generator, items: int, *, too_sure: float = 0.0) -> tuple[list[float], list[float]]:
    chance = drawn.uniform(0.25, 1, items)
    right = (drawn.random(items) < chance).astype(float)
    return list(np.minimum(1, chance + too_sure)), list(right)


@pytest.mark.parametrize("clusters", [16, 40])
@pytest.mark.parametrize("statistic", [ECE, coverage_accuracy])
def test_two_models_that_are_alike_are_rarely_called_different(
    clusters: int, statistic: Statistic
) -> None:
    """Nominal 5 %, two-sided."""
    drawn = np.random.default_rng(7)
    names = [f"c{number // 2:03d}" for number in range(2 * clusters)]
    wrong = 0
    for seed in range(40):
        models = [sat(drawn, len(names)) for _ in range(2)]
        found = resampled(statistic, models, names, confidence=0.95, seed=seed).estimate.envelope
        assert found is not None
        wrong += not found.low <= 0 <= found.high
    assert wrong <= 6  # of 40; more than 6 has a probability of 0.3 % at 5 %


def test_a_model_that_is_too_sure_is_worse() -> None:
    drawn = np.random.default_rng(3)
    names = [f"c{number:03d}" for number in range(200)]
    models = [sat(drawn, 200, too_sure=0.4), sat(drawn, 200)]
    found = resampled(ECE, models, names, confidence=0.95, seed=1)
    assert found.p_above(0.0) < 0.01
    assert found.estimate.estimate == pytest.approx(
        -resampled(ECE, models[::-1], names, confidence=0.95, seed=1).estimate.estimate
    )


def test_without_information() -> None:
    few = [f"c{number}" for number in range(7)]
    model = ([0.5] * 7, [1.0] * 7)
    assert not resampled(ECE, [model], few, confidence=0.95, seed=1).estimate.informative
    names = [f"c{number}" for number in range(9)]
    same = [([0.5] * 9, [1.0] * 9)] * 2
    assert not resampled(ECE, same, names, confidence=0.95, seed=1).estimate.informative
