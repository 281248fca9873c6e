"""Folders of milestones: written and found by the same names, in the order of their steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside_core.kinds.milestones import folder_of, is_of_milestone, milestones


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(steps=st.sets(st.integers(0, 10**6), max_size=5))
def test_what_was_written_is_found_in_order(
    steps: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    checkpoint = tmp_path_factory.mktemp("checkpoint")
    for step in steps:
        (checkpoint / folder_of(step)).mkdir(parents=True)
        (checkpoint / folder_of(step) / "config.json").touch()
        assert is_of_milestone(f"{folder_of(step)}/model.safetensors")
    assert list(milestones(checkpoint).items()) == [
        (step, checkpoint / folder_of(step)) for step in sorted(steps)
    ]


def test_other_folders_are_none(tmp_path: Path) -> None:
    assert milestones(tmp_path) == {}
    for name in ("step-01", "step-x", "notes", "step-7"):
        (tmp_path / "milestones" / name).mkdir(parents=True)
        if name != "step-7":  # a folder without a model
            (tmp_path / "milestones" / name / "config.json").touch()
    assert milestones(tmp_path) == {}
    assert not is_of_milestone("milestones.json")
