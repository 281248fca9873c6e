"""The records that evidence is made of. None has a field for text; none can hold NaN.

Tested in tests/eval/test_harness.py.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from bedside_eval.statistics.estimate import Interval
from bedside_models.scores import TextScore

Role = Literal["base", "checkpoint", "merged"]
Metric = Literal["acc", "acc_norm"]

ROLES: tuple[Role, ...] = ("base", "checkpoint", "merged")
LABELS: dict[Role, str] = {"base": "base", "checkpoint": "CPT", "merged": "merged"}
METRICS: tuple[Metric, ...] = ("acc", "acc_norm")


class EvidencePart(BaseModel):
    """Base of every record: frozen, no unknown keys, finite numbers only."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ItemScore(EvidencePart):
    """How a model answered one multiple-choice item."""

    id: str
    answer: int
    """Index of the right option."""
    loglikelihoods: tuple[float, ...]
    """Log-likelihood of each option after the question, in nats."""
    choice: dict[Metric, int]
    """Index of the likeliest option (`acc`), of the likeliest per character (`acc_norm`)."""
    correct: dict[Metric, bool]


class ModelScores(EvidencePart):
    """What one model did: per held-out set and per exam, in the order of their files."""

    heldout: dict[str, tuple[TextScore, ...]]
    exams: dict[str, tuple[ItemScore, ...]]


class Found(EvidencePart):
    """How many texts or items of one set stand in a corpus; each count includes the one before."""

    exact: int
    """With the same canonical form as a document."""
    near: int
    """With at least `near_share` of the words in one document."""
    ngram: int
    """With at least `ngram_share` of the words in all documents together."""
    of: int
    ids: tuple[str, ...]
    """Those that `ngram` counts."""


class Contamination(EvidencePart):
    """What of the questions stands in the training corpus, by `bedside_core.overlap`."""

    corpus: str
    """Digest of the corpus that the checkpoint was trained on."""
    matching_version: int
    """Of the canonical form."""
    run: int
    """Words in a row that count as found."""
    near_share: float
    ngram_share: float
    heldout: dict[str, Found]
    exams: dict[str, Found]


class ModelSummary(EvidencePart):
    """One model in a few numbers."""

    digest: str
    perplexity: dict[str, Interval]
    """Per held-out set: exp of the mean negative log-likelihood over all its tokens."""
    accuracy: dict[str, dict[Metric, Interval]]
    """Per exam: the share of right answers with its Wilson interval."""


class AccuracyDifference(EvidencePart):
    """Two models on the same exam: candidate minus reference."""

    difference: Interval
    """Difference of the accuracies with its bootstrap interval over items."""
    gained: int
    """Items that only the candidate has right."""
    lost: int
    """Items that only the reference has right."""
    mcnemar_p: float
    """Two-sided p of the exact McNemar test."""


class PairDifference(EvidencePart):
    """Candidate minus reference on everything."""

    candidate: Role
    reference: Role
    heldout: dict[str, Interval]
    """Mean over texts of the difference in nats per token; negative is better."""
    exams: dict[str, dict[Metric, AccuracyDifference]]
