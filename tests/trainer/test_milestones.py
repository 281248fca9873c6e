"""Which state is taken, and when a training that learns nothing more ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.inspection import Inspection
from bedside_models.scores import Estimand
from bedside_trainer.check import check_training
from bedside_trainer.config import TrainerConfig
from bedside_trainer.milestones import (
    Candidate,
    EarlyStop,
    Milestones,
    Sitting,
    choose,
    has_stalled,
    table_of,
    write_report,
)


def candidate(step: int, nll: float, right: int = 0, mean_of: tuple[int, ...] = ()) -> Candidate:
    exams = {"ward": Sitting(items=10, right=right)}
    return Candidate(step=step, nll_per_token=nll, exams=exams, mean_of=mean_of)


CANDIDATES = [
    candidate(720, 2.5, 3), candidate(1440, 2.2, 4), candidate(2160, 2.3, 5),
    candidate(2160, 2.4, 5, mean_of=(720, 1440, 2160)),
]  # fmt: skip


@pytest.mark.parametrize(("values", "step", "mean"), [
    ({}, 2160, True), ({"choose": "likelihood"}, 1440, False),
    ({"choose": "exams", "exams": ["ward"]}, 2160, False),
])  # fmt: skip
def test_the_choice_is_a_setting(values: dict[str, Any], step: int, mean: bool) -> None:
    chosen = choose(Milestones.model_validate({"every": 720, **values}), CANDIDATES)
    assert (chosen.step, bool(chosen.mean_of)) == (step, mean)


def test_the_last_is_taken_unless_asked_otherwise_and_of_equals_the_later() -> None:
    assert choose(Milestones(every=720), CANDIDATES[:3]).step == 2160
    equal = [candidate(1, 2.0), candidate(2, 2.0)]
    assert choose(Milestones(every=1, choose="likelihood"), equal).step == 2


@pytest.mark.parametrize(
    ("publish", "steps"),
    [("none", []), ("all", [720, 1440, 2160]), (2, [1440, 2160]), (9, [720, 1440, 2160])],
)
def test_those_that_are_published(publish: Any, steps: list[int]) -> None:
    setting = Milestones.model_validate({"every": 720, "publish": publish})
    assert setting.published(CANDIDATES) == steps


def test_parcomed_has_six_milestones() -> None:
    setting = Milestones(every=720)
    assert [s for s in range(1, 4321) if setting.at(s, 4320)] == [720 * n for n in range(1, 7)]
    assert [s for s in range(1, 11) if Milestones(every=4).at(s, 10)] == [4, 8, 10]


@given(
    scores=st.lists(st.floats(0, 10), min_size=1, max_size=12),
    patience=st.integers(1, 4),
    gain=st.floats(0, 1),
)
def test_a_training_stops_only_without_a_gain(
    scores: list[float], patience: int, gain: float
) -> None:
    setting = EarlyStop(patience=patience, min_gain=gain)
    stalled = has_stalled(scores, setting)
    if stalled:
        assert min(scores) >= min(scores[:-patience]) - gain
        assert len(scores) > patience
    # A new best by more than the gain never stops.
    assert not has_stalled([*scores, min(scores) - gain - 0.1], setting)
    assert not has_stalled(scores, None)


def test_patience_counts_milestones_without_a_gain() -> None:
    setting = EarlyStop(patience=2, min_gain=0.01)
    course = [3.0, 2.5, 2.4, 2.395, 2.41]
    assert [has_stalled(course[:n], setting) for n in range(1, 6)] == [False] * 4 + [True]


def test_each_score_is_in_the_report(tmp_path: Path) -> None:
    estimand = Estimand(prefix_token="<s>", max_length=8, dtype="float32")
    chosen = CANDIDATES[1]
    setting = Milestones(every=720, choose="likelihood")
    write_report(tmp_path, setting, CANDIDATES, chosen, estimand)
    content = json.loads((tmp_path / "milestones.json").read_text())
    assert content["candidates"][content["chosen"]]["step"] == 1440
    assert [Candidate.model_validate(c) for c in content["candidates"]] == CANDIDATES
    shown = table_of(CANDIDATES, chosen).splitlines()
    assert ["step 1440" in line for line in shown if line.endswith("taken")] == [True]
    assert "mean of 3" in shown[-1]


def test_exams_to_choose_by_are_named() -> None:
    with pytest.raises(ValueError, match=r"name some of eval\.exams"):
        Milestones(every=1, choose="exams")


def test_an_exam_that_nobody_splits_is_told_before_the_first_step() -> None:
    document = {"eval": {"heldout": {"ward": "w"}, "exams": {"quiz": "q"}}}
    values = {"heldout": "ward", "milestones": {"every": 1, "exams": ["quiz", "other"]}}
    inspection = Inspection(document)
    check_training(TrainerConfig.model_validate(values), inspection)
    faults = [finding.text for finding in inspection.findings if finding.kind == "fault"]
    assert faults == ["trainer.milestones.exams: 'other' is not in eval.exams - known are: quiz"]
