from __future__ import annotations

import math
from pathlib import Path

import pytest

from bedside_models.load import load_model
from bedside_trainer.config import TrainerConfig
from bedside_trainer.step.take import build_optimizer, step_seed


def config(**values: object) -> TrainerConfig:
    return TrainerConfig.model_validate({"heldout": "ward", **values})


def test_norms_and_biases_are_not_decayed(model_directory: Path) -> None:
    model = load_model(model_directory)
    optimizer = build_optimizer(model, config(weight_decay=0.1))
    decay = {
        id(parameter): group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    for name, parameter in model.named_parameters():
        assert decay[id(parameter)] == (0.0 if "norm" in name else 0.1), name
    assert optimizer.param_groups[0]["betas"] == (0.9, 0.95)


def test_steps_and_processes_have_seeds_of_their_own() -> None:
    seeds = {step_seed(seed, step, rank) for seed in (1, 2) for step in (0, 1) for rank in (0, 1)}
    assert len(seeds) == 8


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sequence_length", 1), ("num_epochs", 0), ("batch_size", 0), ("max_steps", 0),
        ("learning_rate", 0), ("learning_rate", math.inf), ("warmup_ratio", 1), ("schedule", 1),
        ("max_grad_norm", 0), ("states", {"every": 0}), ("seed", -1), ("heldout", None),
        ("heldout", "demo/ward"), ("packing", {"overlap": 2048}), ("mix", {"a": -1}),
        ("device", "tpu"), ("step", {"moments": "int4"}), ("unknown", 1),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=key):
        config(**{key: value})
