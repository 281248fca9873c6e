"""Models sit a paper: what is kept and taken back, and models that give no numbers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bedside_core.errors import InputError, PolicyError
from bedside_core.heldout import HeldoutText
from bedside_core.kinds.exam import ChoiceItem
from bedside_eval import agreement, harness, sittings
from bedside_eval.exam import Paper
from bedside_eval.records import AsServed, ModelScores, Unusable

Sit = Callable[..., ModelScores]
TEXTS = [HeldoutText("short", "Fieber"), HeldoutText("long", "Der Patient klagt über Husten. " * 9)]
ITEMS = [
    ChoiceItem(id="a", question="Wer?", options=["ja", "nein", "A", "B"], answer=2, language="de"),
    ChoiceItem(
        id="b", question="Was?", options=["Ramipril 5 mg", "µg", "1", "2"], answer=0, language="de"
    ),
]
PAPER = Paper({"one": TEXTS, "two": TEXTS[::-1]}, {"items": ITEMS})


@pytest.fixture(scope="module")
def path(models: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("sittings") / "model"
    models.write(folder, steps=20)
    return folder


@pytest.fixture
def spoilt(path: Path, tmp_path: Path) -> Callable[..., Path]:
    """The model with some weights multiplied."""

    def spoilt(**factors: float) -> Path:
        shutil.copytree(path, tmp_path / "spoilt")
        file = tmp_path / "spoilt" / "model.safetensors"
        weights = load_file(file)
        for name, factor in factors.items():
            weights[name.replace("__", ".")] *= factor
        save_file(weights, file, metadata={"format": "pt"})
        return tmp_path / "spoilt"

    return spoilt


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every part that is answered from here on."""
    asked: list[str] = []
    for name in ("read", "answer"):
        original = getattr(harness.Sitting, name)

        def counted(self: Any, *arguments: Any, original: Any = original, name: str = name) -> Any:
            asked.append(name)
            return original(self, *arguments)

        monkeypatch.setattr(harness.Sitting, name, counted)
    return asked


def test_weights_that_are_no_numbers_are_counted(sit: Sit, spoilt: Callable[..., Path]) -> None:
    found = sit(spoilt(model__norm__weight=float("nan")), PAPER)
    assert (found.heldout, found.exams, found.as_served) == ({}, {}, None)
    assert found.unusable == {
        "heldout/one": Unusable(without=2, of=2),
        "heldout/two": Unusable(without=2, of=2),
        "exam/items": Unusable(without=2, of=2),
    }
    assert not found.finite_as_served


def test_a_set_is_whole_or_counted(sit: Sit, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = harness._text_score

    def spoil(text: Any, sample: Any) -> Any:
        return None if text.id == "short" else original(text, sample)

    monkeypatch.setattr(harness, "_text_score", spoil)
    found = sit(path, Paper({"one": TEXTS}, {"items": ITEMS}))
    assert found.unusable == {"heldout/one": Unusable(without=1, of=2)}
    assert (list(found.heldout), list(found.exams)) == ([], ["items"])


def test_a_model_that_overflows_as_served_is_found_out(
    sit: Sit, spoilt: Callable[..., Path], tmp_path: Path, asked: list[str]
) -> None:
    """Its numbers are finite in float32 and exceed what float16 can hold (65,504)."""
    path = spoilt(model__norm__weight=1e6)
    found = sit(path, PAPER, tmp_path / "kept", served="float16")
    assert sorted(found.heldout) == ["one", "two"]
    assert found.unusable == {}
    assert found.as_served == AsServed(dtype="float16", of=3, without=3)
    assert not found.finite_as_served
    assert len(asked) == 6
    assert sit(path, PAPER, tmp_path / "kept", served="float16") == found
    assert len(asked) == 6


def test_a_sound_model_is_finite_as_served(sit: Sit, path: Path) -> None:
    found = sit(path, PAPER, served="bfloat16")
    assert found.as_served == AsServed(dtype="bfloat16", of=3, without=0)
    assert found.finite_as_served
    assert sit(path, PAPER).finite_as_served


def test_a_large_model_is_measured_as_served(
    sit: Sit, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exact = sit(path, PAPER)
    monkeypatch.setattr(sittings, "ANCHORED", 1)
    found = sit(path, PAPER, served="bfloat16")
    assert "in bfloat16 on the CPU" in capsys.readouterr().out
    assert found.as_served is None
    for ours, theirs in zip(found.heldout["one"], exact.heldout["one"], strict=True):
        assert ours.nll != theirs.nll
        assert ours.nll == pytest.approx(theirs.nll, rel=0.05)


def test_finished_parts_are_taken_back(
    sit: Sit, path: Path, tmp_path: Path, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = sit(path, PAPER, tmp_path)
    assert asked == ["read", "read", "answer"]
    (tmp_path / "work" / f"{'d' * 16}.heldout.two").unlink()
    capsys.readouterr()
    assert sit(path, PAPER, tmp_path) == whole
    assert asked[3:] == ["read"]
    out = capsys.readouterr().out
    assert f"resumed: model {'d' * 12} has answered heldout/one, exam/items before" in out


@pytest.mark.parametrize(
    "other",
    [
        Paper({"one": TEXTS[::-1]}, {}),
        Paper({"one": TEXTS[:1]}, {}),
        Paper({"one": [HeldoutText("short", "Fieber!"), TEXTS[1]]}, {}),
    ],
    ids=["order", "number", "tokens"],
)
def test_answers_to_another_paper_are_not_taken_back(
    sit: Sit, path: Path, tmp_path: Path, asked: list[str], other: Paper
) -> None:
    """Even where they are authentic: the recipe of this test does not name the texts."""
    sit(path, Paper({"one": TEXTS}, {}), tmp_path)
    found = sit(path, other, tmp_path)
    assert [text.id for text in found.heldout["one"]] == [text.id for text in other.texts]
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("paper", "named"), [(Paper({"one": TEXTS}, {}), "long"), (Paper({}, {"e": ITEMS}), "a")]
)
def test_lm_eval_is_checked_against_our_own_computation(
    sit: Sit,
    path: Path,
    tmp_path: Path,
    paper: Paper,
    named: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if lm-eval had put a second first token before each text, or cut an option elsewhere."""
    original = agreement.log_likelihood
    monkeypatch.setattr(agreement, "log_likelihood", lambda *args: original(*args) * 1.001)
    with pytest.raises(PolicyError, match=rf"lm-eval gives {named} a likelihood of .* no evidence"):
        sit(path, paper, tmp_path)
    assert not (tmp_path / "work").exists()


def test_memory_that_does_not_suffice_is_said_before_the_start(
    sit: Sit, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bedside_core.memory.available_bytes", lambda: 1000)
    with pytest.raises(InputError, match="examining with 2 sequence"):
        sit(path, PAPER)


@pytest.mark.parametrize(
    "error", [torch.cuda.OutOfMemoryError("CUDA out of memory"), MemoryError()]
)
def test_memory_that_runs_out_names_the_setting(
    sit: Sit, path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr(sittings, "compute_sample", run_out)
    with pytest.raises(InputError, match=r"ran out of memory .* set eval\.batch_size to 1"):
        sit(path, PAPER)
