"""Agreement beyond chance, against published and worked examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_eval.judging.agreement import cohen_kappa, gwet_ac1

SAID = st.lists(st.tuples(st.sampled_from("AB0"), st.sampled_from("AB0")), min_size=1, max_size=40)


def test_kappa_by_hand() -> None:
    # Cohen's table of two answers: 20 both yes, 15 both no, 5 and 10 apart.
    one = ["A"] * 25 + ["B"] * 25
    other = ["A"] * 20 + ["B"] * 5 + ["A"] * 10 + ["B"] * 15
    assert cohen_kappa(one, other) == pytest.approx(0.4)


def test_ac1_does_not_collapse_where_one_answer_is_rare() -> None:
    one, other = ["A"] * 48 + ["B", "A"], ["A"] * 49 + ["B"]
    kappa, ac1 = cohen_kappa(one, other), gwet_ac1(one, other)
    assert kappa is not None and ac1 is not None and kappa < 0 and ac1 > 0.9


@given(SAID)
def test_both_are_symmetric_and_at_most_one(said: list[tuple[str, str]]) -> None:
    one, other = ([each[n] for each in said] for n in (0, 1))
    for measure in (cohen_kappa, gwet_ac1):
        found, turned = measure(one, other), measure(other, one)
        assert found == pytest.approx(turned) and (found is None or found <= 1 + 1e-9)
    assert cohen_kappa(one, one) in (None, pytest.approx(1)) and gwet_ac1(one, one) == 1


def test_nothing_and_one_answer_have_no_kappa() -> None:
    assert cohen_kappa([], []) is None and gwet_ac1([], []) is None
    assert cohen_kappa(["A", "A"], ["A", "A"]) is None
