"""The token that ends a document in the stream of training.

An instruct model's eos_token often ends a *turn* (`<|im_end|>`), while the base model was trained
on documents that end with another (`<|endoftext|>`). Which one is right depends on what the trained
model is for, so it is a setting, and a line at the start says what it came to.

Tested in tests/trainer/data/test_tokens.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from bedside_core.errors import InputError
from bedside_trainer.importing.separators import ENDS_OF_TEXT, separators

SETTING = "trainer.packing.separator"


class Separator(NamedTuple):
    """A token."""

    token: str
    id: int


def find(setting: str, tokenizer: PreTrainedTokenizerBase) -> Separator:
    """What the setting `trainer.packing.separator` means for a tokenizer.

    Raises:
        InputError: the tokenizer has no such token.
    """
    if setting == "eos":
        return Separator(str(tokenizer.eos_token), int(tokenizer.eos_token_id))
    vocabulary = tokenizer.get_vocab()
    wanted = ENDS_OF_TEXT if setting == "end_of_text" else (setting,)
    for token in wanted:
        if token in vocabulary:
            return Separator(token, vocabulary[token])
    known = ", ".join(sorted(map(str, tokenizer.all_special_tokens)))
    raise InputError(
        f"{SETTING} {setting}: the base's tokenizer has none of {', '.join(wanted)} - name one of "
        f"its tokens, for example {known}"
    )


def explain(separator: Separator, tokenizer: PreTrainedTokenizerBase, directory: Path) -> str:
    """A line for the operator: what ends a document, and which ends the base knows besides."""
    others = [
        f"{other['token']} ({other['id']}, {other['from']})"
        for other in separators(tokenizer, directory)
        if other["id"] != separator.id
    ]
    line = f"documents end with {separator.token} ({separator.id})"
    return f"{line}; `{SETTING}` could name {', '.join(others)}" if others else line
