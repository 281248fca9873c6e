"""The section `trainer.packing` of a run config.

Tested in tests/trainer/data/test_rows.py.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from bedside_core.config import Config

Mode = Literal["isolated", "paper", "concat"]


class Packing(Config):
    """How documents share the rows of `sequence_length` tokens."""

    mode: Mode = "isolated"
    """`isolated`: whole documents, each sees itself alone. `paper`: whole documents that see those
    before them in the row (DeFineMed, appendix A.3). `concat`: laid end to end and cut."""
    overlap: int = Field(default=0, ge=0)
    """Tokens that a piece of a document longer than a row repeats of the piece before, as context;
    they are trained on once. PARCOMED has 4."""
    separator: str = Field(default="eos", min_length=1)
    """What ends a document: `eos` (the tokenizer's eos_token, which on an instruct model may be the
    end of a turn), `end_of_text`, or a token of the tokenizer by its name."""

    @model_validator(mode="after")
    def _overlap_is_used(self) -> Self:
        if self.overlap and self.mode == "concat":
            raise ValueError("overlap is for whole documents, concat has none - set it to 0")
        return self
