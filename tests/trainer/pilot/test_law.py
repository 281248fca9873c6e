"""The interval: that it holds what the law says, and that it knows what it does not know."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside_models.scores import Estimand, Scores, TextScore
from bedside_trainer.pilot.law import Forecast, forecast
from bedside_trainer.pilot.settings import Pilot
from bedside_trainer.pilot.verdict import judge

AREAS = (3.5, 7.0, 14.0)
WHOLE = 2500.0
BASE = 3.0
TEXTS, TOKENS = 40, 60


def scored(change: float, *, spread: float = 0.0, seed: int = 0) -> Scores:
    """Texts whose mean changed by so much."""
    each = np.random.default_rng(seed).standard_normal(TEXTS)
    nll = TOKENS * (BASE + change * (1 + spread * (each - each.mean())))
    return Scores(
        estimand=Estimand(prefix_token="<s>", max_length=64, dtype="float32"),
        texts=tuple(
            TextScore(id=f"t{n}", tokens=TOKENS, bytes=TOKENS, nll=value)
            for n, value in enumerate(nll.tolist())
        ),
    )


def foretold(changes: list[float], whole: float = WHOLE, spread: float = 0.1) -> Forecast:
    after = [scored(change, spread=spread) for change in changes]
    return forecast(AREAS, scored(0.0), after, whole, seed=1)


def test_what_follows_the_law_is_held() -> None:
    draw = np.random.default_rng(3)
    held = []
    for _ in range(40):
        scale = np.exp(draw.uniform(np.log(0.35), np.log(WHOLE)))
        moved = 1 - (1 + np.array([*AREAS, WHOLE]) / scale) ** -draw.uniform(0.05, 1)
        true = draw.normal(0, 0.25 * BASE) * moved ** draw.uniform(1, 2)
        true = true * (1 + 0.05 * draw.standard_normal(4))
        found = foretold(true[:-1].tolist())
        held.append(found.low <= true[-1] <= found.high)
    assert sum(held) >= 32  # 80 %; 90 % are meant


def test_nearer_is_surer_and_more_texts_that_agree_too() -> None:
    changes = [-0.05, -0.09, -0.15]
    far, near = foretold(changes), foretold(changes, whole=28.0)
    assert near.high - near.low < far.high - far.low
    assert far.rungs == pytest.approx(changes)
    assert near.low < -0.15
    torn = foretold(changes, whole=28.0, spread=5.0)
    assert torn.high - torn.low > near.high - near.low


def test_a_square_is_not_taken_for_a_line() -> None:
    line, square = foretold([0.01, 0.02, 0.04], 70.0), foretold([0.0025, 0.01, 0.04], 70.0)
    assert square.high > line.high > 0.04


def test_do_not_train_is_an_answer() -> None:
    # A fifth of the training, and nothing moved: whatever is still to come is little.
    still = foretold([0.002, 0.002, 0.003], whole=5 * sum(AREAS))
    assert judge({"ward": still}, "ward", Pilot(min_gain=0.05)) == "do not train"
    # A hundredth of it, and nothing moved: something slow may yet come.
    early = foretold([0.002, 0.002, 0.003])
    assert judge({"ward": early}, "ward", Pilot(min_gain=0.05)) == "cannot tell"
    learned = foretold([-0.05, -0.09, -0.15])
    assert judge({"ward": learned}, "ward", Pilot(min_gain=0.05)) == "train"


@settings(max_examples=20, deadline=None)
@given(changes=st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_whatever_was_measured_there_is_an_interval(changes: list[float]) -> None:
    found = foretold(changes)
    assert found.low <= found.median <= found.high
    assert np.isfinite([found.low, found.high]).all()
