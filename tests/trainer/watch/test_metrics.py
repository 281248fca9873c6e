from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_trainer.watch.metrics import Line, ScoreLine, StepLine, append, read, resume, steps_of

LINES: list[Line] = [
    ScoreLine(step=0, time=1.0, heldout={"ward": 3.5}),
    *(
        StepLine(
            step=step, time=1.0 + step, loss=4.0 - step, grad_norm=1.0, learning_rate=1e-5,
            tokens=64 * step, seconds=0.5 * step, tokens_per_second=128.0, mfu=None,
            mfu_with_attention=None, memory_bytes=10**6, energy_joules=None, eta_seconds=3.0,
        )
        for step in (1, 2, 3)
    ),
]  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    for line in LINES:
        append(tmp_path / "metrics.jsonl", line)
    return tmp_path / "metrics.jsonl"


def test_a_line_can_be_read_at_once(path: Path) -> None:
    assert read(path) == LINES
    assert [line.step for line in steps_of(LINES)] == [1, 2, 3]
    assert read(path.with_name("none")) == []


@pytest.mark.parametrize("done", [0, 2, 3, 9])
def test_no_step_stands_twice(path: Path, done: int) -> None:
    kept = [line for line in LINES if line.step <= done]
    assert resume(path, done=done) == kept == read(path)


@given(size=st.integers(0, 1000))
def test_a_torn_line_is_dropped(size: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("torn") / "metrics.jsonl"
    for line in LINES:
        append(path, line)
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    found = resume(path, done=9)
    assert found == LINES[: len(found)]
    assert len(found) >= whole[:size].count(b"\n")
    append(path, LINES[-1])
    assert read(path) == [*found, LINES[-1]]
