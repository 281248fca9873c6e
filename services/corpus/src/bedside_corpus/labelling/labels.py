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
from bedside_corpus.labelling.given import GIVEN, names_of, read_published
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


def by_people(documents: Iterable[Document]) -> Labels:
    """Those that people gave, as `given.NamedFilter` left them beside each document."""
    marks = enumerate(document.scores[GIVEN] for document in documents)
    return Labels({place: mark == "yes" for place, mark in marks}, {}, {})


def by_others(published: Published, documents: Documents, setting: str) -> Labels:
    """Those that others published, by what its source calls a document.

    Raises:
        InputError: see `given.read_published`.
    """
    own = [names_of(document)[0] for document in documents]
    known = read_published(published, own, setting)
    labels = {place: known[name] for place, name in enumerate(own) if name in known}
    unnamed = set(range(len(own))) - labels.keys()
    return Labels(labels, {}, dict.fromkeys(sorted(unnamed), "not_labelled"))
