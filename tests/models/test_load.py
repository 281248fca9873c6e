"""A model loads whole or not at all, and says how much it sees, whatever its architecture."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bedside_core.errors import InputError
from bedside_models import load
from bedside_models.load import (
    check_context,
    check_weights,
    dtype_of,
    load_model,
    load_tokenizer,
    stored_dtype,
)
from bedside_models.scores import Dtype

KINDS = ["llama", "gpt2", "mpt", "bloom", "mamba"]
Weights = dict[str, torch.Tensor]


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_model_is_loaded(kind: str, make_model: Callable[..., Path]) -> None:
    path = make_model(kind)
    checked, loaded = check_weights(path), load_model(path)
    assert {parameter.device.type for parameter in checked.parameters()} == {"meta"}
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert checked.num_parameters() == loaded.num_parameters()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_model_is_loaded_in_the_type_that_is_asked_for(
    dtype: Dtype, make_model: Callable[..., Path]
) -> None:
    model = load_model(make_model(), dtype, spread=True)
    assert dtype_of(model) == dtype
    assert {str(parameter.dtype) for parameter in model.parameters()} == {f"torch.{dtype}"}


def test_a_model_is_spread_over_the_gpus_or_refused(
    make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No GPU here: where accelerate puts the parts is played."""
    path, asked = make_model(), []
    places: dict[str, Any] = {"model.embed_tokens": 0, "model.layers.0": 0, "model.layers.1": 1}

    def loaded(path: Path, dtype: Dtype, **options: Any) -> Any:
        asked.append(options)
        return SimpleNamespace(hf_device_map=places)

    monkeypatch.setattr(load, "_load", loaded)
    load_model(path, spread=True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    load_model(path)
    load_model(path, spread=True)
    assert asked == [{}, {}, {"device_map": "auto"}]
    places["lm_head"] = "cpu"
    with pytest.raises(InputError, match=r"1 of 4 parts of the model have no room on the visible"):
        load_model(path, spread=True)


def without_some(weights: Weights) -> None:
    for name in sorted(weights)[-5:]:
        del weights[name]


def with_another(weights: Weights) -> None:
    weights["extra.adapter.weight"] = torch.zeros(3)


def with_a_size(weights: Weights) -> None:
    weights[sorted(weights)[0]] = torch.zeros(2, 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("read", [check_weights, load_model])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_some, r"weight\(s\) missing: [\w.]+, [\w.]+, [\w.]+ and \d more - "),
        (with_another, r"1 weight\(s\) unknown to the architecture: extra\.adapter\.weight - "),
        (with_a_size, r"1 weight\(s\) of another size than the architecture's: [\w.]+ - "),
    ],
)
def test_an_incomplete_model_is_refused_by_its_tensors(
    kind: str,
    read: Callable[[Path], Any],
    change: Callable[[Weights], None],
    words: str,
    make_model: Callable[..., Path],
    edit_model: Callable[..., Path],
) -> None:
    path = edit_model(make_model(kind), change)
    with pytest.raises(InputError, match=words):
        read(path)


@pytest.mark.parametrize(("kind", "limit"), [("llama", 128), ("gpt2", 96), ("mpt", 80)])
def test_the_context_is_found(kind: str, limit: int, make_model: Callable[..., Path]) -> None:
    path = make_model(kind)
    check_context(path, eval__max_length=limit)
    with pytest.raises(InputError) as caught:
        check_context(path, trainer__sequence_length=1, eval__max_length=limit + 1)
    assert f"eval.max_length {limit + 1} is longer than the {limit} tokens" in str(caught.value)
    assert str(caught.value).endswith(f"set it to {limit} or less")


@pytest.mark.parametrize("kind", ["bloom", "mamba"])
def test_a_context_that_nobody_says_can_be_said(kind: str, make_model: Callable[..., Path]) -> None:
    path = make_model(kind)
    with pytest.raises(InputError, match=f'a {kind} model does not say .* "max_position_embed'):
        check_context(path, eval__max_length=16)
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 64}))
    check_context(path, eval__max_length=64)
    load_model(path)
    with pytest.raises(InputError, match="64 or less"):
        check_context(path, eval__max_length=65)


def test_pickled_weights_are_not_loaded(make_model: Callable[..., Path]) -> None:
    path = make_model()
    (path / "model.safetensors").unlink()
    torch.save({}, path / "pytorch_model.bin")
    for read in (check_weights, load_model):
        with pytest.raises(InputError, match="transformers cannot load this model"):
            read(path)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_stored_dtype(
    dtype: str, make_model: Callable[..., Path], edit_model: Callable[..., Path]
) -> None:
    def convert(weights: Weights) -> None:
        for name in weights:
            weights[name] = weights[name].to(getattr(torch, dtype))

    assert stored_dtype(edit_model(make_model(), convert)) == dtype


def test_quantised_weights_are_refused(
    make_model: Callable[..., Path], edit_model: Callable[..., Path]
) -> None:
    def quantise(weights: Weights) -> None:
        for name in weights:
            weights[name] = weights[name].to(torch.int8)

    with pytest.raises(InputError, match="stored as I8"):
        stored_dtype(edit_model(make_model(), quantise))


def test_a_directory_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the tokenizer cannot be read"):
        load_tokenizer(tmp_path)


def test_a_tokenizer_without_an_end(make_model: Callable[..., Path], tmp_path: Path) -> None:
    path = shutil.copytree(make_model(), tmp_path / "none")
    settings = '{"tokenizer_class": "PreTrainedTokenizerFast"}'
    (path / "tokenizer_config.json").write_text(settings)
    with pytest.raises(InputError, match="has no eos_token - name one in tokenizer_config"):
        load_tokenizer(path)
