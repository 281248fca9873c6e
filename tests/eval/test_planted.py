"""Planted models, through the verbs: each gets the verdict that it should.

`bench/eval/planted.py` records what they got: `RECORD` names the file that each evidence goes to.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from bedside_core.cli import main
from bedside_core.kinds.exam import read_exam
from bedside_eval.exam import Paper
from bedside_eval.records import ModelScores

World = Any
Weights = dict[str, torch.Tensor]
RECORD = "BEDSIDE_RECORD_PLANTED"


def verdict(world: World, **changes: Any) -> dict[str, Any]:
    for verb in ("plan", "run"):
        assert main(["eval", verb, "--config", world.config(**changes)]) == 0
    path = world.registry.get("tiny/evidence").file("evidence.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if record := os.environ.get(RECORD):
        planted = os.environ["PYTEST_CURRENT_TEST"].split("::")[1].split(" ")[0]
        with Path(record).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"planted": planted, **found}) + "\n")
    return found


def test_better(world: World) -> None:
    world.add_models()
    assert verdict(world)["verdict"] == "PROMOTE"


def oversure(weights: Weights) -> None:
    """As wrong as before, and eight times as sure of it."""
    weights["model.norm.weight"] *= 8


def test_worse(world: World) -> None:
    world.add_models(merged_steps=0, spoil=oversure)
    found = verdict(world)
    assert found["verdict"] == "REJECT"
    assert "so there is no such gain" in " ".join(found["reasons"])


def test_equal(world: World) -> None:
    world.add_models(merged_steps=0)
    assert verdict(world)["verdict"] == "SAME_MODEL"


def test_a_template_without_the_question(world: World) -> None:
    world.add_models(files={"chat_template.jinja": "Antworte immer: Alles ist gut."})
    found = verdict(world)
    assert found["verdict"] == "NOT_ENOUGH_EVIDENCE"
    assert "chat template is not the base's" in found["reasons"][0]


def test_a_corpus_that_nobody_can_look_into_any_more(world: World) -> None:
    """What was trained on cannot be known, so that no text counts as unseen."""
    world.add_models()
    shutil.rmtree(world.registry.get("tiny/corpus").path)
    found = verdict(world)
    assert found["verdict"] == "NOT_ENOUGH_EVIDENCE"
    assert "was deleted: what it was trained on cannot be compared" in found["reasons"][0]


def overflowing(weights: Weights) -> None:
    """Finite in float32, beyond what 16 bits hold: up times 1e20, down by as much."""
    for layer in range(2):
        weights[f"model.layers.{layer}.mlp.up_proj.weight"] *= 1e20
        weights[f"model.layers.{layer}.mlp.down_proj.weight"] *= 1e-20


def test_no_number_as_it_is_served(world: World) -> None:
    world.add_models(spoil=overflowing)
    found = verdict(world, served="float16")
    assert found["verdict"] == "REJECT"
    assert "gives no number on" in found["reasons"][0]
    assert "float16, as it is served" in found["reasons"][0]


def test_no_number_at_all(world: World) -> None:
    world.add_models(spoil=lambda w: w["model.norm.weight"].fill_(float("nan")))
    found = verdict(world)
    assert found["verdict"] == "REJECT"
    assert "gives no number on" in found["reasons"][0]


def chosen(sit: Callable[..., ModelScores], path: Path, exam: Path) -> Sequence[int]:
    scores = sit(path, Paper({}, {"medical": read_exam(exam)}))
    return [item.choice["acc"] for item in scores.exams["medical"]]


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "unguarded"])
def test_an_exam_that_is_lost(world: World, sit: Callable[..., ModelScores], guarded: bool) -> None:
    """Its texts are predicted better and every answer of the base is lost (review, finding 3)."""
    world.add_models()
    words = "Fieber Husten Atemnot Ramipril Patient klagt täglich erhält".split()
    items = [
        {
            "id": f"q{n}", "question": f"Was erhält der Patient {n} am Tag {7 * n}?", "answer": 0,
            "options": [words[(n + k) % 8] + f" {k}" for k in range(4)], "language": "de",
        }
        for n in range(160)
    ]  # fmt: skip
    world.write_exam(items)
    exam = world.folder / "exam.jsonl"
    paths = [world.registry.get(f"tiny/{kind}").path for kind in ("base", "merged")]
    of_base, of_merged = (chosen(sit, path, exam) for path in paths)
    # The key is what the base answers, on the questions on which the candidate answers otherwise.
    kept = [
        item | {"answer": right}
        for item, right, other in zip(items, of_base, of_merged, strict=True)
        if right != other
    ]
    assert len(kept) >= 24
    world.write_exam(kept)
    if guarded:
        guard = {"measure": "accuracy", "of": "medical", "max_loss": 0.1, "floor": 0.3}
        world.write_policy(guards=[{"of": "general", "max_loss": 0.1}, guard])
    found = verdict(world)
    assert found["verdict"] == ("REJECT" if guarded else "PROMOTE")
    lost = found["differences"][0]["exams"]["medical"]["acc"]
    assert lost["difference"]["estimate"] == -1.0
