"""Replay: text of the base itself, by share of the training.

A little of what a base has learned before, among the new, keeps it from forgetting: 1 to 5 % were
enough for another domain, more for another language (Ibrahim et al. 2024, section 6.2).

Tested in tests/trainer/test_replay.py.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bedside_core.config import Config

Share = Annotated[float, Field(gt=0, lt=1)]


class Generate(Config):
    """How `bedside trainer replay` lets the base write."""

    documents: Annotated[int, Field(ge=1)] = 2000
    """Texts that it writes; those that are short, repeat themselves or share text with held-out
    ones are left out."""
    max_tokens: Annotated[int, Field(ge=16)] = 512
    """Of one text."""
    temperature: Annotated[float, Field(gt=0, le=2)] = 1.0
    """At 1 the texts are spread as the model itself spreads them."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Below 1 the unlikeliest tokens are never taken."""
    seed: Annotated[int, Field(ge=0)] = 17


class Replay(Config):
    """Text of the base itself, mixed into its training."""

    share: Share
    """Of all tokens that are trained on."""
    generate: Generate = Generate()
