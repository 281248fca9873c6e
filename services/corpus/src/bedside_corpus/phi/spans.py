"""A finding in a text, and what a recogniser is.

The fields, and the shape of a recogniser, are those of Presidio's `RecognizerResult` and
`EntityRecognizer.analyze`, so that recognisers move between the two (docs/decisions/0020).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, Self

import regex

CATEGORIES = ("NAME", "CONTACT", "ID", "DATE", "AGE", "LOCATION", "PROFESSION", "TITLE")
"""The label set of GraSCCo without the second halves (NAME_PATIENT and NAME_DOCTOR are NAME)."""
OTHER = "OTHER"
"""What another recogniser finds under another name."""


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` (excluded) of a text say something of `entity_type`."""

    start: int
    end: int
    entity_type: str
    score: float
    """From 0 to 1: how much this alone identifies a person; findings of one document add up."""

    @classmethod
    def of(
        cls, match: regex.Match[str], entity_type: str, score: float, group: str | int = "x"
    ) -> Self:
        """What a group of a pattern matched."""
        return cls(match.start(group), match.end(group), entity_type, score)


class Recognizer(Protocol):
    """Whatever finds spans in a text of one language."""

    def analyze(self, text: str, language: str) -> Iterable[Span]:
        """The spans, in any order, possibly overlapping.

        Args:
            text: of a document.
            language: its ISO 639 code.
        """


def merge(spans: Iterable[Span], text: str) -> list[Span]:
    """Spans in order that do not overlap and neither begin nor end with white space.

    Of two that overlap, the union takes the type of the one with the higher score, or of the longer
    one: what is hidden grows, never shrinks. A span without length, or outside the text, is an
    error of its recogniser.

    Raises:
        ValueError: a span does not lie within the text.
    """
    merged: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start, -s.end)):
        if not 0 <= span.start < span.end <= len(text):
            raise ValueError("a recogniser returned a span outside the text")
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            lead = max(last, span, key=lambda s: (s.score, s.end - s.start))
            merged[-1] = Span(last.start, max(last.end, span.end), lead.entity_type, lead.score)
        else:
            merged.append(span)
    return [trimmed for span in merged if (trimmed := _trim(span, text)) is not None]


def _trim(span: Span, text: str) -> Span | None:
    piece = text[span.start : span.end]
    start = span.start + len(piece) - len(piece.lstrip())
    end = span.end - len(piece) + len(piece.rstrip())
    return Span(start, end, span.entity_type, span.score) if start < end else None
