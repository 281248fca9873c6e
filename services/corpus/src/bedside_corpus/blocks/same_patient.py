"""Keeps the other texts of held-out patients and source documents out of the corpus.

Tested in tests/corpus/splitting/test_verb.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from bedside_core.heldout import read_heldout
from bedside_core.identifiers import Trace
from bedside_corpus.blocks.base import Block
from bedside_corpus.document import Document, Dropped


class SamePatient(Block):
    """Drops `heldout_patient` and `heldout_document`: what a model knows of one, it may repeat.

    And `heldout`: texts that a set has pseudonymised, which are known by their trace alone.
    """

    name = "same_patient"

    def __init__(self, sets: Sequence[Path]) -> None:
        """`sets`: held-out ones; they are read where the block runs."""
        super().__init__()
        self.sets = tuple(sets)

    def apply(self, document: Document) -> Document:
        patients, documents, originals = self._known
        if document.trace is not None and Trace.parse(document.trace).text in originals:
            raise Dropped("heldout")
        if document.patient in patients:
            raise Dropped("heldout_patient")
        if document.document in documents:
            raise Dropped("heldout_document")
        return document

    @cached_property
    def _known(self) -> tuple[set[str], set[str], set[str]]:
        texts = [text for path in self.sets for text in read_heldout(path)]
        return (
            {text.patient for text in texts if text.patient is not None},
            {text.document for text in texts if text.document is not None},
            {text.original for text in texts if text.original is not None},
        )
