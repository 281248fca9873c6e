"""Negative log-likelihood: the training loss, and the perplexity of held-out texts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from pydantic import BaseModel, ConfigDict
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from bedside_core.errors import InputError
from bedside_core.heldout import HeldoutText
from bedside_core.progress import Progress
from bedside_trainer.packing import IGNORED
from bedside_trainer.tokens import token_ids


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TextScore(_Record):
    """One text: `nll` in nats, summed over its `tokens` scored tokens."""

    id: str
    nll: float
    tokens: int


class Scores(_Record):
    """A held-out set under one model."""

    texts: tuple[TextScore, ...]

    @property
    def tokens(self) -> int:
        return sum(text.tokens for text in self.texts)

    @property
    def perplexity(self) -> float:
        """Exponential of the mean negative log-likelihood over all tokens."""
        return math.exp(sum(text.nll for text in self.texts) / self.tokens)

    def summary(self) -> dict[str, Any]:
        """For `heldout.json`."""
        return {"perplexity": self.perplexity, "tokens": self.tokens, **self.model_dump()}


class EncodedText(_Record):
    """A held-out text as token ids, at least two of them."""

    id: str
    ids: tuple[int, ...]


def encode(
    folder: Path, texts: Sequence[HeldoutText], tokenizer: PreTrainedTokenizerBase
) -> list[EncodedText]:
    """Tokenise held-out texts.

    Raises:
        InputError: a text has a single token, so that there is nothing to predict.
    """
    encoded = []
    for text, ids in zip(texts, token_ids([t.text for t in texts], tokenizer), strict=True):
        if len(ids) < 2:
            raise InputError(f"{folder}: {text.id}.txt has only {len(ids)} token - remove it")
        encoded.append(EncodedText(id=text.id, ids=tuple(ids)))
    return encoded


def negative_log_likelihood(
    model: torch.nn.Module, input_ids: Tensor, labels: Tensor
) -> tuple[Tensor, int]:
    """Sum over predicted tokens, in nats and float32, and their number.

    Args:
        model: a Hugging Face causal language model.
        input_ids: token ids, shape (batch, length).
        labels: the same with `IGNORED` where there is padding; position t predicts label t + 1.
    """
    logits = model(input_ids=input_ids, use_cache=False).logits[:, :-1]
    targets = labels[:, 1:]
    total = F.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return total, int((targets != IGNORED).sum())


def windows(ids: Sequence[int], length: int) -> Iterator[Sequence[int]]:
    """Cut a text so that every token but the first is predicted exactly once.

    Neighbouring windows share one token: the last target of one is the first context of the next.
    """
    for start in range(0, len(ids) - 1, length - 1):
        yield ids[start : start + length]


@torch.no_grad()
def measure(
    model: torch.nn.Module,
    texts: Sequence[EncodedText],
    *,
    length: int,
    device: torch.device,
    name: str,
) -> Scores:
    """Score every held-out text; the model is left in evaluation mode."""
    model.eval()
    scores = []
    with Progress(name, total=len(texts), unit="text") as progress:
        for text in texts:
            nll, tokens = 0.0, 0
            for window in windows(text.ids, length):
                row = torch.tensor([window], device=device)
                total, count = negative_log_likelihood(model, row, row)
                nll, tokens = nll + total.item(), tokens + count
            scores.append(TextScore(id=text.id, nll=nll, tokens=tokens))
            progress.update(1)
    return Scores(texts=tuple(scores))
