"""How well a model predicted held-out texts: the records, and what exactly was measured.

No torch here: what only reads scores need not load it.

Tested in tests/models/test_likelihood.py.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Dtype = Literal["float32", "bfloat16", "float16"]
"""What a model can be loaded in, as torch and Hugging Face configs spell it."""
MAX_LENGTH = 1024
"""The window that trainer, merger and evaluation take by default, so that their numbers are one."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Estimand(_Record):
    """What a number is of. Two are the same only if these are equal.

    Every token of a text is predicted exactly once, in windows of `max_length` tokens that start at
    the text's beginning. Every window begins with the prefix token, because some models predict
    nonsense without it (lm-eval issue 2382); in a later one the last token before it follows, and
    in the last as many as fill it up. They are context there and not scored again.
    """

    measure: Literal["negative log-likelihood of the whole text"] = (
        "negative log-likelihood of the whole text"
    )
    unit: Literal["nats"] = "nats"
    """Of a text's sum; divided by its tokens, or by ln 2 and its UTF-8 bytes, it gives a rate."""
    prefix_token: str
    """What stands before every window: the tokenizer's bos_token, else its eos_token."""
    max_length: int
    """Tokens that the model sees at once, the prefix among them."""
    dtype: Dtype
    """Of weights and arithmetic, whatever the weights are stored in; the softmax is float32."""

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
    bytes: int = Field(ge=1)
    """Of the text in UTF-8, as it was scored."""
    nll: float
    """Negative log-likelihood of the whole text in nats."""

    @property
    def nll_per_token(self) -> float:
        return self.nll / self.tokens

    @property
    def bits_per_byte(self) -> float:
        """Comparable between tokenizers (Gao et al. 2020, "The Pile", section 3.1)."""
        return self.nll / math.log(2) / self.bytes


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
