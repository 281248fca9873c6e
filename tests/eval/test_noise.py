"""One model measured twice: what the noise is of, on tiny real models and by the verb."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_eval.noise import floors_of
from bedside_eval.records import ItemScore, ModelScores
from bedside_models.scores import TextScore
from tests.eval.answering.test_examined import ENGINE, ITEMS, behave, run

NOISY = ENGINE.replace('text = letter if choice', 'letter = "ABC"[(answered + TURN) % 3]\n'
                       '        text = letter if choice')  # fmt: skip


def scores(nll: float, right: bool, value: float) -> ModelScores:
    item = ItemScore(
        id="q", answers=(0,), loglikelihoods=(-1.0, -2.0),
        choice={"acc": 0, "acc_norm": 0}, correct={"acc": right, "acc_norm": True},
    )  # fmt: skip
    return ModelScores(
        heldout={"texts": (TextScore(id="t", tokens=4, bytes=10, nll=nll),)},
        exams={"exam": (item,)},
        values={"exam": {"rouge_l": (value,)}},
    )


def test_each_measure_has_its_floor() -> None:
    found = {
        (f.of, f.measure): f for f in floors_of(scores(5.0, True, 0.5), scores(5.5, False, 0.5))
    }
    assert found["texts", "likelihood"].mean == pytest.approx(0.05 * 1.442695, rel=1e-5)
    assert found["exam", "accuracy"][2:] == (1, 1.0, -1.0, 1.0)
    assert found["exam", "accuracy_norm"].changed == 0
    assert found["exam", "rouge_l"] == ("exam", "rouge_l", 1, 0.0, 0.0, 0.0)


@given(st.floats(1, 100), st.floats(0, 1))
def test_the_same_numbers_have_no_noise(nll: float, value: float) -> None:
    same = scores(nll, True, value)
    assert all(f.changed == f.mean == f.largest == 0 for f in floors_of(same, same))


@pytest.fixture
def asked(world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run with an engine that answers by turns."""
    program = world.folder / "envs/engine/bin/bedside"
    program.parent.mkdir(parents=True)
    turn = (
        'turns = folder / "turns"\n'
        "TURN = len(turns.read_text()) if turns.exists() else 0\n"
        'turns.write_text("x" * (TURN + 1))\n'
    )
    program.write_text(
        f"#!{sys.executable}\n" + NOISY.replace("answered = 0\n", f"answered = 0\n{turn}", 1)
    )
    program.chmod(0o755)
    monkeypatch.setenv("BEDSIDE_ENVS", str(world.folder / "envs"))
    items = [
        {"id": f"q{n}", "language": "de", "question": f"Frage {n:02d}?",
         "options": ["eins", "zwei", "drei"], "answer": n % 3}
        for n in range(ITEMS)
    ]  # fmt: skip
    world.write_exam(items)
    (world.folder / "right.json").write_text(json.dumps({i["question"]: "A" for i in items}))
    behave(world)
    world.settings |= {
        "generation": {"max_tokens": 8, "concurrency": 1},
        "max_length": 64,
        "keep_answers": True,
    }
    world.write_policy(guards=[{"of": "general", "max_loss": 0.1}])
    world.add_models()
    return world


def test_an_engine_that_answers_by_turns_is_noisy_and_likelihood_is_not(
    asked: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(asked, "noise") == 0
    told = capfd.readouterr()
    path = asked.registry.home / "reports/tiny/noise.json"
    found = json.loads(Path(path).read_text())
    assert found["model"] == asked.registry.slot("tiny", "base")
    floors = {(one["of"], one["measure"]): one for one in found["floors"]}
    assert floors["medical", "likelihood"]["changed"] == 0
    assert floors["medical", "accuracy_generated"]["changed"] > 0
    assert "noise.json" in told.out and "Frage 0" not in told.out + told.err
    assert not (asked.registry.evidence_keys.private_path.parent / "answers").exists()
    assert not asked.registry.ledger().looks and not list(asked.registry.workrooms[1].glob("*"))
