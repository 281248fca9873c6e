"""The three answers, and what they are judged by afterwards."""

from __future__ import annotations

import pytest

from bedside_trainer.pilot.law import Forecast
from bedside_trainer.pilot.settings import Pilot
from bedside_trainer.pilot.verdict import is_worth_it, judge

SETTINGS = Pilot(min_gain=0.02, max_loss=0.1)


def between(low: float, high: float) -> Forecast:
    return Forecast(low, (low + high) / 2, high, ())


@pytest.mark.parametrize(("ward", "other", "verdict"), [
    (between(-0.3, -0.1), between(-0.1, 0.05), "train"),
    (between(-0.01, 0.2), between(-0.1, 0.05), "do not train"),  # even the best is no gain
    (between(-0.3, -0.1), between(0.15, 0.4), "do not train"),  # too dear, whatever it gains
    (between(-0.3, 0.0), between(-0.1, 0.05), "cannot tell"),
    (between(-0.3, -0.1), between(0.05, 0.4), "cannot tell"),
])  # fmt: skip
def test_the_intervals_decide(ward: Forecast, other: Forecast, verdict: str) -> None:
    assert judge({"ward": ward, "other": other}, "ward", SETTINGS) == verdict


def test_what_came_is_judged_by_the_same_settings() -> None:
    assert is_worth_it({"ward": -0.2, "other": 0.05}, "ward", SETTINGS)
    assert not is_worth_it({"ward": -0.01, "other": 0.05}, "ward", SETTINGS)
    assert not is_worth_it({"ward": -0.2, "other": 0.15}, "ward", SETTINGS)


def test_forgetting_decides_only_where_it_is_limited() -> None:
    changes = {"ward": -0.2, "other": 5.0}
    assert is_worth_it(changes, "ward", Pilot())
    assert not is_worth_it(changes, "ward", Pilot(max_loss=1))
