from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_models.load import load_model
from bedside_trainer.config import TrainerConfig
from bedside_trainer.loop import batches, build_optimizer, count_steps


def config(**values: object) -> TrainerConfig:
    return TrainerConfig.model_validate({"heldout": "ward", **values})


@given(
    rows=st.integers(1, 40),
    batch_size=st.integers(1, 9),
    epochs=st.integers(1, 3),
    data=st.data(),
)
def test_an_epoch_takes_every_row_once_and_resumes_anywhere(
    rows: int, batch_size: int, epochs: int, data: st.DataObject
) -> None:
    settings = config(batch_size=batch_size, num_epochs=epochs)
    steps = count_steps(rows, settings)
    plan = [(step, chosen.tolist()) for step, chosen in batches(rows, settings, steps)]
    assert [step for step, _ in plan] == list(range(steps))
    per_epoch = steps // epochs
    for epoch in range(epochs):
        taken = [i for _, chosen in plan[epoch * per_epoch :][:per_epoch] for i in chosen]
        assert sorted(taken) == list(range(rows))
    start = data.draw(st.integers(0, steps))
    tail = [(step, c.tolist()) for step, c in batches(rows, settings, steps, start=start)]
    assert tail == plan[start:]


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    settings = config(batch_size=64, num_epochs=2)
    one, two = (chosen for _, chosen in batches(64, settings, 2))
    (_, other), *_ = batches(64, config(batch_size=64, seed=18), 1)
    assert not np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_max_steps_bounds_the_run() -> None:
    assert count_steps(100, config(batch_size=8, num_epochs=2)) == 26
    assert count_steps(100, config(batch_size=8, num_epochs=2, max_steps=5)) == 5
    assert count_steps(100, config(batch_size=8, max_steps=500)) == 13


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


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sequence_length", 1), ("num_epochs", 0), ("batch_size", 0), ("max_steps", 0),
        ("learning_rate", 0), ("learning_rate", math.inf), ("warmup_ratio", 1), ("schedule", 1),
        ("max_grad_norm", 0), ("states", {"every": 0}), ("seed", -1), ("heldout", None),
        ("heldout", "demo/ward"), ("unknown", 1),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=key):
        config(**{key: value})
