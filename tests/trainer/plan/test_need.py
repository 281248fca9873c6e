"""What does not fit is refused before it begins, with settings that do fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import AutoConfig

from bedside_core.errors import InputError
from bedside_core.memory import gib
from bedside_trainer.config import TrainerConfig
from bedside_trainer.plan.need import Need

MODEL = AutoConfig.for_model(
    "llama", num_hidden_layers=2, hidden_size=64, intermediate_size=192, num_attention_heads=4,
    num_key_value_heads=2, vocab_size=300, max_position_embeddings=2048,
)  # fmt: skip


def need(*, shards: int | None = None, processes: int = 1, **changes: Any) -> Need:
    values: dict[str, Any] = {"sequence_length": 512, "batch_size": 8, "heldout": "ward"}
    config = TrainerConfig.model_validate(values | changes)
    return Need(MODEL, config, 512, torch.float32, gpu=False, shards=shards, processes=processes)


@pytest.mark.parametrize(
    ("setting", "processes", "rows", "accumulated"),
    [
        (None, 1, 1, True), (511, 1, 1, True), (1024, 1, 2, True), (4096, 1, 8, False),
        (9999, 1, 8, False), (None, 8, 1, False), (4096, 3, 3, False), (1024, 3, 2, True),
    ],
)  # fmt: skip
def test_the_micro_batch_is_that_of_the_step(
    setting: int | None, processes: int, rows: int, accumulated: bool
) -> None:
    found = need(processes=processes, step={"micro_batch_tokens": setting})
    assert (found.rows, found.of_each > found.rows) == (rows, accumulated)


def test_what_is_advised_fits_and_changes_as_little_as_can_be() -> None:
    all_rows = need(step={"micro_batch_tokens": 4096})
    fitting = need(step={"micro_batch_tokens": 2048}).memory.total
    assert all_rows.remedy(fitting) == [("step.micro_batch_tokens", 2048)]
    with pytest.raises(InputError) as caught, all_rows.granted(fitting):
        pytest.fail("begun")
    assert str(caught.value) == (
        f"training with 8 sequence(s) of 512 tokens at once needs at least "
        f"{gib(all_rows.memory.total)} of memory, {gib(fitting)} are available - set "
        "trainer.step.micro_batch_tokens to 2048"
    )
    with need(step={"micro_batch_tokens": 2048}).granted(fitting):
        pass


def test_remedies_in_their_order() -> None:
    """What is learned changes last."""
    one = need()
    full = one.changed({"step.activation_checkpointing": "full"})
    small = full.changed({"step.moments": "int8"})
    short = small.changed({"sequence_length": 256})
    assert one.memory > full.memory
    assert one.remedy(full.memory.total) == [("step.activation_checkpointing", "full")]
    assert one.remedy(small.memory.total) == [
        ("step.activation_checkpointing", "full"), ("step.moments", "int8"),
    ]  # fmt: skip
    assert (short.longest, one.remedy(short.memory.total)) == (256, [
        ("step.activation_checkpointing", "full"), ("step.moments", "int8"),
        ("sequence_length", 256),
    ])  # fmt: skip
    adapted = short.changed({"method": "lora"})
    lora = one.remedy(adapted.memory.total)
    assert lora is not None
    assert dict(lora)["method"] == "lora"
    assert one.changed(dict(lora)).memory.total <= adapted.memory.total < short.memory.total


def test_where_no_setting_helps() -> None:
    advice = need().advice(1)
    assert advice.startswith("no setting makes it fit, weights, gradients and moments alone take ")
    assert advice.endswith(": use a machine with more memory, or a smaller model")
    on_gpu = replace(need(), gpu=True)
    assert "such GPUs or more, or a smaller model" in on_gpu.advice(1)


def test_memory_that_runs_out_all_the_same() -> None:
    wanted = need(step={"micro_batch_tokens": 4096})
    advice = r"set trainer\.step\.micro_batch_tokens to 2048"
    with pytest.raises(InputError, match=advice), wanted.granted(None):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
