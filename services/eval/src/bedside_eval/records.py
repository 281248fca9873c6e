"""The records that evidence is made of. None has a field for text; none can hold NaN.

Tested in tests/eval/test_conclude.py.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from bedside_core.kinds.measures import ACCURACIES
from bedside_eval.statistics.estimate import Estimate
from bedside_models.scores import Dtype, TextScore

Role = Literal["base", "checkpoint", "candidate", "incumbent", "reference"]
Metric = Literal["acc", "acc_norm"]

LABELS: dict[Role, str] = {
    "base": "base", "checkpoint": "CPT", "candidate": "candidate", "incumbent": "incumbent",
    "reference": "reference",
}  # fmt: skip
"""In the order in which they are shown. The checkpoint is shown and judges nothing."""
AGAINST: tuple[Role, ...] = ("base", "incumbent", "reference")
"""What a candidate is judged against, as far as there is one."""
METRICS: tuple[Metric, ...] = ("acc", "acc_norm")
METRIC_OF: dict[str, Metric] = dict(zip(ACCURACIES, METRICS, strict=True))
"""By a policy's name of the measure: lm-eval's."""


class EvidencePart(BaseModel):
    """Base of every record: frozen, no unknown keys, finite numbers only."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ItemScore(EvidencePart):
    """How a model answered one multiple-choice item."""

    id: str
    answers: tuple[int, ...]
    """Indices of the right options; one of them is enough for a likelihood to be right."""
    loglikelihoods: tuple[float, ...]
    """Log-likelihood of each option after the question, in nats."""
    choice: dict[Metric, int]
    """Index of the likeliest option (`acc`), of the likeliest per character (`acc_norm`)."""
    correct: dict[Metric, bool]


class Answers(EvidencePart):
    """What one model made of one held-out set or exam, in the order of its texts or items."""

    texts: tuple[TextScore, ...] = ()
    items: tuple[ItemScore, ...] = ()
    of: int
    """How many were asked; for those that are not here the model gave no finite number."""

    @property
    def without(self) -> int:
        """Texts or items without a number."""
        return self.of - len(self.texts) - len(self.items)


class Unusable(EvidencePart):
    """No number on `without` of `of` texts or items: NaN or infinite."""

    without: int
    of: int


class AsServed(Unusable):
    """A short pass in the dtype that is served, where another one is measured."""

    dtype: Dtype


class AnswerCounts(EvidencePart):
    """What could not be read of the answers to one exam; each of them counts as wrong."""

    of: int
    unanswered: int
    """The engine gave none."""
    empty: int
    truncated: int
    """Cut off at the most tokens; read as far as they go."""
    unreadable: int
    """Of a choice: not empty, and no option can be read from it."""
    said: tuple[int, ...] = ()
    """In letters: how often each position was chosen. Beside `right` it shows a model that likes a
    letter."""
    right: tuple[int, ...] = ()
    """How often the right option stands there."""


class ModelScores(EvidencePart):
    """What one model did: per held-out set and per exam, in the order of their files."""

    heldout: dict[str, tuple[TextScore, ...]]
    exams: dict[str, tuple[ItemScore, ...]]
    unusable: dict[str, Unusable] = {}
    """By `heldout/<name>` or `exam/<name>`: sets with a text or item that the model has no number
    for. They stand in neither of the others, as a part of a set is another set."""
    values: dict[str, dict[str, tuple[float, ...]]] = {}
    """By exam and measure, for each item in order: what was made of the model's answers."""
    answered: dict[str, dict[str, AnswerCounts]] = {}
    """By exam and mode (`generated`, `constrained`)."""
    as_served: AsServed | None = None
    """None where the dtype that is measured in is the served one."""

    @property
    def finite_as_served(self) -> bool:
        """Whether the model gives numbers in the dtype that is served."""
        return not (self.unusable if self.as_served is None else self.as_served.without)


class Found(EvidencePart):
    """How many texts or items of one set stand in corpora; each count includes the one before."""

    exact: int
    """With the same canonical form as a document."""
    near: int
    """With at least `near_share` of the words in one document."""
    ngram: int
    """With at least `ngram_share` of the words in all documents together."""
    of: int
    ids: tuple[str, ...]
    """Those that are not clean: those that `ngram` counts, and all if an ancestor is unknown."""


