"""What can end a document: the tokens that a base knows as an end, each with who says so.

The `eos_token` of a model for conversations ends a turn, not a document, so which one separates
documents is a setting of the trainer; here it is only said which there are.

Tested in tests/trainer/importing/test_verb.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from bedside_core.errors import InputError
from bedside_core.kinds.model import CONFIG, GENERATION
from bedside_models.load import unreadable_as_input_error
from bedside_models.texts import TextTokenizer

ENDS_OF_TEXT = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>")
"""The end of a document in GPT-2, Qwen; Llama 3; Llama 2, Mistral; Gemma."""


def separators(tokenizer: PreTrainedTokenizerBase, directory: Path) -> list[dict[str, Any]]:
    """Each candidate once: its `token`, its `id`, and `from` where it is known."""
    found = {tokenizer.eos_token_id: "the tokenizer's eos_token"}
    for name in (GENERATION, CONFIG):
        path = directory / name
        listed = json.loads(path.read_bytes()).get("eos_token_id") if path.is_file() else None
        for number in listed if isinstance(listed, list) else [listed]:
            if isinstance(number, int):
                found.setdefault(number, f"eos_token_id in {name}")
    vocabulary = tokenizer.get_vocab()
    for token in ENDS_OF_TEXT:
        if token in vocabulary:
            found.setdefault(vocabulary[token], "an end of text by its name")
    names = {number: tokenizer.convert_ids_to_tokens(number) for number in found}
    return [
        {"token": names[number], "id": number, "from": why}
        for number, why in found.items()
        if names[number] is not None
    ]


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, config: Mapping[str, Any]) -> None:
    """Refuse a tokenizer that can give a number for which the model has no embedding.

    Control tokens beyond the embeddings (a `[PAD]` that somebody added) are harmless as long as no
    text and no conversation gives them.

    Raises:
        InputError: a plain token, the end of a text or the chat template needs one.
    """
    TextTokenizer(tokenizer)  # refuses one that makes control tokens of text
    rows = config.get("vocab_size") or (config.get("text_config") or {}).get("vocab_size")
    if rows is None:
        return  # the class's own default, which the weights must have
    plain = set(tokenizer.get_vocab().values()) - set(tokenizer.added_tokens_decoder)
    used = [*plain, tokenizer.eos_token_id, *_conversation(tokenizer)]
    if max(used) >= rows:
        raise InputError(
            f"the tokenizer gives token {max(used)}, the model has {rows} - its tokenizer and its "
            "weights do not belong together"
        )


def _conversation(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """One question, as the chat template puts it; nothing without a template."""
    if tokenizer.chat_template is None:
        return []
    with unreadable_as_input_error("the chat template fails on one question - correct it"):
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": "Fieber?"}], tokenize=False, add_generation_prompt=True
        )
        return list(tokenizer.encode(asked, add_special_tokens=False))
