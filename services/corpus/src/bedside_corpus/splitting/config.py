"""The section `corpus.split`.

Tested in tests/corpus/splitting/test_verb.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from bedside_core.config import Config

SetName = Annotated[str, StringConstraints(pattern=r"^[\w-]{1,60}$")]
Size = Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)]


class HeldoutSet(Config):
    """One set: from which documents, how many, in which proportions."""

    size: Size
    """How many documents (a whole number), or which share of those that it is drawn from (0.05).
    A patient's texts stay together, so that it may be larger by all but one text of one patient."""
    sources: tuple[str, ...] = ()
    """Names of the sources that it is drawn from; default: all."""
    stratify_by: tuple[str, ...] = ("source",)
    """Proportions that are kept: of `source`, `type`, `language`, `licence` or any other column of
    text that the corpus has."""


class Split(Config):
    """Draw held-out sets from the sources, and keep them out of the corpus of the same run."""

    folder: Path
    """Where they are written, as NAME.jsonl, mode 0600: outside BEDSIDE_HOME, where training steps
    do not read. The section `eval` names them there."""
    sets: dict[SetName, HeldoutSet] = Field(min_length=1)
    """By name, drawn in this order; a patient is in one of them."""
    seed: int = Field(default=0, ge=0)
    """Of the draw."""
    draw: int = Field(default=1, ge=1)
    """Count up to draw anew; as long as it stays, the sets stay, whatever sources and settings
    become."""

    def files(self) -> dict[str, Path]:
        """Of the sets, by their names."""
        return {name: self.folder / f"{name}.jsonl" for name in self.sets}
