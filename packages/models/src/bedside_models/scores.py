"""How well a model predicted held-out texts: the records, and what exactly was measured.

No torch here: what only reads scores need not load it.

Tested in tests/models/test_likelihood.py.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_LENGTH = 1024
"""The window that trainer, merger and evaluation take by default, so that their numbers are one."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Estimand(_Record):
    """What a perplexity is of. Two are the same number only if these are equal.

    Every token of a text is predicted exactly once, the first of them from a prefix token, in
    windows of `max_length` tokens that start at the text's beginning. The last window is filled up
    with the tokens before it, which are context there and not scored again.
    """

    measure: Literal["negative log-likelihood of the whole text"] = (
        "negative log-likelihood of the whole text"
    )
    unit: Literal["nats"] = "nats"
    prefix_token: str
    """What stands before every text: the tokenizer's bos_token, else its eos_token."""
    max_length: int
    """Tokens that the model sees at once."""
    dtype: Literal["float32"] = "float32"
    """Of weights and arithmetic, whatever the weights are stored in."""

    def __str__(self) -> str:
        return (
            f"whole texts after `{self.prefix_token}`, windows of {self.max_length} tokens, "
            f"{self.dtype}"
        )


class TextScore(_Record):
    """How a model predicted one held-out text."""

    id: str
    tokens: int = Field(ge=1)
    """Of the text, without the prefix; each was predicted once."""
    nll: float
    """Negative log-likelihood of the whole text in nats."""

    @property
    def nll_per_token(self) -> float:
        return self.nll / self.tokens


class Scores(_Record):
    """A held-out set under one model."""

    estimand: Estimand
    texts: tuple[TextScore, ...]

    @property
    def tokens(self) -> int:
        return sum(text.tokens for text in self.texts)

    @property
    def nll_per_token(self) -> float:
        """Mean over all tokens of all texts: a long text weighs more than a short one."""
        return sum(text.nll for text in self.texts) / self.tokens

    @property
    def perplexity(self) -> float:
        return math.exp(self.nll_per_token)

    def summary(self) -> dict[str, Any]:
        """For an artifact's report, which names the estimand once."""
        texts = self.model_dump(exclude={"estimand"})
        return {"perplexity": self.perplexity, "tokens": self.tokens, **texts}
