"""Keeps texts that look like text, where a source asks for it.

Tested in tests/corpus/quality/test_measures.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from bedside_corpus.blocks.base import Block
from bedside_corpus.document import Document, Dropped
from bedside_corpus.quality.judge import fault
from bedside_corpus.quality.limits import limits


class QualityFilter(Block):
    """Drops `quality_...`, by the first limit that a text is beyond."""

    name = "quality"

    def __init__(self, kinds: Mapping[str, str]) -> None:
        """`kinds`: per name of a source `house` or `web`; another source is not looked at."""
        super().__init__()
        self.kinds = dict(kinds)

    def apply(self, document: Document) -> Document:
        kind = self.kinds.get(document.source)
        if kind is not None:
            reason = fault(document.text, limits(kind, document.language))
            if reason is not None:
                raise Dropped(reason)
        return document
