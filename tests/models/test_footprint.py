"""Too little memory is exit 3 with the need, what there is and the setting that fits."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, MistralConfig, PretrainedConfig, Qwen2Config

from bedside_core.errors import InputError
from bedside_core.memory import gib
from bedside_models import footprint
from bedside_models.footprint import Demand, Shape, read_shape
from bedside_models.load import load_model
from bedside_models.scores import Dtype

SHAPE = Shape(parameters=10**6, vocabulary=1000, hidden=64)


def demand(batch: int, length: int) -> Demand:
    return Demand(
        "training",
        SHAPE.scoring,
        ("trainer.batch_size", batch),
        ("trainer.sequence_length", length),
    )


@given(batch=st.integers(1, 99), length=st.integers(2, 5000), available=st.integers(0, 10**11))
def test_what_is_advised_fits(batch: int, length: int, available: int) -> None:
    advice = demand(batch, length).fitting(available)
    words = advice.replace(",", "").split()
    if advice.startswith("set trainer.batch_size to 1 and"):
        assert SHAPE.scoring(int(words[7])) <= available < SHAPE.scoring(length)
    elif advice.startswith("set"):
        fits = int(words[3])
        assert SHAPE.scoring(fits * length) <= available
        assert fits == batch or SHAPE.scoring((fits + 1) * length) > available
    else:
        assert SHAPE.scoring(1) > available


def test_work_that_cannot_fit_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "room", lambda **_: SHAPE.scoring(3 * 512))
    with demand(3, 512).granted():
        pass
    with pytest.raises(InputError) as caught, demand(8, 512).granted():
        pytest.fail("begun")
    need, room = gib(SHAPE.scoring(8 * 512)), gib(SHAPE.scoring(3 * 512))
    assert str(caught.value) == (
        f"training with 8 sequence(s) of 512 tokens at once needs at least {need} of memory, "
        f"{room} are available - set trainer.batch_size to 3 or less"
    )


def test_memory_that_runs_out_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "room", lambda **_: None)
    with (
        pytest.raises(InputError, match=r"ran out of memory \(.*set trainer.batch_size to 4, or"),
        demand(8, 512).granted(),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    with (
        pytest.raises(InputError, match=r"set trainer.sequence_length to 256, or"),
        demand(1, 512).granted(),
    ):
        raise MemoryError


LARGE: dict[str, tuple[PretrainedConfig, int]] = {
    "Qwen2.5-7B": (
        Qwen2Config(
            hidden_size=3584, intermediate_size=18944, num_hidden_layers=28, vocab_size=152064,
            num_attention_heads=28, num_key_value_heads=4, tie_word_embeddings=False,
        ),
        7_615_616_512,
    ),
    "Mistral-7B": (
        MistralConfig(
            hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, vocab_size=32768,
            num_attention_heads=32, num_key_value_heads=8, tie_word_embeddings=False,
        ),
        7_248_023_552,
    ),
    "Mistral-Small-24B": (
        MistralConfig(
            hidden_size=5120, intermediate_size=32768, num_hidden_layers=40, vocab_size=131072,
            num_attention_heads=32, num_key_value_heads=8, head_dim=128, tie_word_embeddings=False,
        ),
        23_572_403_200,
    ),
}  # fmt: skip
"""Shapes as published with the models, and the parameters that follow."""
CARD = 80 * 2**30


@pytest.mark.parametrize(
    ("name", "dtype", "gigabytes", "cards"),
    [
        ("Qwen2.5-7B", "float32", 30, 1), ("Qwen2.5-7B", "bfloat16", 15, 1),
        ("Mistral-7B", "float32", 29, 1), ("Mistral-7B", "float16", 14, 1),
        ("Mistral-Small-24B", "float32", 94, 2), ("Mistral-Small-24B", "bfloat16", 47, 1),
    ],
)  # fmt: skip
def test_large_models_are_planned_by_their_config(
    name: str, dtype: Dtype, gigabytes: int, cards: int
) -> None:
    config, parameters = LARGE[name]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert model.num_parameters() == parameters
    shape = Shape(parameters, config.vocab_size, config.hidden_size)
    need = shape.scoring(4 * 1024, dtype)
    assert need // 10**9 == pytest.approx(
        gigabytes + 4 * 1024 * config.vocab_size * 8 // 10**9, abs=1
    )
    assert footprint.devices_needed(need, CARD) == cards


def test_a_model_may_take_several_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU here: two are played."""
    monkeypatch.setattr(footprint, "gpus", lambda: [5 * 2**20, 4 * 2**20])
    assert (footprint.room(), footprint.room(spread=True)) == (5 * 2**20, 9 * 2**20)
    one = demand(1, 2)._replace(need=SHAPE.scoring)
    with one._replace(spread=True).granted():
        pass
    alone = one._replace(need=lambda tokens: 13 * 2**20)
    for work, advice in (
        (alone, "use a machine with more memory"),
        (alone._replace(spread=True), "use 3 such GPUs or a smaller model"),
    ):
        with pytest.raises(InputError, match=advice), work.granted():
            pytest.fail("begun")


