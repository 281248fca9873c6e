"""Failures are asked for one answer at a time; counting them is in test_pairs.py."""

from __future__ import annotations

from typing import Any

from bedside_core.kinds.exam import OpenItem
from bedside_eval.answering.answers import Answer
from bedside_eval.judging.failures import look
from bedside_eval.judging.questions import MODES


def test_a_judge_sees_one_answer_and_its_modes_keep_their_names(judge: Any, standin: Any) -> None:
    standin.failures = lambda text: {mode: mode in text for mode in MODES}
    items = [OpenItem(id=m, type="open", language="de", question="?", reference="x") for m in MODES]
    answers = tuple(Answer(id=mode, text=f"hat {mode}", finish="stop") for mode in MODES)
    found = look([judge], "open", items, {"base": {("open", "generated"): answers}}, "base")
    for number, mode in enumerate(MODES):
        assert found.values[mode] == tuple(float(number == n) for n in range(len(MODES)))
    assert found.unjudged == 0 and found.enough
