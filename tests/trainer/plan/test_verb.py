"""Shipped configs plan without a model, a corpus or a registry; table 8 lies within the ranges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedside_core.errors import ConfigError, InputError
from bedside_core.registry.registry import Registry
from bedside_trainer.plan.settings import PlanOptions
from bedside_trainer.plan.verb import plan

CONFIGS = Path(__file__).parents[3] / "configs"


def planned(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, config: str, *overrides: str, **asked: Any
) -> dict[str, Any]:
    options = PlanOptions(format="json", **asked)
    plan(CONFIGS / f"{config}.yaml", list(overrides), Registry(tmp_path / "none"), options)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize(
    ("config", "hardware", "devices", "tokens", "hours"),
    [
        ("definemed-mistral-7b", "A100-40", 64, 25_100_000_000, 72),
        ("definemed-qwen2.5-7b", "A100-40", 64, 22_100_000_000, 64),
        ("definemed-mistral-small-24b", "A100-64", 128, 19_200_000_000, 48),
    ],
)
def test_table_8_of_definemed(
    config: str, hardware: str, devices: int, tokens: int, hours: float,
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Tokens and hours as printed; nodes of four share the 24B among all, we among 16."""
    wide = ("trainer.parallel.shard=16",) if "24b" in config else ()
    found = planned(
        capsys, tmp_path, config, *wide, hardware=hardware, devices=devices, tokens=tokens
    )
    (one,) = found["outlooks"]
    assert one["verdict"] != "does not fit", one["advice"]
    low, high = one["hours"]
    assert low <= hours <= high


def test_a_7b_on_one_h200(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By hand: 7.616e9 parameters of 4 + 4 + 4 (bfloat16 moments) bytes are 91.4 GB; the inputs of
    28 layers, float32, of 8,192 tokens are 3.3 GB."""
    found = planned(capsys, tmp_path, "gpu-7b", hardware="H200", devices=1)
    assert found["parameters"] == 7_615_616_512
    (one,) = found["outlooks"]
    memory = one["memory"]
    states = memory["weights"] + memory["gradients"] + memory["moments"]
    assert states == 12 * found["parameters"]
    assert one["verdict"] == "fits"
    assert 3.3e9 + 2 * 2.2e9 < memory["working"] < 15e9
    # Without one of its settings it does not, and the plan names it.
    without = planned(
        capsys, tmp_path, "gpu-7b", "trainer.step.activation_checkpointing=none",
        hardware="H200", devices=1,
    )  # fmt: skip
    (one,) = without["outlooks"]
    assert one["verdict"] == "does not fit"
    assert one["hours"] is None
    assert one["advice"].startswith("set trainer.step.activation_checkpointing to ")


@pytest.mark.parametrize("config", ["parcomed-0.6b", "parcomed-8b"])
def test_amounts_follow_from_the_settings(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """4,320 steps of 1,152 rows of 2,048 tokens, by hand."""
    found = planned(capsys, tmp_path, config, hardware="H100", devices=48)
    assert found["amount"]["tokens"] == 4_320 * 1_152 * 2_048
    assert found["outlooks"][0]["verdict"] == "fits"


def test_the_table_says_what_does_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = Registry(tmp_path / "none")
    plan(CONFIGS / "gpu-7b.yaml", [], registry, PlanOptions(hardware="A100-40", devices=1))
    out = capsys.readouterr().out
    assert "7.616B parameters (qwen2)" in out
    assert "does not fit" in out
    assert "share the model among 4 devices" in out
    assert "a billion tokens, as there is no corpus yet" in out


def test_wrong_questions(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "none")
    with pytest.raises(ConfigError, match="12 devices cannot hold copies of 8"):
        plan(CONFIGS / "gpu-7b.yaml", [], registry, PlanOptions(hardware="H200", devices=12))
    lora = ["trainer.method=lora"]
    with pytest.raises(ConfigError, match="plan it for one device"):
        plan(CONFIGS / "gpu-7b.yaml", lora, registry, PlanOptions(hardware="H200", devices=2))
    with pytest.raises(InputError, match="nothing is known of the base yet"):
        plan(CONFIGS / "gpu-7b.yaml", ["base.architecture=null"], registry, PlanOptions())


def test_here_by_prepared_rows(
    house: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The speed is measured, and the tokens are those that a run then trains on."""
    path = tmp_path / "run.yaml"
    config = house.config().model_dump(mode="json", exclude={"watch", "prices"})
    path.write_text(json.dumps({"name": "test", "trainer": config}), encoding="utf-8")
    plan(path, [], house.registry, PlanOptions(hardware="here", format="json"))
    found = json.loads(capsys.readouterr().out[0:].partition("{")[2].join(["{", ""]))
    house.train()
    manifest = house.registry.get("test/checkpoint").manifest
    assert found["amount"]["tokens"] == manifest.facts["tokens"]
    assert found["amount"]["steps"] == manifest.facts["steps"]
    assert found["outlooks"][0]["verdict"] == "fits"
    assert 0 < found["outlooks"][0]["hours"][0] < 1
