"""A base of random weights tries a config: same proportions, same later steps, never promoted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from bedside_core.config import validate
from bedside_core.errors import ConfigError
from bedside_models.load import load_model, load_tokenizer
from bedside_trainer.config import BaseConfig, Shrink
from bedside_trainer.importing.architecture import parameters, shrunk
from bedside_trainer.importing.verb import import_base

MISTRAL = {
    "architectures": ["MistralForCausalLM"], "model_type": "mistral", "hidden_size": 4096,
    "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 32768, "max_position_embeddings": 32768,
}  # fmt: skip
SECTION = {"directory": "/no/such/model", "licence": "Apache-2.0", "architecture": MISTRAL}


def test_parameters_are_those_of_transformers() -> None:
    build: Any = AutoModelForCausalLM.from_config
    for changes in ({}, {"tie_word_embeddings": True}, {"head_dim": 64}):
        numbers = MISTRAL | changes
        with torch.device("meta"):
            model = build(AutoConfig.for_model(**numbers))
        assert parameters(numbers) == model.num_parameters()


@pytest.mark.parametrize(("queries", "keys"), [(32, 8), (28, 4), (16, 8), (8, 8), (71, 1)])
def test_proportions_stay(queries: int, keys: int) -> None:
    numbers = MISTRAL | {"num_attention_heads": queries, "num_key_value_heads": keys}
    small = shrunk(numbers, Shrink(layers=2, hidden_size=128))
    assert small["num_attention_heads"] * keys == small["num_key_value_heads"] * queries
    assert small["intermediate_size"] / small["hidden_size"] == pytest.approx(3.5)
    assert small["num_hidden_layers"] == 2
    assert parameters(small) < 3_000_000


def test_it_is_imported_marked_and_the_same_again(new_house: Callable[[], Any]) -> None:
    house = new_house()
    config = BaseConfig.model_validate(SECTION | {"shrink": {"layers": 2}})
    run = house.run("trainer", "import-base")
    import_base(config, run)
    base = house.registry.get("test/base")
    facts = base.manifest.facts
    assert facts["random_weights"] is True
    assert facts["architecture"] == "MistralForCausalLM"
    assert facts["context_length"] == 32768
    assert load_model(base.path).config.num_hidden_layers == 2
    assert load_tokenizer(base.path).eos_token == "<|endoftext|>"
    import_base(config, run)
    assert len(house.registry.artifacts()) == 1


def test_it_needs_the_numbers_of_a_model() -> None:
    with pytest.raises(ConfigError, match="shrink needs the numbers"):
        validate(BaseConfig, SECTION | {"architecture": None, "shrink": {}}, "base")
    with pytest.raises(ConfigError, match="hidden_size is missing - copy it from"):
        validate(BaseConfig, SECTION | {"architecture": {"model_type": "mistral"}}, "base")
