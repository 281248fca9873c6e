"""Recipes in real trainings: what is left out, gone back to, scored, averaged, adapted; resumed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bedside_core.errors import InputError
from bedside_core.kinds.exam import ChoiceItem
from bedside_core.kinds.milestones import folder_of, milestones
from bedside_models import load
from bedside_trainer.course import Course
from bedside_trainer.watch import metrics

GARBAGE = "".join(map(chr, range(0x1200, 0x1230)))
"""Bytes that no other document has: three rows of them."""
SPIKY: dict[str, Any] = {
    "batch_size": 1, "num_epochs": 2, "sequence_length": 64, "learning_rate": 3e-3,
    "spikes": {"window": 16},
    "states": {"every": 8},
}  # fmt: skip


class PowerCutError(Exception):
    """Stands for anything that ends the process."""


@pytest.fixture
def spoilt(house: Any, sentences: Callable[..., list[str]]) -> Any:
    """A house whose corpus holds a document of garbage."""
    texts = sentences(40, seed=1)
    house.add_corpus([*texts[:30], GARBAGE, *texts[30:]])
    return house


@contextmanager
def asked(action: Callable[[int], bool | None]) -> Iterator[None]:
    """Ask `action` at each step before the course is asked; what it returns is the answer."""
    admits = Course.admits

    def wrapped(self: Course, step: int, *rest: Any) -> bool:
        answer = action(step)
        return admits(self, step, *rest) if answer is None else answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Course, "admits", wrapped)
        yield


def cut_at(house: Any, step: int, **changes: Any) -> None:
    def cut(now: int) -> None:
        if now == step:
            raise PowerCutError

    with asked(cut), pytest.raises(PowerCutError):
        house.train(**changes)


def poison(monkeypatch: pytest.MonkeyPatch, steps: Collection[int]) -> None:
    """Make the gradient of these steps (from 1) no number; one row a step."""
    load_model = load.load_model
    taken = iter(range(1, 10_000))

    def spoil(gradient: torch.Tensor) -> torch.Tensor:
        return gradient * (math.nan if next(taken) in steps else 1.0)

    def wrapped(*args: Any, **options: Any) -> Any:
        model = load_model(*args, **options)
        model.model.norm.weight.register_hook(spoil)
        return model

    monkeypatch.setattr(load, "load_model", wrapped)


def files(path: Path) -> dict[str, bytes]:
    names = ("model.safetensors", "loss.jsonl", "spikes.json", "milestones.json")
    milestones = (f"{folder_of(step)}/model.safetensors" for step in range(100))
    return {n: (path / n).read_bytes() for n in (*names, *milestones) if (path / n).exists()}


def spikes_of(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((path / "spikes.json").read_text())["spikes"]
    return found


def steps_of(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (path / "loss.jsonl").read_text().splitlines()]


def test_a_document_of_garbage_is_left_out_and_named_also_after_a_kill(
    spoilt: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = spoilt.copy(tmp_path / "other")
    path = spoilt.train(**SPIKY)
    spikes = spikes_of(path)
    dear = [spike for spike in spikes if spike["loss"] > (spike["loss_limit"] or math.inf)]
    assert dear
    assert all("corpus-30" in spike["documents"] for spike in dear)
    left_out = {spike["step"] for spike in spikes}
    assert left_out.isdisjoint(steps_of(path))
    out = capsys.readouterr().out
    assert "documents corpus-30" in out
    assert not set(GARBAGE) & set(out)
    assert spoilt.registry.get("test/checkpoint").manifest.facts["left_out"] == len(spikes)

    first = min(left_out)
    cut_at(other, first + 1, **SPIKY)
    cut_at(other, max(left_out), **SPIKY)
    assert files(other.train(**SPIKY)) == files(path)


def test_an_update_that_is_left_out_leaves_no_trace(
    spoilt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = spoilt.copy(tmp_path / "other")
    changes = {**SPIKY, "max_steps": 8}
    with monkeypatch.context() as patch:
        poison(patch, {5})
        path = spoilt.train(**changes)
    assert [(spike["step"], spike["grad_norm"]) for spike in spikes_of(path)] == [(5, None)]
    with asked(lambda step: False if step == 5 else None):
        expected = other.train(**changes)
    assert (path / "model.safetensors").read_bytes() == (
        expected / "model.safetensors"
    ).read_bytes()


def test_spikes_in_a_row_lead_back_to_the_state_before(
    spoilt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    other = spoilt.copy(tmp_path / "other")
    changes = {**SPIKY, "max_steps": 16, "states": {"every": 4}}
    with monkeypatch.context() as patch:
        poison(patch, {6, 7, 8})
        path = spoilt.train(**changes)
    assert "back to the state after step 4" in capsys.readouterr().out
    assert [(s["step"], s["back_to"]) for s in spikes_of(path)] == [(6, None), (7, None), (8, 4)]
    assert steps_of(path) == [1, 2, 3, 4, *range(9, 17)]
    # Step 5 was measured before the training went back behind it: it stands nowhere.
    measured = metrics.steps_of(metrics.read(path / metrics.METRICS))
    assert [line.step for line in measured] == steps_of(path)
    with asked(lambda step: False if 5 <= step <= 8 else None):
        expected = other.train(**changes)
    assert (path / "model.safetensors").read_bytes() == (
        expected / "model.safetensors"
    ).read_bytes()


def test_too_many_spikes_end_the_training(spoilt: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    poison(monkeypatch, range(6, 10_000))
    with pytest.raises(InputError, match=r"\d+ times in all, nothing was published - lower"):
        spoilt.train(**{**SPIKY, "states": {"every": 4}, "spikes": {"limit": 4}})
    assert spoilt.registry.slot("test", "checkpoint") is None
    assert spoilt.leftovers() == []


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path / "model.safetensors")


EVEN: dict[str, Any] = {"schedule": {"kind": "constant", "warmup_steps": 0}, "batch_size": 1}


def test_milestones_are_scored_averaged_and_chosen_also_after_a_kill(
    house: Any, tmp_path: Path
) -> None:
    options = ["Fieber", "Husten", "Befund", "Therapie"]
    items = [
        ChoiceItem(id=f"q{n}", question=f"Was {n}?", options=options, answer=n, language="de")
        for n in range(4)
    ]
    house.add_heldout(["Fieber und Husten.", "Befund und Therapie."], {"quiz": items})
    two, four, killed = (house.copy(tmp_path / name) for name in ("two", "four", "killed"))
    changes = {
        **EVEN, "max_steps": 4,
        "milestones": {"every": 2, "exams": ["quiz"], "average": 2, "publish": 1},
    }  # fmt: skip
    path = house.train(**changes)
    report = json.loads((path / "milestones.json").read_text())
    scored = report["candidates"]
    assert [(one["step"], one["mean_of"]) for one in scored] == [(2, []), (4, []), (4, [2, 4])]
    assert {one["exams"]["quiz"]["items"] for one in scored} == {4}
    assert all(0 <= one["exams"]["quiz"]["right"] <= 4 for one in scored)
    assert report["chosen"] == 2
    # The same course, ended after two and after four steps.
    after_two = weights(two.train(**EVEN, max_steps=2))
    after_four = weights(four.train(**EVEN, max_steps=4))
    for name, value in weights(path).items():
        torch.testing.assert_close(value, (after_two[name] + after_four[name]) / 2)
    # The mean is the checkpoint; the last milestone is a model beside it.
    ((step, last),) = milestones(path).items()
    assert step == 4
    torch.testing.assert_close(weights(last), after_four)
    load.load_tokenizer(last)
    cut_at(killed, 4, **changes)
    assert files(killed.train(**changes)) == files(path)


def test_the_likeliest_milestone_is_what_is_published(house: Any, tmp_path: Path) -> None:
    short = house.copy(tmp_path / "short")
    # Six good steps, then a rate that ruins the weights.
    changes = {
        "batch_size": 1, "max_steps": 12, "learning_rate": 0.3,
        "schedule": {"warmup_steps": 12}, "milestones": {"every": 3, "choose": "likelihood"},
    }  # fmt: skip
    path = house.train(**changes)
    report = json.loads((path / "milestones.json").read_text())
    scores = [one["nll_per_token"] for one in report["candidates"]]
    assert report["chosen"] == scores.index(min(scores))
    heldout = json.loads((path / "heldout.json").read_text())
    texts = heldout["after"]["texts"]
    nll = sum(text["nll"] for text in texts) / sum(text["tokens"] for text in texts)
    assert nll == pytest.approx(min(scores))
    assert not (short.train(max_steps=2) / "milestones.json").exists()


def test_a_training_that_gains_nothing_ends_early(
    house: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = {"patience": 2, "min_gain": 0.5}
    path = house.train(
        learning_rate=1e-9, milestones={"every": 2, "early_stop": stop}, batch_size=1
    )
    assert steps_of(path) == [1, 2, 3, 4]
    assert "ends at step 4: no gain" in capsys.readouterr().out


def test_lora_publishes_full_weights_also_after_a_kill(house: Any, tmp_path: Path) -> None:
    killed = house.copy(tmp_path / "killed")
    changes = {"method": "lora", "lora": {"rank": 4}, "learning_rate": 3e-2}
    path = house.train(**changes)
    base = weights(house.registry.get("test/base").path)
    after = weights(path)
    assert {name: value.shape for name, value in after.items()} == {
        name: value.shape for name, value in base.items()
    }
    assert {value.dtype for value in after.values()} == {torch.float32}
    changed = {name for name in after if not torch.equal(after[name], base[name].float())}
    assert changed == {name for name in after if "_proj" in name}
    load.load_model(path)
    scores = json.loads((path / "heldout.json").read_text())
    assert scores["after"]["perplexity"] < scores["before"]["perplexity"]
    cut_at(killed, 7, **changes)
    assert files(killed.train(**changes)) == files(path)


def test_models_of_adapters_on_the_way_are_refused(house: Any) -> None:
    for setting, value in (("average", 2), ("publish", "all")):
        with pytest.raises(ValueError, match=rf"milestones\.{setting} needs method full"):
            house.config(method="lora", milestones={"every": 1, setting: value})
