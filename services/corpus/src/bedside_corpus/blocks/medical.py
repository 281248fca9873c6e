"""Keeps texts with enough medical words.

Tested in tests/corpus/engine/test_build.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal

from bedside_corpus.blocks.base import Block
from bedside_corpus.document import Document, Dropped
from bedside_corpus.medical_filter import density


class DensityFilter(Block):
    """Drops `not_medical`; the density stays beside the texts that are kept."""

    name = "medical_filter"
    columns: ClassVar[Mapping[str, Literal["number", "label"]]] = {"medical_density": "number"}

    def __init__(self, min_density: float) -> None:
        super().__init__()
        self.min_density = min_density

    def apply(self, document: Document) -> Document:
        found = density(document.text)
        if found < self.min_density:
            raise Dropped("not_medical", by=f"{found:.4g}")
        return replace(document, scores={**document.scores, "medical_density": found})
