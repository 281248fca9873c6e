"""What the models are asked: sets of texts that are large enough, and exams."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedside_core.errors import InputError
from bedside_eval.exam import MIN_TEXTS, read_paper


def test_too_few_texts(tmp_path: Path) -> None:
    for number in range(MIN_TEXTS - 1):
        (tmp_path / f"{number}.txt").write_text("Text")
    with pytest.raises(InputError, match=f"7 text.s. - an interval needs at least {MIN_TEXTS}"):
        read_paper({"small": tmp_path}, {})


def test_the_demo_exams_are_valid(root: Path) -> None:
    exams = {name: root / f"demo/exam/{name}.jsonl" for name in ("medical_de", "general_de")}
    sets = {name: root / "demo/heldout" / name for name in ("medical_de", "general_de")}
    paper = read_paper(sets, exams)
    assert len(paper.exams["medical_de"]) >= 40
    assert len(paper.exams["general_de"]) >= 20
