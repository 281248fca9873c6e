"""The verdict over all intervals: exclusive, exhaustive, monotone, and explained."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bedside_core.config import validate
from bedside_core.errors import ConfigError
from bedside_eval.policy import Guard, Policy, Target, decide
from bedside_eval.statistics.estimate import Interval

POLICY = Policy(
    target=Target(heldout="target", min_gain=0.05),
    guards=(Guard(heldout="one", max_loss=0.1), Guard(heldout="two", max_loss=0.3)),
    confidence=0.95,
)
bounds = st.floats(min_value=-1, max_value=1)
intervals = st.tuples(bounds, bounds, bounds).map(
    lambda x: Interval(low=min(x), estimate=sorted(x)[1], high=max(x))
)
cases = st.fixed_dictionaries({name: intervals for name in POLICY.sets})
ORDER = ("REJECT", "NOT_ENOUGH_EVIDENCE", "PROMOTE")


def interval(low: float, high: float) -> Interval:
    return Interval(estimate=(low + high) / 2, low=low, high=high)


def verdict(target: Interval, one: Interval, two: Interval) -> str:
    return decide(POLICY, {"target": target, "one": one, "two": two}).verdict


@given(cases)
def test_exactly_one_verdict_by_definition(case: dict[str, Interval]) -> None:
    gain_low, gain_high = -case["target"].high, -case["target"].low
    promote = gain_low > 0.05 and case["one"].high < 0.1 and case["two"].high < 0.3
    reject = gain_high <= 0.05 or case["one"].low >= 0.1 or case["two"].low >= 0.3

    assert not (promote and reject)
    expected = "PROMOTE" if promote else "REJECT" if reject else "NOT_ENOUGH_EVIDENCE"
    assert decide(POLICY, case).verdict == expected


@given(cases, st.sampled_from(POLICY.sets), st.floats(min_value=0, max_value=2))
def test_a_better_candidate_never_gets_a_worse_verdict(
    case: dict[str, Interval], name: str, better: float
) -> None:
    old = case[name]
    moved = Interval(estimate=old.estimate - better, low=old.low - better, high=old.high - better)
    before, after = decide(POLICY, case), decide(POLICY, {**case, name: moved})
    assert ORDER.index(after.verdict) >= ORDER.index(before.verdict)


@given(cases, st.sampled_from(POLICY.sets), st.floats(min_value=0, max_value=1))
def test_a_wider_interval_never_decides_what_was_open(
    case: dict[str, Interval], name: str, wider: float
) -> None:
    assume(decide(POLICY, case).verdict == "NOT_ENOUGH_EVIDENCE")
    old = case[name]
    wide = Interval(estimate=old.estimate, low=old.low - wider, high=old.high + wider)
    assert decide(POLICY, {**case, name: wide}).verdict == "NOT_ENOUGH_EVIDENCE"


@given(cases)
def test_every_condition_has_a_full_sentence(case: dict[str, Interval]) -> None:
    reasons = decide(POLICY, case).reasons
    assert len(reasons) == 3
    for name, reason in zip(POLICY.sets, reasons, strict=True):
        assert reason.startswith("The ")
        assert reason.endswith(".")
        assert f" on {name} is " in reason


@pytest.mark.parametrize(
    ("target", "one", "expected"),
    [
        (interval(-0.2, -0.1), interval(0.0, 0.05), "PROMOTE"),
        (interval(-0.2, -0.05), interval(0.0, 0.05), "NOT_ENOUGH_EVIDENCE"),  # gain = margin
        (interval(-0.2, -0.1), interval(0.0, 0.1), "NOT_ENOUGH_EVIDENCE"),  # loss = margin
        (interval(-0.05, 0.2), interval(0.0, 0.05), "REJECT"),
        (interval(-0.2, -0.1), interval(0.1, 0.2), "REJECT"),
        (interval(0.0, 0.0), interval(0.0, 0.0), "REJECT"),  # an unchanged model
    ],
)
def test_at_the_margins(target: Interval, one: Interval, expected: str) -> None:
    assert verdict(target, one, interval(0.0, 0.1)) == expected


def test_numbers_in_the_reasons() -> None:
    case = {
        "target": Interval(estimate=-0.2134, low=-0.25, high=-0.18),
        "one": Interval(estimate=0.02, low=-0.01, high=0.12),
        "two": Interval(estimate=0.5, low=0.4, high=0.6),
    }

    decision = decide(POLICY, case)

    assert decision.verdict == "REJECT"
    assert decision.reasons == (
        "The gain on target is 0.213 nats per token (95 % interval 0.180 to 0.250), all of it "
        "above the required 0.050, so the gain is shown.",
        "The loss on one is 0.020 nats per token (95 % interval -0.010 to 0.120), which reaches "
        "from below to above the allowed 0.100, so harm is not ruled out.",
        "The loss on two is 0.500 nats per token (95 % interval 0.400 to 0.600), none of it below "
        "the allowed 0.300, so harm is shown.",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"confidence": 1.0}, "confidence"),
        ({"confidence": 0.05}, "confidence"),
        ({"target": {"heldout": "t", "min_gain": -1}}, "target.min_gain"),
        ({"target": {"heldout": "t", "min_gain": float("nan")}}, "target.min_gain"),
        ({"guards": [{"heldout": "g", "max_loss": 0}]}, "guards.0.max_loss"),
        ({"guards": [{"heldout": "t", "max_loss": 0.1}]}, "different held-out sets"),
        ({"gaurds": []}, "gaurds"),
    ],
)
def test_bad_policies(change: dict[str, Any], message: str) -> None:
    policy = {
        "target": {"heldout": "t", "min_gain": 0.0},
        "guards": [{"heldout": "g", "max_loss": 0.1}],
        "confidence": 0.95,
    }
    with pytest.raises(ConfigError, match=message):
        validate(Policy, policy | change, "policy.yaml")