def test_the_shape_is_the_models(make_model: Callable[..., Path]) -> None:
    for kind in ("llama", "gpt2", "bloom", "mamba", "mpt"):
        path = make_model(kind)
        shape = read_shape(path)
        assert shape.parameters == load_model(path).num_parameters()
        assert (shape.vocabulary, shape.hidden) == (260, 32), kind


# Everything that is loaded lazily is loaded before the limit is set.
PROGRAM = """
import resource, sys, torch
from pathlib import Path
from bedside_core import cli, memory
from bedside_models import describe, footprint, load
import bedside_trainer.loop, bedside_trainer.report, bedside_trainer.data.prepare
import bedside_trainer.plan.need
import bedside_eval.harness, bedside_merger.export, bedside_merger.probe, bedside_merger.stream
torch.set_num_threads(1)
load.load_model(Path({model!r}))(torch.zeros(1, 4).long()).logits.sum().backward()
load.load_tokenizer(Path({model!r}))("x")
{patch}
size = memory._fields(Path("/proc/self/status"))["VmSize"] * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + {room} * 2**20, resource.RLIM_INFINITY))
sys.exit(cli.main({words!r}))
"""
BLIND = "footprint.room = lambda **_: None"


def limited(
    verb: str, here: Path, room: int, *, patch: str = ""
) -> subprocess.CompletedProcess[str]:
    """A verb under a real limit of `room` MiB more than the process has."""
    words = [*verb.split(), "--config", str(here / "run.yaml")]
    program = PROGRAM.format(model=str(here / "model"), words=words, room=room, patch=patch)
    environment = os.environ | {"BEDSIDE_HOME": str(here / "home"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("verb", "sentence", "advice", "room"),
    [
        (
            "trainer run",
            "training with 8 sequence(s) of 128 tokens",
            "set trainer.step.micro_batch_tokens to ",
            300,
        ),
        ("eval run", "examining with 8 sequence(s) of 128 tokens", "set eval.batch_size to 4", 200),
    ],
)
def test_a_verb_under_a_real_limit(
    verb: str, sentence: str, advice: str, room: int, wide: Path
) -> None:
    refused = limited(verb, wide, room)
    assert refused.returncode == 3, refused.stderr
    assert f"bedside: {sentence} at once needs at least 0." in refused.stderr
    assert advice.rpartition(" ")[0] in refused.stderr
    # The same, if nobody had estimated: the allocator itself refuses.
    out = limited(verb, wide, room, patch=BLIND)
    assert out.returncode == 3, out.stderr
    assert f"bedside: {sentence} at once ran out of memory (it needs about 0." in out.stderr
    assert f"are left) - {advice}" in out.stderr
    assert "Traceback" not in refused.stderr + out.stderr
    assert list((wide / "home" / "tmp").iterdir()) == []
