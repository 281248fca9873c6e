"""Multiple choice: how likely each option is after the question, and which a model thus chooses."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bedside_core.kinds.exam import ChoiceItem
from bedside_models.likelihood import log_likelihood


def cut(
    tokenizer: PreTrainedTokenizerBase, question: str, endings: Sequence[str]
) -> tuple[list[int], list[list[int]]]:
    """Token ids of the question, and of each ending after it.

    Both are tokenised together, with whatever the tokenizer puts at the start. Where a token spans
    question and ending, the question stops before it, for all endings alike: each is then scored
    after the same tokens. Otherwise this is lm-eval's cut.
    """
    wholes = [tokenizer.encode(f"{question}{ending}") for ending in endings]
    columns = zip(tokenizer.encode(question), *wholes, strict=False)
    common = sum(1 for _ in takewhile(lambda ids: len(set(ids)) == 1, columns))
    return wholes[0][:common], [whole[common:] for whole in wholes]


@torch.no_grad()
def log_likelihoods(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    options: Sequence[str],
) -> list[float]:
    """Log-likelihood of each option after the prompt and a blank, in nats; see `cut`."""
    context, endings = cut(tokenizer, prompt, [f" {option}" for option in options])
    return [log_likelihood(model, [*context, *ending], len(ending)) for ending in endings]


def answer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, item: ChoiceItem) -> int:
    """Index of the option that is likeliest per character: the choice of lm-eval's `acc_norm`."""
    scores = log_likelihoods(model, tokenizer, item.prompt, item.options)
    return likeliest(scores, item.options, per_character=True)


def likeliest(scores: Sequence[float], options: Sequence[str], *, per_character: bool) -> int:
    """Index of the likeliest option, the first of several; per character, length costs nothing."""
    values = [s / len(o) if per_character else s for s, o in zip(scores, options, strict=True)]
    return values.index(max(values))
