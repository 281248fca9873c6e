"""The course of a training on development parts."""

from __future__ import annotations

import math
from pathlib import Path

from bedside_core.heldout import HeldoutText
from bedside_eval.course import plotted, points
from bedside_eval.exam import Paper
from bedside_eval.records import ModelScores
from bedside_models.scores import TextScore

TEXTS = [HeldoutText(f"t{n}", f"text {n}", cluster=f"c{n}") for n in range(12)]
PAPER = Paper({"medical": TEXTS, "few": TEXTS[:3]}, {})


def scores(bits: float) -> ModelScores:
    def of(texts: list[HeldoutText]) -> tuple[TextScore, ...]:
        return tuple(
            TextScore(id=text.id, tokens=4, bytes=10,
                      nll=(bits + 0.01 * n) * 10 * math.log(2))
            for n, text in enumerate(texts)
        )  # fmt: skip

    return ModelScores(heldout={"medical": of(TEXTS), "few": of(TEXTS[:3])}, exams={})


def test_table_and_picture(tmp_path: Path) -> None:
    course = points(PAPER, {"base": scores(2), "step 5": scores(1.5), "end": scores(1.6)})
    header, first, second = course.rows()
    assert header == ["set", "measure", "base", "step 5", "end"]
    assert first[2].startswith("2.0550 (2.0")
    # Too few clusters have no interval, and say so.
    assert second[2] == "2.0100 (no information)"
    png, svg = plotted(course, tmp_path / "a")
    assert png.read_bytes().startswith(b"\x89PNG")
    again = list(plotted(course, tmp_path / "b"))
    assert [p.read_bytes() for p in again] == [png.read_bytes(), svg.read_bytes()]
