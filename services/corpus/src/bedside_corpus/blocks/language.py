"""Keeps texts that are in the language that they are said to be in.

Tested in tests/corpus/language/test_identify.py.
"""

from __future__ import annotations

from bedside_corpus.blocks.base import Block
from bedside_corpus.document import Document, Dropped
from bedside_corpus.language.identify import identify, known_languages

UNDETERMINED = "und"
"""ISO 639 code of a document of which no language is declared; it is not checked."""


class LanguageFilter(Block):
    """Drops `other_language`: another language than the declared one, with enough probability.

    What cannot be decided stays and is counted: `language too short` (or Latin), `language unsure`,
    `language unknown` (a declared code that the library does not know).
    """

    name = "language"

    def __init__(self, threshold: float) -> None:
        """`threshold`: the probability, 0 to 1, from which another language is believed."""
        super().__init__()
        self.threshold = threshold

    def apply(self, document: Document) -> Document:
        declared = document.language
        if declared == UNDETERMINED:
            return document
        found = identify(document.text)
        if found is None:
            self.counts.noted["language too short"] += 1
        elif declared not in known_languages():
            self.counts.noted["language unknown"] += 1
        elif found.language != declared:
            if found.probability >= self.threshold:
                self.counts.noted[f"language {declared} is {found.language}"] += 1
                raise Dropped("other_language", f"{found.language} {found.probability:.2f}")
            self.counts.noted["language unsure"] += 1
        return document
