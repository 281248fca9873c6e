"""Cleans each text.

Tested in tests/corpus/cleaning/test_clean.py.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from bedside_corpus.blocks.base import Block
from bedside_corpus.cleaning.clean import clean
from bedside_corpus.document import Document, Dropped


class Cleaning(Block):
    """Changes what `cleaning.clean` changes, and counts it; drops `empty`: nothing is left."""

    name = "cleaning"

    def apply(self, document: Document) -> Document:
        text, changes = clean(document.text)
        if not text:
            raise Dropped("empty")
        if not changes:
            return document
        self.counts.noted.update(changes)
        rules: Counter[str] = Counter(document.changes)
        for label, count in changes.items():
            rules[f"{self.name}.{label.partition(':')[0]}"] += count
        return replace(document, text=text, as_read=document.text, changes=rules)
