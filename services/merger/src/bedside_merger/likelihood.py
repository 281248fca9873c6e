"""What the rounding costs in likelihood: the same held-out texts under several models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bedside_core.errors import InputError
from bedside_core.heldout import HeldoutText
from bedside_core.progress import Progress

MAX_TOKENS = 512
"""Of each text; the rest is not measured."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Negative log-likelihoods in nats, by model."""

    tokens: dict[str, int]
    """Predicted tokens (all but the first) by text id."""
    sums: dict[str, dict[str, float]]
    """Sum over a text's predicted tokens, by model and text id."""

    def per_token(self, model: str) -> float:
        """Mean over all predicted tokens of all texts."""
        return sum(self.sums[model].values()) / sum(self.tokens.values())

    def report(self) -> dict[str, Any]:
        return {
            "max_tokens_per_text": MAX_TOKENS,
            "num_texts": len(self.tokens),
            "num_tokens": sum(self.tokens.values()),
            "nll_per_token": {model: self.per_token(model) for model in self.sums},
            "texts": [
                {"id": text, "num_tokens": count}
                | {model: sums[text] / count for model, sums in self.sums.items()}
                for text, count in self.tokens.items()
            ],
        }


def compare(
    models: Mapping[str, Path], tokenizer: Path, texts: Sequence[HeldoutText]
) -> Likelihood:
    """Measure every text under every model, in float32 arithmetic, one model in memory at a time.

    Raises:
        InputError: a text has fewer than two tokens; the message names it.
    """
    encode = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
    encoded = {t.id: encode(t.text, truncation=True, max_length=MAX_TOKENS) for t in texts}
    ids = {name: torch.tensor([item["input_ids"]]) for name, item in encoded.items()}
    for name, tokens in ids.items():
        if tokens.shape[1] < 2:
            raise InputError(f"held-out text {name}: fewer than two tokens - nothing to predict")
    sums: dict[str, dict[str, float]] = {}
    total = len(models) * len(ids)
    with Progress("probe likelihood", total=total, unit="text") as progress, torch.no_grad():
        for label, directory in models.items():
            model = AutoModelForCausalLM.from_pretrained(
                directory, dtype=torch.float32, local_files_only=True, use_safetensors=True
            )
            sums[label] = {}
            for name, tokens in ids.items():
                sums[label][name] = _nll(model, tokens)
                progress.update()
    return Likelihood({name: tokens.shape[1] - 1 for name, tokens in ids.items()}, sums)


def _nll(model: Any, tokens: torch.Tensor) -> float:
    logits = model(tokens).logits[0, :-1].float()
    return float(torch.nn.functional.cross_entropy(logits, tokens[0, 1:], reduction="sum"))
