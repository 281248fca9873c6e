"""The labels of a sample, wherever they come from.

Tested in tests/corpus/labelling/test_annotate.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bedside_core.endpoint.config import EndpointConfig
from bedside_corpus.document import Document
from bedside_corpus.labelling.asking import Documents, ask
from bedside_corpus.labelling.config import Published
from bedside_corpus.labelling.given import names_of, read_published
from bedside_corpus.labelling.question import Asked

YES = 0.5
"""Probability from which a document is one of the class."""


@dataclass(frozen=True, slots=True)
class Labels:
    """By the document's place in the sample."""

    labels: Mapping[int, bool]
    probabilities: Mapping[int, float]
    """Of yes, where a model said so."""
    reasons: Mapping[int, str]
    """Why a document has no label."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else is to be told of them."""

    @property
    def unlabelled(self) -> dict[str, int]:
        """Documents without a label, per reason."""
        return dict(sorted(Counter(self.reasons.values()).items()))


def by_model(endpoint: EndpointConfig, asked: Asked, documents: Documents, cache: Path) -> Labels:
    """Those that a model gives.

    Raises:
        InputError, ConfigError: see `asking.ask`.
    """
    answers = ask(endpoint, asked, documents, cache)
    found = {place: reading.probability for place, reading in sorted(answers.readings.items())}
    masses = sorted(reading.mass for reading in answers.readings.values())
    facts = {"cut": len(answers.cut), "median_answer_mass": round(masses[len(masses) // 2], 4)}
    labels = {place: probability >= YES for place, probability in found.items()}
    return Labels(labels, found, answers.reasons, facts)


def by_name(known: Mapping[str, bool], documents: Iterable[Document]) -> Labels:
    """Those of a file that people wrote, by any name that it may call a document."""
    labels, reasons = {}, {}
    for place, document in enumerate(documents):
        label = next((known[name] for name in names_of(document) if name in known), None)
        if label is None:
            reasons[place] = "not_labelled"
        else:
            labels[place] = label
    return Labels(labels, {}, reasons)


def by_others(published: Published, documents: Documents) -> Labels:
    """Those that others published.

    Raises:
        InputError: see `given.read_published`.
    """
    own = (names_of(document)[0] for document in documents)
    return by_name(read_published(published, own), documents)
