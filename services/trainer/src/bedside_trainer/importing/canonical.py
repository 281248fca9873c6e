"""One form for every base: text alone, in transformers' own names, judged, saved and proved.

Whatever a later step does with it, it meets names that it knows and a base that can be saved, as
every base was saved, and loaded again, by the code that saves a checkpoint.

Tested in tests/trainer/importing/test_shapes.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from bedside_core.kinds.model import CONFIG
from bedside_models.load import (
    check_weights,
    load_model,
    load_tokenizer,
    unreadable_as_input_error,
)
from bedside_trainer.importing import conditions
from bedside_trainer.importing.conditions import TRAINER, refusal
from bedside_trainer.importing.directory import Source
from bedside_trainer.importing.headers import NARROW, Header, width
from bedside_trainer.importing.proof import check_same, logits, prove, stored
from bedside_trainer.importing.separators import check_tokenizer
from bedside_trainer.importing.staging import copy_rest, staged
from bedside_trainer.importing.text_stack import text_stack

SHARD = "5GB"
"""Of a weight file; what reads a file whole needs so much memory."""
SHOWN = 8
"""Tensors that the manifest names, of those that nobody reads and that are left behind."""


def convert(source: Source, headers: dict[str, Header], target: Path) -> dict[str, Any]:
    """Make the canonical form of a model directory; holds one copy of the weights in memory.

    The copy is in bfloat16 if the source is, else in float32.

    Returns:
        For the manifest: what was done.

    Raises:
        InputError: transformers cannot load it whole, a weight is no number, or a later step could
            not use it.
    """
    with staged(source) as (stage, repairs):
        check_tokenizer(load_tokenizer(stage), source.read_json(CONFIG))
        judge(text_stack(check_weights(stage)))
        model = load_model(stage, "bfloat16" if width(headers) == NARROW else "float32")
        refuse_two_heads(model)
        text = text_stack(model)
        cast = settle_dtype(text)
        facts: dict[str, Any] = {"cast": cast, "repairs": repairs}
        if text is not model:
            check_same(logits(text), logits(model))
            facts["text_stack_of"] = type(model).__name__
        del model
        save(text, target)
        copy_rest(stage, target)
    kept = set(map(conditions.bare, stored(text)))
    dropped = sorted(name for name in headers if conditions.bare(name) not in kept)
    facts |= {"num_dropped": len(dropped), "dropped": dropped[:SHOWN]}
    return facts | {"proof": prove(text, target)}


def judge(model: PreTrainedModel) -> None:
    """Refuse a text model that a later step could not use; the weights need not be there.

    Raises:
        InputError: names the step.
    """
    name = type(model).__name__
    conditions.judge_architecture(name)
    config = model.config.to_dict() | {"architectures": [name]}
    conditions.judge_config(config)
    conditions.judge_mergeable(config, stored(model).keys())


def refuse_two_heads(model: PreTrainedModel) -> None:
    """VLLM does as config.json says, transformers as the weights are: they must agree.

    Raises:
        InputError: embedding and head are said to be one, and are two.
    """
    any_model: Any = model
    config = any_model.config.get_text_config(decoder=True)
    head, embedding = any_model.get_output_embeddings(), any_model.get_input_embeddings()
    said = config.tie_word_embeddings or any_model.config.tie_word_embeddings
    if said and head is not None and head.weight is not embedding.weight:
        raise refusal(
            conditions.ENGINE,
            "config.json says tie_word_embeddings, but the weights have a head of their own",
            "set tie_word_embeddings to false in config.json if the head is meant",
        )


def settle_dtype(model: PreTrainedModel) -> str:
    """Cast to bfloat16 if that keeps every weight, otherwise leave float32: nothing is lost here.

    Float16 holds more digits than bfloat16, but mostly weights that were made in bfloat16. What
    rounding does cost in the end, the merger measures.

    Returns:
        What was done, for people.

    Raises:
        InputError: a weight is no number.
    """
    exact = True
    for name, tensor in stored(model).items():
        if not torch.isfinite(tensor).all():
            raise refusal(
                TRAINER,
                f"{name} has weights that are no numbers (NaN or infinite)",
                "download it again, or take another model",
            )
        exact = exact and torch.equal(tensor.to(torch.bfloat16).to(tensor.dtype), tensor)
    if model.dtype == torch.bfloat16:
        return "bfloat16, as it came"
    if exact:
        to_bfloat16(model)
        return "to bfloat16, which holds every weight exactly"
    return "float32, as bfloat16 would lose digits"


def to_bfloat16(model: PreTrainedModel) -> None:
    """Cast the weights, and not the frequencies of positions, which stay in float32 when loaded."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16)


def save(model: PreTrainedModel, target: Path) -> None:
    """Weights, `config.json` and generation defaults, as a checkpoint has them.

    Raises:
        InputError: transformers will not save it.
    """
    problem = "transformers cannot save this model, so no checkpoint of it could be written"
    with unreadable_as_input_error(problem):
        model.save_pretrained(target, max_shard_size=SHARD)
