"""Choosing among candidates, on development parts; the whole is in tests/eval/test_run.py."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bedside_core.errors import InputError
from bedside_core.heldout import HeldoutText
from bedside_core.kinds.policy import Target
from bedside_eval.choice import asked, best
from bedside_eval.exam import Paper
from bedside_eval.records import ModelScores
from bedside_models.scores import TextScore

TEXTS = [HeldoutText(f"t{n}", f"text {n}", cluster=f"c{n // 2}") for n in range(4)]
PAPER = Paper({"medical": TEXTS, "general": TEXTS[:2]}, {})


def scores(bits: float) -> ModelScores:
    texts = tuple(
        TextScore(id=text.id, tokens=4, bytes=10, nll=bits * 10 * math.log(2)) for text in TEXTS
    )
    return ModelScores(heldout={"medical": texts}, exams={})


def test_only_the_targets_set_is_asked_and_the_least_bits_win(make_policy: Any) -> None:
    paper = asked(make_policy(), PAPER)

    assert set(paper.heldout) == {"medical"}
    found = {"merged": scores(2.0), "other/merged": scores(1.5), "checkpoint": scores(1.5)}
    assert best(make_policy(), paper, found) == "other/merged"


def test_by_a_measure_that_nobody_takes_nothing_is_chosen(make_policy: Any) -> None:
    target = Target(measure="win_rate", of="letters", min_gain=0.0, max_loss=0.1)
    with pytest.raises(InputError, match="name one candidate in eval"):
        asked(make_policy(target=target), PAPER)


def test_the_rule_that_is_named_chooses(
    make_policy: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = make_policy()
    found = {"merged": scores(1.0), "checkpoint": scores(2.0)}
    assert asked(policy, PAPER, "last") == Paper({}, {})
    assert best(policy, PAPER, found, "last") == "checkpoint"
    assert "chosen as the last of 2" in capsys.readouterr().out
    # Without an exam there is nothing to rank.
    with pytest.raises(InputError, match="cannot be ranked"):
        asked(policy, PAPER, "average_rank")