class Removed(EvidencePart):
    """What was left out of the corpora, when they were built, because of one set."""

    looked_for: int
    """So many texts or items of the set were looked for in every corpus."""
    found: int
    """For so many of them documents were left out."""
    documents: dict[str, int]
    """How many, by `bedside_core.kinds.removed.WAYS`; one counts for each text that it holds."""
    let_in: int
    """Texts or items of which too many documents hold a little to leave them all out."""


class CorpusFound(EvidencePart):
    """What of the questions stands in one corpus."""

    digest: str
    heldout: dict[str, Found]
    exams: dict[str, Found]


class Contamination(EvidencePart):
    """What of the questions stands in corpora that the models come from; `bedside_core.overlap`."""

    corpora: tuple[CorpusFound, ...]
    """Each corpus in the lineage of any model, sorted by digest."""
    unknown: tuple[str, ...]
    """Digests of ancestors that were deleted: what stood in them cannot be known, so that nothing
    counts as clean."""
    matching_version: int
    """Of the canonical form."""
    run: int
    """Words in a row that count as found."""
    near_share: float
    ngram_share: float
    heldout: dict[str, Found]
    """In all corpora together."""
    exams: dict[str, Found]
    removed_heldout: dict[str, Removed] = {}
    """Before training, by the corpora's own account; evidence of earlier versions has none."""
    removed_exams: dict[str, Removed] = {}


class AccuracyDifference(EvidencePart):
    """Two models on the same exam: candidate minus reference."""

    difference: Estimate
    gained: int
    """Items that only the candidate has right."""
    lost: int
    """Items that only the reference has right."""
    mcnemar_p: float
    """Two-sided p of the exact McNemar test, items taken one by one."""


class PairDifference(EvidencePart):
    """Candidate minus reference on everything that is clean."""

    candidate: Role
    reference: Role
    heldout: dict[str, Estimate]
    """Mean over clusters of the difference in bits per byte; negative is better."""
    exams: dict[str, dict[Metric, AccuracyDifference]]
    gains: dict[str, dict[str, Estimate]]
    """By exam and every other measure; positive is better, whatever the measure."""
    groups: dict[str, GroupAverage] = {}
    """Gains of groups of exams whose sets were all measured; positive is better."""


class GroupAverage(EvidencePart):
    """One group of exams in two averages of its sets, each cluster of a set counting once."""

    sets: dict[str, str]
    """What is averaged: the measure of each set."""
    questions: int
    """Of all sets, as far as they are clean."""
    by_questions: Estimate
    """Each set weighs as many questions as it has."""
    by_sets: Estimate
    """Each set weighs the same (macro average)."""


class ModelSummary(EvidencePart):
    """One model in a few numbers, each cluster counting once, on what is clean."""

    digest: str
    bits_per_byte: dict[str, Estimate]
    nats_per_token: dict[str, float]
    """In the units of its own tokenizer, for comparison with papers."""
    accuracy: dict[str, dict[Metric, Estimate]]
    values: dict[str, dict[str, Estimate]]
    """By exam and every other measure."""
    groups: dict[str, GroupAverage] = {}


class Subgroup(EvidencePart):
    """The candidate's gain on the items of one language, domain or specialty of an exam."""

    exam: str
    measure: str
    against: Role
    by: Literal["language", "domain", "specialty"]
    name: str
    """As the items call it."""
    items: int
    """That are clean."""
    gain: Estimate
    """Positive is better, whatever the measure."""
    p_worse: float | None
    """One-sided, against "no worse", adjusted by Holm over all groups of the evidence; None where
    the group holds no information."""


class Lost(EvidencePart):
    """Clusters that lose more than the policy's delta."""

    clusters: int
    of: int
    bound: float
    """One-sided upper limit of their share."""


class Finding(EvidencePart):
    """What became of one condition of the policy against one other model."""

    condition: Literal["target", "guard", "floor", "setting"]
    measure: str
    of: str
    against: Role | None
    outcome: Literal["holds", "fails", "open"]
    """`open`: neither shown nor ruled out."""
    reason: str
    """One sentence."""
    margin: float | None = None
    estimate: Estimate | None = None
    """Of the gain (target against the base), of the loss, or of the candidate's own accuracy."""
    lost: Lost | None = None
    p: float | None = None
    """Of harm, adjusted by Holm within the family."""
    needed: int | None = None
    """Clusters with which this would be decided in 8 of 10 cases, if what was seen is true."""
