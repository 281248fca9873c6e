"""The time of a step follows from what was measured on fewer layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig

from bedside_trainer.config import TrainerConfig
from bedside_trainer.plan import speed
from bedside_trainer.plan.need import Need
from bedside_trainer.plan.speed import Seconds, seconds_per_step

CPU = torch.device("cpu")


def need(layers: int) -> Need:
    model = AutoConfig.for_model(
        "llama", num_hidden_layers=layers, hidden_size=32, intermediate_size=64,
        num_attention_heads=2, num_key_value_heads=1, vocab_size=64, max_position_embeddings=64,
    )  # fmt: skip
    config = TrainerConfig(sequence_length=64, batch_size=8, heldout="ward")
    return Need(model, config, 64, torch.float32, gpu=False)


def test_one_and_three_layers_tell_of_seven(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: passes of 2 and 4 s make 8 s, updates of 1 and 2 s make 4 s; a step has 8 passes."""
    measured = {1: Seconds(2.0, 1.0), 3: Seconds(4.0, 2.0)}
    monkeypatch.setattr(speed, "_measured", lambda config, *_: measured[config.num_hidden_layers])
    assert seconds_per_step(need(7), CPU) == pytest.approx(8 * 8 + 4)


@pytest.mark.parametrize("most", [2e11, 1e6])
def test_a_real_measurement(most: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a pass is too long to be measured whole."""
    monkeypatch.setattr(speed, "MOST", {"cpu": most})
    found: Any = seconds_per_step(need(2), CPU)
    assert 0 < found < 60
