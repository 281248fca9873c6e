"""Our instruction sets: each item's own answers pass and fail, and every check is used."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bedside_core.kinds.exam import InstructionItem, read_exam
from bedside_eval.answering.instructions import CHECKS, followed

EXAMS = Path(__file__).parents[2] / "exams"


@pytest.mark.parametrize("language", ["de", "fr"])
def test_our_answers_follow_the_instructions_or_break_one(language):
    found = read_exam(EXAMS / f"instructions_{language}.jsonl")
    items = [item for item in found if isinstance(item, InstructionItem)]
    for item in items:
        assert all(followed(item, item.passes)), item.id
        assert not all(followed(item, item.fails)), item.id
    assert Counter(item.domain for item in items) == {"medical": 30, "general": 30}
    used = {name for item in items for name in item.instruction_id_list}
    assert used == set(CHECKS)
