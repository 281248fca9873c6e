"""What is simulated is what torch's own allocator reports of real steps, within two per cent."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch.profiler import ProfilerActivity, profile
from transformers import AutoConfig, PretrainedConfig

from bedside_trainer.config import TrainerConfig
from bedside_trainer.data.order import Order, Stream
from bedside_trainer.data.rows import Row
from bedside_trainer.lora import Lora
from bedside_trainer.parallel.world import alone
from bedside_trainer.plan import simulate
from bedside_trainer.plan.simulate import Work, build, memory_of
from bedside_trainer.step.precision import Compute
from bedside_trainer.step.settings import Step
from bedside_trainer.step.take import OptimizerStep, build_optimizer

QUICK = (Phase.explicit, Phase.generate)
"""Each example is a simulation: none is spent on a smaller counterexample."""
NUMBERS: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 192, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 300, "max_position_embeddings": 512,
}  # fmt: skip


def model(kind: str = "llama", layers: int = 2) -> PretrainedConfig:
    config: PretrainedConfig = AutoConfig.for_model(kind, num_hidden_layers=layers, **NUMBERS)
    return config


def work(tokens: int = 64, **changes: Any) -> Work:
    given: dict[str, Any] = {
        "tokens": tokens, "accumulated": False, "dtype": torch.float32, "gpu": False,
        "settings": Step(),
    }  # fmt: skip
    return Work(**(given | changes))


class Rows:
    """Full rows of random token ids, each a document."""

    def __init__(self, count: int, length: int) -> None:
        self.ids = np.random.default_rng(0).integers(NUMBERS["vocab_size"], size=(count, length))
        self.lengths = np.full(count, length)

    def read(self, row: int) -> Row:
        ids, length = self.ids[row], self.ids.shape[1]
        return Row(ids, ids, np.arange(length), np.array([0, length], np.int32))


def allocated(config: PretrainedConfig, asked: Work, rows: int) -> int:
    """Most bytes that torch had allocated at once in two real steps of so many rows."""
    training = TrainerConfig(batch_size=rows, heldout="none", step=asked.settings)
    data: Any = Rows(2 * rows, asked.tokens)
    order = Order(
        [Stream(range(2 * rows), 2 * rows)], np.ones(2 * rows, np.int64),
        batch_size=rows, num_epochs=1, max_steps=None, seed=0,
    )  # fmt: skip
    gc.collect()  # an earlier model that is freed only now would be taken off what is measured
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        trained = build(config, asked)
        optimizer = build_optimizer(trained, training)
        compute, world = Compute(asked.dtype, sharded=False), alone(torch.device("cpu"))
        step = OptimizerStep.of(trained, optimizer, data, order, training, compute, world)
        for number in range(2):
            step(number, order.step_rows(number), 0, lambda *_: True)
    now = most = 0
    for event in watched.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most


@pytest.mark.parametrize(
    ("kind", "rows", "changes"),
    [
        ("llama", 1, {}),
        ("qwen3", 2, {"settings": Step(activation_checkpointing="full", moments="bfloat16")}),
        ("qwen2", 2, {"settings": Step(activation_checkpointing="selective"),
                      "dtype": torch.bfloat16}),
        ("mistral", 1, {"settings": Step(moments="int8"), "tokens": 16}),
    ],
)  # fmt: skip
def test_a_real_step_takes_what_was_simulated(
    kind: str, rows: int, changes: dict[str, Any]
) -> None:
    asked = work(accumulated=rows > 1, **({"tokens": 128} | changes))
    measured = allocated(model(kind), asked, rows)
    assert memory_of(model(kind), asked).total == pytest.approx(measured, rel=0.02)


@pytest.mark.parametrize(
    ("kind", "accumulated"), [("none", True), ("selective", True), ("full", False)]
)
def test_a_few_layers_tell_of_all(
    kind: Any, accumulated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = work(
        256, accumulated=accumulated, dtype=torch.bfloat16, gpu=True,
        settings=Step(activation_checkpointing=kind),
    )  # fmt: skip
    few = memory_of(model(layers=6), asked)
    monkeypatch.setattr(simulate, "FEW", 6)
    assert few == memory_of(model(layers=6), asked)


def test_layers_that_differ_are_all_simulated() -> None:
    config = AutoConfig.for_model("gemma3_text", num_hidden_layers=6, head_dim=16, **NUMBERS)
    assert len(set(config.layer_types)) == 2
    sizes = [memory_of(config, work(64)).weights]
    assert sizes == [4 * sum(p.numel() for p in build(config, work()).parameters())]


def test_states_are_what_the_types_take() -> None:
    """By hand: float32 weights and gradients, moments of 8, 4 and 2 bytes of a parameter."""
    count = sum(p.numel() for p in build(model(), work()).parameters())
    for moments, size in (("float32", 8), ("bfloat16", 4), ("int8", 2)):
        memory = memory_of(model(), work(settings=Step(moments=moments)))
        assert memory[:3] == (4 * count, 4 * count, size * count), moments


def test_adapters_alone_have_gradients_and_moments() -> None:
    whole = memory_of(model(), work(dtype=torch.bfloat16))
    adapted = memory_of(model(), work(dtype=torch.bfloat16, lora=Lora(rank=4)))
    assert adapted.weights < whole.weights
    assert adapted.moments == 2 * adapted.gradients < whole.moments / 4
    assert adapted.total < whole.total


@settings(max_examples=3, deadline=None, phases=QUICK)
@given(
    tokens=st.integers(8, 200),
    more=st.integers(1, 200),
    kind=st.sampled_from(["none", "selective", "full"]),
)
def test_longer_rows_never_take_less(tokens: int, more: int, kind: Any) -> None:
    asked = work(tokens, settings=Step(activation_checkpointing=kind))
    longer = memory_of(model(), asked._replace(tokens=tokens + more))
    assert longer.total >= memory_of(model(), asked).total


@settings(max_examples=3, deadline=None, phases=QUICK)
@given(shards=st.integers(1, 512), more=st.integers(1, 512))
def test_more_devices_never_take_more_of_each(shards: int, more: int) -> None:
    asked = work(dtype=torch.bfloat16, gpu=True, accumulated=True, shards=shards)
    fewer, many = (
        memory_of(model(), asked),
        memory_of(model(), asked._replace(shards=shards + more)),
    )
    assert all(a <= b for a, b in zip(many, fewer, strict=True))


def test_no_copy_of_all_weights_is_kept_while_activations_are_made_again() -> None:
    """Autocast's cache kept one in bfloat16 to the end of the forward pass: 15 GB of a 7B."""
    short = work(
        8, accumulated=True, dtype=torch.bfloat16, gpu=True,
        settings=Step(activation_checkpointing="full"),
    )  # fmt: skip
    memory = memory_of(model(layers=6), short)
    assert memory.working < memory.weights // 4
