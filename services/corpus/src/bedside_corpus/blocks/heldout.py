"""Keeps texts that are measured on out of the corpus.

Tested in tests/corpus/engine/test_build.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from bedside_core.heldout import read_heldout
from bedside_core.overlap import OverlapIndex
from bedside_corpus.blocks.base import Block
from bedside_corpus.document import Document, Dropped


class HeldoutFilter(Block):
    """Drops `heldout`, `heldout_near` and `heldout_ngram`; `bedside_core.overlap` says what is.

    A text is looked up as it came and as it was cleaned.
    """

    name = "heldout"

    def __init__(self, folders: Sequence[Path]) -> None:
        """`folders`: of held-out texts; they are read where the block runs."""
        super().__init__()
        self.folders = tuple(folders)

    def apply(self, document: Document) -> Document:
        hits = [self._index.look_up(form) for form in document.forms]
        if any(hit.exact for hit in hits):
            raise Dropped("heldout")
        if any(hit.is_near for hit in hits):
            raise Dropped("heldout_near")
        if any(hit.is_found for hit in hits):
            raise Dropped("heldout_ngram")
        return document

    @cached_property
    def _index(self) -> OverlapIndex:
        return OverlapIndex(item.text for folder in self.folders for item in read_heldout(folder))
