"""The papers' configs and the hospital's: they check without the model, and run shrunk."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from bedside_core.cli import main
from bedside_core.kinds.milestones import milestones
from bedside_core.kinds.policy import read_policy
from bedside_core.registry.registry import Registry
from bedside_trainer.importing.architecture import parameters

PARAMETERS = {
    "definemed-mistral-7b": 7.25e9, "definemed-qwen2.5-7b": 7.62e9,
    "definemed-mistral-small-24b": 23.6e9, "parcomed-0.6b": 0.596e9, "parcomed-1.7b": 1.72e9,
    "parcomed-4b": 4.02e9, "parcomed-8b": 8.19e9, "gpu-7b": 7.62e9, "finemed-de-ablation": 7.62e9,
}  # fmt: skip
"""As the models' cards have them."""
TOKENS = {"mistral-7b": 25.1e9, "qwen2.5-7b": 22.1e9, "mistral-small-24b": 19.2e9}
"""DeFineMed's table 8."""
UNPUBLISHED = {
    "definemed": (
        "sequence_length",
        "learning_rate",
        "warmup_steps",
        "weight_decay",
        "max_grad_norm",
    ),
    "parcomed": ("weight_decay", "max_grad_norm"),
}
UNPUBLISHED["finemed"] = UNPUBLISHED["definemed"]
SMALL = (
    "base.shrink.layers=2", "trainer.sequence_length=128", "trainer.batch_size=2",
    "trainer.max_steps=2", "trainer.heldout=medical_de", "trainer.heldout_max_length=128",
    "trainer.milestones={every: 1, choose: likelihood, publish: all}",
    "eval.policy=configs/policies/demo.yaml", "eval.exams={}", "eval.groups={}",
    "eval.max_length=128",
    "eval.heldout={medical_de: demo/heldout/medical_de, general_de: demo/heldout/general_de, "
    "general_en: demo/heldout/general_en}",
)  # fmt: skip
"""What makes a run of minutes, on the demo's texts."""


def read(root: Path, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((root / "configs" / f"{name}.yaml").read_text())
    return loaded


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path / "model.safetensors")


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_setting_is_known_and_the_base_may_be_absent(
    name: str,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEDSIDE_CHECK", "settings")
    config = str(root / "configs" / f"{name}.yaml")
    assert main(["check", "--config", config]) == 0
    monkeypatch.setenv("BEDSIDE_CHECK", "files")
    main(["check", "trainer", "--config", config])
    assert "base not present" in capsys.readouterr().out
    numbers = read(root, name)["base"]["architecture"]
    assert parameters(numbers) == pytest.approx(PARAMETERS[name], rel=5e-3)


@pytest.mark.parametrize("model", TOKENS)
def test_steps_and_tokens_are_those_of_table_8(model: str, root: Path) -> None:
    trainer = read(root, f"definemed-{model}")["trainer"]
    per_step = trainer["sequence_length"] * trainer["batch_size"]
    assert per_step == 2**23
    assert trainer["max_steps"] * per_step == pytest.approx(TOKENS[model], rel=0.01)


@pytest.mark.parametrize("name", [n for n in PARAMETERS if n != "gpu-7b"])
def test_what_a_paper_does_not_print_is_marked(name: str, root: Path) -> None:
    lines = (root / "configs" / f"{name}.yaml").read_text().splitlines()
    for setting in UNPUBLISHED[name.partition("-")[0]]:
        (line,) = [line for line in lines if re.match(rf" +{setting}:", line)]
        assert "# not published; from " in line


@pytest.mark.parametrize(
    ("name", "corpus"),
    [
        ("definemed-mistral-7b", "finemed-de"),
        ("definemed-qwen2.5-7b", "finemed-de"),
        ("parcomed-0.6b", "parcomed"),
    ],
)
def test_a_shrunk_run_goes_through(
    name: str, corpus: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    assert main(["registry", "init"]) == 0
    registry = Registry(tmp_path / "home")
    registry.approve(read_policy(root / "configs/policies/demo.yaml"), "test")
    built = {"name": corpus, "corpus": read(root, "tiny")["corpus"]}
    (tmp_path / "corpus.yaml").write_text(yaml.safe_dump(built))
    assert main(["corpus", "build", "--config", str(tmp_path / "corpus.yaml")]) == 0
    options = ["--config", f"configs/{name}.yaml", *(f"--set={setting}" for setting in SMALL)]
    for verb in ("trainer import-base", "eval plan", "corpus build", "trainer run", "merger run"):
        assert main([*verb.split(), *options]) == 0, verb
    run = read(root, name)["name"]
    assert registry.get(f"{run}/base").manifest.facts["random_weights"]
    merged = registry.get(f"{run}/merged")
    assert merged.manifest.facts["num_parameters"] < 1_000_000
    assert registry.slot(run, "corpus") == registry.slot(corpus, "corpus")
    for slot in ("corpus", "checkpoint", "merged"):
        assert registry.get(f"{run}/{slot}").manifest.facts["purpose"] == "commercial"

    # The trajectory is there, to be averaged or merged from a step that is named.
    trajectory = milestones(registry.get(f"{run}/checkpoint").path)
    assert list(trajectory) == [1, 2]
    first, last = (weights(path) for path in trajectory.values())
    for merge, mean in (
        ("preset: average", 0.5),
        ("method: passthrough, models: [{model: checkpoint/milestones/step-1}]", 0),
    ):
        setting = f"--set=merger={{{merge}, dtype: float32}}"
        assert main(["merger", "run", *options, setting]) == 0
        for name, value in weights(registry.get(f"{run}/merged").path).items():
            torch.testing.assert_close(value, first[name] + mean * (last[name] - first[name]))


def test_the_ablation_differs_in_its_texts_alone_and_goes_through(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, twin = read(root, "finemed-de-ablation"), read(root, "definemed-qwen2.5-7b")
    for section in ("base", "trainer", "merger", "eval"):
        assert mine[section] == twin[section], section
    monkeypatch.chdir(root)
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    assert main(["registry", "init"]) == 0
    registry = Registry(tmp_path / "home")
    registry.approve(read_policy(root / "configs/policies/demo.yaml"), "test")
    crawl = read(root, "tiny")["corpus"] | {"medical_filter": None}
    medical = {"existing": "finemed-de-crawl", "sample": {"words": 3000, "seed": 9}}
    for name, corpus in (("finemed-de-crawl", crawl), ("finemed-de", medical)):
        (tmp_path / "corpus.yaml").write_text(yaml.safe_dump({"name": name, "corpus": corpus}))
        assert main(["corpus", "build", "--config", str(tmp_path / "corpus.yaml")]) == 0
    config = "configs/finemed-de-ablation.yaml"
    options = ["--config", config, *(f"--set={setting}" for setting in SMALL)]
    for verb in ("trainer import-base", "eval plan", "corpus build", "trainer run"):
        assert main([*verb.split(), *options]) == 0, verb
    words = [
        registry.get(f"{run}/corpus").manifest.facts["words"]
        for run in ("finemed-de-ablation", "finemed-de")
    ]
    assert words[0] == pytest.approx(words[1], rel=0.05)
    assert registry.slot("finemed-de-ablation", "corpus") != registry.slot("finemed-de", "corpus")
    assert list(milestones(registry.get("finemed-de-ablation/checkpoint").path)) == [1, 2]
