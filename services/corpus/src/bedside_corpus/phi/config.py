"""The section `corpus.phi`.

Tested in tests/corpus/phi/test_gate.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from bedside_core.config import Config


class PhiConfig(Config):
    """Look for what identifies a person, and decide what becomes of a document that has it."""

    on_hit: Literal["drop", "quarantine", "pseudonymise"] = "drop"
    """`drop` leaves the document out; `quarantine` also lays it aside for a person to review, in
    BEDSIDE_HOME; `pseudonymise` writes surrogates in the place of what was found."""
    max_risk: float = Field(default=0.3, ge=0)
    """Largest sum of the scores of distinct findings: a patient's name weighs 1, a doctor's 0.4, a
    contact 0.9, a case number 0.8, a full date 0.2. At 0.3 one full date may stand and no name."""
    patterns: Path | None = None
    """The house's own recognisers, as Presidio's YAML of patterns and deny lists."""
    model: Path | None = None
    """A directory with a token classification model of transformers; needs it installed."""
    review: Path | None = None
    """The review file of an earlier build, filled in by a person: what is released goes in."""
    key: Path | None = None
    """For `pseudonymise`: a file of at least 32 random bytes, kept apart from BEDSIDE_HOME. Who has
    it can undo the shift of dates; equal keys make equal surrogates."""

    def inputs(self) -> dict[str, Path]:
        """Files that decide what is found or let in, by a name for the recipe."""
        named = {"phi/patterns": self.patterns, "phi/review": self.review}
        found = {name: path for name, path in named.items() if path is not None}
        for path in sorted(self.model.glob("*")) if self.model is not None else ():
            if path.is_file():
                found[f"phi/model/{path.name}"] = path
        return found

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.on_hit == "pseudonymise") != (self.key is not None):
            raise ValueError(
                "on_hit: pseudonymise and key belong together - set both (head -c 32 /dev/urandom "
                "> FILE), or neither"
            )
        return self
