"""All recognisers of a gate, and what they find in one text.

Tested in tests/corpus/phi/test_gate.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bedside_corpus.phi.config import PhiConfig
from bedside_corpus.phi.rules.contacts import NumberRecognizer
from bedside_corpus.phi.rules.dates import DateRecognizer
from bedside_corpus.phi.rules.names import NameRecognizer
from bedside_corpus.phi.rules.places import PlaceRecognizer
from bedside_corpus.phi.spans import Recognizer, Span, merge


def recognisers(config: PhiConfig) -> tuple[Recognizer, ...]:
    """The rules, and what the house adds.

    Raises:
        InputError: the patterns or the model cannot be read.
    """
    found: list[Recognizer] = [
        NameRecognizer(), DateRecognizer(), NumberRecognizer(), PlaceRecognizer(),
    ]  # fmt: skip
    if config.patterns is not None:
        from bedside_corpus.phi.patterns import read_patterns

        found += read_patterns(config.patterns)
    if config.model is not None:
        from bedside_corpus.phi.model import ModelRecognizer

        found.append(ModelRecognizer(config.model))
    return tuple(found)


def scan(text: str, language: str, by: Iterable[Recognizer]) -> list[Span]:
    """What all of them find, merged and in order."""
    return merge((span for one in by for span in one.analyze(text, language)), text)


def risk(text: str, spans: Sequence[Span]) -> float:
    """The sum of the scores of distinct findings: a name that stands ten times counts once."""
    scores: dict[tuple[str, str], float] = {}
    for span in spans:
        what = (span.entity_type, text[span.start : span.end].casefold())
        scores[what] = max(span.score, scores.get(what, 0.0))
    return sum(scores.values())
