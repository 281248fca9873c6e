"""What the rounding costs in likelihood: the same held-out texts under several models.

Tested in tests/merger/test_run.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedside_core.heldout import HeldoutText
from bedside_models.likelihood import encode, measure
from bedside_models.load import load_model, load_tokenizer
from bedside_models.scores import Scores


@dataclass(frozen=True, slots=True)
class Likelihood:
    """The same texts under several models."""

    scores: dict[str, Scores]
    """By model."""

    def perplexities(self) -> str:
        """For the terminal: what was measured, then each model's number."""
        first = next(iter(self.scores.values()))
        values = ", ".join(f"{name} {s.perplexity:.2f}" for name, s in self.scores.items())
        number = len(first.texts)
        return f"held-out perplexity of {number} texts ({first.estimand}): {values}"

    def report(self) -> dict[str, Any]:
        """For `export.json`: per model, then per text in nats per token."""
        first = next(iter(self.scores.values()))
        return {
            "estimand": first.estimand.model_dump(),
            "num_texts": len(first.texts),
            "num_tokens": first.tokens,
            "perplexity": {name: scores.perplexity for name, scores in self.scores.items()},
            "nll_per_token": {name: scores.nll_per_token for name, scores in self.scores.items()},
            "texts": [
                {"id": text.id, "num_tokens": text.tokens}
                | {name: scores.texts[i].nll_per_token for name, scores in self.scores.items()}
                for i, text in enumerate(first.texts)
            ],
        }


def compare(
    models: Mapping[str, Path], tokenizer: Path, texts: Sequence[HeldoutText], max_length: int
) -> Likelihood:
    """Measure every text under every model, one model in memory at a time.

    Raises:
        InputError: a text has no token, or a model cannot be loaded whole.
    """
    encoded = encode(texts, load_tokenizer(tokenizer))
    return Likelihood(
        {
            name: measure(load_model(path), encoded, length=max_length, name=f"probe {name}")
            for name, path in models.items()
        }
    )
