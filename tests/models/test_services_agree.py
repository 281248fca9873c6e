"""Trainer, merger and evaluation, each by its own verb, say the same of one model and its texts."""

from __future__ import annotations

import json
import math
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from bedside_core.cli import main
from bedside_core.config import load_document, load_section
from bedside_core.kinds.heldout import read_set
from bedside_core.kinds.model import TOKENIZER, chat_template_sha256, tokenizer_sha256
from bedside_core.kinds.serving import Serving, behaviour_differs, served_identity
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_eval.config import EvalConfig
from bedside_eval.exam import Paper
from bedside_eval.measurement import measure
from bedside_merger.config import MergerConfig
from bedside_trainer.config import TrainerConfig


def report(home: Path, kind: str, name: str) -> dict[str, Any]:
    path = Registry(home).get(f"one/{kind}").file(name)
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def reports(adapted: Path) -> dict[str, dict[str, Any]]:
    home = adapted / "home"
    return {
        "trainer": report(home, "checkpoint", "heldout.json"),
        "merger": report(home, "merged", "export.json")["likelihood"],
        "eval": report(home, "evidence", "evidence.json") | {"results": development(adapted)},
    }


def development(adapted: Path) -> dict[str, Any]:
    """What the evaluation measures on the texts for development, as where it has to choose."""
    config = load_section(EvalConfig, load_document(adapted / "run.yaml"), "eval")
    run = Run("one", "eval", "run", Registry(adapted / "home"), Serving(max_model_len=64))
    models = {kind: run.input(kind) for kind in ("base", "checkpoint", "merged")}
    paper = Paper({"letters": read_set(run.development(), "letters")}, {})
    recipe = run.recipe(config, parents=models)
    found = measure(config, run, recipe, models, paper)
    return {name: scores.model_dump() for name, scores in found.results.items()}


def examined(reports: dict[str, dict[str, Any]], role: str) -> dict[str, dict[str, Any]]:
    """What the evaluation says of the texts for development, which alone all three have read."""
    found = {text["id"]: text for text in reports["eval"]["results"][role]["heldout"]["letters"]}
    return {text["id"]: found[text["id"]] for text in reports["trainer"]["before"]["texts"]}


def test_one_perplexity(reports: dict[str, dict[str, Any]]) -> None:
    trainer, merger = reports["trainer"], reports["merger"]
    base, checkpoint, rounded = (
        math.exp(sum(text["nll"] for text in texts) / sum(text["tokens"] for text in texts))
        for role in ("base", "checkpoint", "merged")
        if (texts := examined(reports, role).values())
    )
    assert trainer["before"]["perplexity"] == pytest.approx(base, rel=1e-6)
    assert trainer["after"]["perplexity"] == pytest.approx(checkpoint, rel=1e-6)
    assert merger["perplexity"]["base"] == pytest.approx(base, rel=1e-6)
    assert merger["perplexity"]["merged_bfloat16"] == pytest.approx(rounded, rel=1e-6)
    assert not math.isclose(base, checkpoint, rel_tol=1e-3)


def test_text_by_text(reports: dict[str, dict[str, Any]]) -> None:
    found = examined(reports, "base").values()
    assert len(found) == 8
    for ours, theirs, probed in zip(
        reports["trainer"]["before"]["texts"], found, reports["merger"]["texts"], strict=True
    ):
        assert (ours["id"], ours["tokens"]) == (theirs["id"], theirs["tokens"])
        assert ours["nll"] == pytest.approx(theirs["nll"], rel=1e-6)
        assert (probed["id"], probed["num_tokens"]) == (ours["id"], ours["tokens"])
        assert probed["base"] == pytest.approx(ours["nll"] / ours["tokens"], rel=1e-6)


def test_one_estimand(reports: dict[str, dict[str, Any]]) -> None:
    estimand = reports["trainer"]["estimand"]
    assert estimand == reports["merger"]["estimand"]
    assert estimand == reports["eval"]["setting"]["estimand"]
    assert estimand["max_length"] == 64
    assert estimand["prefix_token"] == "<end>"


def test_one_description(adapted: Path) -> None:
    registry = Registry(adapted / "home")
    facts = {k: registry.get(f"one/{k}").manifest.facts for k in ("base", "checkpoint", "merged")}
    for key in ("architecture", "num_parameters", "context_length", "tokenizer_sha256",
                "chat_template_sha256"):  # fmt: skip
        assert facts["base"][key] == facts["checkpoint"][key] == facts["merged"][key], key
    assert [facts[k]["dtype"] for k in facts] == ["float32", "float32", "bfloat16"]


def test_a_tokenizer_that_is_saved_again_is_the_same(adapted: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(adapted / "model")
    tokenizer("Fieber", truncation=True, max_length=7)  # leaves its state in the file
    tokenizer.save_pretrained(tmp_path)
    assert (tmp_path / TOKENIZER).read_bytes() != (adapted / "model" / TOKENIZER).read_bytes()
    assert tokenizer_sha256(tmp_path / TOKENIZER) == tokenizer_sha256(adapted / "model" / TOKENIZER)


def test_the_printed_lines_name_what_was_measured(
    adapted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(adapted / "home", tmp_path / "home")
    shutil.copy(adapted / "home.pin", tmp_path / "home.pin")
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    words = "whole texts after `<end>`, windows of 64 tokens, float32"
    # The evaluation first, as it is: another candidate would need other sealed texts.
    for verb, name in (("eval run", "run"), ("trainer run", "again"), ("merger run", "again")):
        assert main([*verb.split(), "--config", str(adapted / f"{name}.yaml")]) == 0
        assert words in capsys.readouterr().out, verb


@pytest.mark.parametrize("name", ["demo", "tiny"])
def test_our_own_configs_give_one_perplexity(name: str, root: Path) -> None:
    document = load_document(root / "configs" / f"{name}.yaml")
    windows = {
        load_section(TrainerConfig, document, "trainer").heldout_max_length,
        load_section(EvalConfig, document, "eval").max_length,
    }
    if probe := load_section(MergerConfig, document, "merger").probe:
        windows.add(probe.max_length)
    assert len(windows) == 1


def test_what_our_steps_make_can_be_served_and_behaves_as_its_base(adapted: Path) -> None:
    registry = Registry(adapted / "home")
    base, *adapted_ones = (registry.get(f"one/{k}") for k in ("base", "checkpoint", "merged"))
    serving = Serving(max_model_len=64)
    assert served_identity(base, serving).dtype == "float32"
    for model in adapted_ones:
        assert behaviour_differs(model, base) == []
    assert served_identity(adapted_ones[0], serving).dtype == "float32"
    assert served_identity(adapted_ones[1], serving).dtype == "bfloat16"


@pytest.mark.parametrize("template", ["{{ messages }}\n", "{{ 'ä' }}"])
def test_the_template_is_the_one_that_transformers_takes(
    adapted: Path, tmp_path: Path, template: str
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(adapted / "model")
    tokenizer.chat_template = template
    for name, own_file in (("old", False), ("new", True)):
        path = tmp_path / name
        tokenizer.save_pretrained(path, save_jinja_files=own_file)
        assert (path / "chat_template.jinja").exists() == own_file
        read = AutoTokenizer.from_pretrained(path).chat_template
        assert chat_template_sha256(path) == sha256(read.encode()).hexdigest()
