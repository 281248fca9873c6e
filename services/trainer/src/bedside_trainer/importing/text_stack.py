"""The text model inside one that also sees images (MedGemma, Mistral-Small 3.1).

Tested in tests/trainer/importing/test_shapes.py.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoModelForCausalLM, PreTrainedModel

from bedside_trainer.importing.conditions import TRAINER, refusal

SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id")


def text_stack(model: PreTrainedModel) -> PreTrainedModel:
    """The decoder and its head as a model of their own, sharing the weights; text-only ones as is.

    Raises:
        InputError: transformers has no class for the decoder alone.
    """
    whole: Any = model
    config = whole.config.get_text_config(decoder=True)
    if config is whole.config:
        return model
    decoder, head = whole.get_decoder(), whole.get_output_embeddings()
    name = type(model).__name__
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise refusal(
            TRAINER, f"transformers has no text model of {name} alone", "take its text-only variant"
        )
    config.tie_word_embeddings = head.weight is whole.get_input_embeddings().weight
    for field in SPECIAL:
        if getattr(config, field, None) is None:
            setattr(config, field, getattr(model.config, field, None))
    build: Any = AutoModelForCausalLM.from_config
    with torch.device("meta"):
        text = build(config)
    if type(text.get_decoder()) is not type(decoder):
        raise refusal(
            TRAINER,
            f"the text model of {name} is no {type(text).__name__}",
            "take its text-only variant",
        )
    setattr(text, text.base_model_prefix, decoder)
    text.set_output_embeddings(head)
    text.generation_config = whole.generation_config
    assert isinstance(text, PreTrainedModel)  # noqa: S101 - what from_config returns
    return text
