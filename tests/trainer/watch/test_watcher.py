"""What a run leaves behind when it is watched, with interruptions and without."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bedside_core.heldout import HeldoutText
from bedside_core.kinds.heldout import part_files, set_names
from bedside_core.kinds.serving import REPORTS
from bedside_trainer.step.take import OptimizerStep
from bedside_trainer.watch import events
from bedside_trainer.watch.metrics import METRICS, ScoreLine, StepLine, read, steps_of


class PowerCutError(Exception):
    """Ends the process in the middle of the loop."""


@pytest.fixture
def house(house: Any) -> Any:
    """With texts of a second set, which training shall not forget."""
    run = house.run("eval", "plan")
    sets = {
        name: [HeldoutText(f"{name}-{i}", f"{words} {i}.") for i in range(3)]
        for name, words in (("ward", "Fieber und Husten"), ("news", "Der Zug nach Bonn"))
    }
    with run.write("heldout", run.recipe(house.config())) as artifact:
        for name, content in part_files(sets, {}).items():
            (artifact.path / name).parent.mkdir(parents=True, exist_ok=True)
            (artifact.path / name).write_bytes(content)
    assert set_names(house.registry.get("test/heldout")) == ["news", "ward"]
    return house


def cut_at(step: int, house: Any, **changes: Any) -> None:
    take = OptimizerStep.__call__

    def wrapped(self: Any, number: int, *rest: Any) -> Any:
        if number == step:
            raise PowerCutError
        return take(self, number, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OptimizerStep, "__call__", wrapped)
        with pytest.raises(PowerCutError):
            house.train(**changes)


def test_steps_sets_and_files(house: Any, tmp_path: Path) -> None:
    board = tmp_path / "collector"
    board.mkdir()
    path = house.train(watch={"prometheus": str(board), "num_texts": 2})
    curve = [json.loads(line) for line in (path / "loss.jsonl").read_text().splitlines()]
    lines = read(path / METRICS)
    first, *steps, last = lines
    assert isinstance(first, ScoreLine)
    assert isinstance(last, ScoreLine)
    for line, point in zip(steps, curve, strict=True):
        assert isinstance(line, StepLine)
        assert line.model_dump(include=set(point)) == point
        assert line.tokens_per_second > 0
        assert line.memory_bytes > 2**20
        assert (line.mfu, line.energy_joules) == (None, None)  # of a processor nobody knows
    assert steps[-1].eta_seconds == 0

    scores = json.loads((path / "heldout.json").read_text())
    facts = house.registry.get("test/checkpoint").manifest.facts
    other = scores["sets"]["news"]
    assert [text["id"] for text in other["before"]["texts"]] == ["news-0", "news-1"]
    assert first.heldout.keys() == last.heldout.keys() == {"ward", "news"}
    for name, change in facts["nll_per_token_change"].items():
        assert last.heldout[name] - first.heldout[name] == pytest.approx(change)

    [prom] = board.iterdir()
    assert prom.name == "bedside_trainer_test.prom"
    assert f'bedside_trainer_step{{run="test"}} {len(curve)}\n' in prom.read_text()
    board_file = path / events.FOLDER / events.NAME
    assert board_file.read_bytes() == events.begin(tmp_path / "again", lines).read_bytes()
    names = {entry.path for entry in house.registry.get("test/checkpoint").manifest.files}
    assert {METRICS, f"{events.FOLDER}/{events.NAME}"} <= names & REPORTS


def test_a_run_that_goes_on_continues_the_same_files(house: Any) -> None:
    cut_at(4, house)
    [written] = house.registry.home.glob(f"work/*/{METRICS}")
    assert [line.step for line in read(written)] == [0, 1, 2, 3, 4]  # while it runs
    cut_at(8, house)
    path = house.train()
    lines = read(path / METRICS)
    steps = [line.step for line in steps_of(lines)]
    assert steps == list(range(1, len(steps) + 1))
    assert [line.step for line in lines if isinstance(line, ScoreLine)] == [0, len(steps)]
    seconds = [line.seconds for line in steps_of(lines)]
    assert seconds == sorted(seconds)


def test_how_it_is_watched_is_not_what_is_trained(
    house: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = house.train(max_steps=2, watch={"tensorboard": False})
    assert not (path / events.FOLDER).exists()
    told = capsys.readouterr()
    assert re.search(r"ward: -\d\.\d+ nats per token, learned", told.out)
    bars = [json.loads(line) for line in told.err.splitlines() if '"progress": "train"' in line]
    assert bars[-1]["rate"] > bars[-1]["learning_rate"]  # tokens a second, not hidden by a fact
    assert house.train(max_steps=2, watch={"prometheus": str(tmp_path)}) == path
