"""Multiple choice: how likely each option is after the question, and which a model thus chooses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bedside_models.likelihood import log_likelihood


@torch.no_grad()
def log_likelihoods(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    options: Sequence[str],
) -> list[float]:
    """Log-likelihood of each option after the prompt and a blank, in nats.

    Prompt and option are tokenised together, with whatever the tokenizer puts at the start; the
    option's tokens are those beyond the prompt's own number, as lm-eval cuts them.
    """
    start = len(tokenizer.encode(prompt))
    scores = []
    for option in options:
        ids = tokenizer.encode(f"{prompt} {option}")
        scores.append(log_likelihood(model, ids, len(ids) - start))
    return scores


def likeliest(scores: Sequence[float], options: Sequence[str], *, per_character: bool) -> int:
    """Index of the likeliest option, the first of several; per character, length costs nothing."""
    values = [s / len(o) if per_character else s for s, o in zip(scores, options, strict=True)]
    return values.index(max(values))
