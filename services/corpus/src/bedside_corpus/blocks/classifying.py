"""Scores documents with trained classifiers, and keeps those above a threshold.

Tested in tests/corpus/classifier/test_build.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from bedside_corpus.blocks.base import BatchBlock
from bedside_corpus.classifier.applying import Applied
from bedside_corpus.classifier.stored import Scorer, load
from bedside_corpus.document import Document, Dropped


class Classifying(BatchBlock):
    """Drops `not_medical`: the score, which `by` names, is below the threshold.

    A document that one classifier dropped is not looked at by those behind it.
    """

    name = "classifiers"

    def __init__(self, applied: Sequence[Applied]) -> None:
        """`applied`: in the order of their columns; the models are loaded where the block runs."""
        super().__init__()
        self.applied = tuple(applied)
        self.columns = {name: kind for one in applied for name, kind in one.columns.items()}

    def apply_batch(self, documents: Sequence[Document]) -> Sequence[Document | Dropped]:
        outcomes: list[Document | Dropped] = [*documents]
        for one, scorer in zip(self.applied, self._scorers, strict=True):
            left = [n for n, out in enumerate(outcomes) if not isinstance(out, Dropped)]
            scores = scorer.score([documents[n].text for n in left])
            for n, row in zip(left, scores.tolist(), strict=True):
                outcomes[n] = _judged(outcomes[n], one, row)
        return outcomes

    @cached_property
    def _scorers(self) -> list[Scorer]:
        return [load(one.folder, self.rank) for one in self.applied]


def _judged(outcome: Document | Dropped, one: Applied, scores: list[float]) -> Document | Dropped:
    if isinstance(outcome, Dropped):
        return outcome
    best = max(scores)
    if one.threshold is not None and best < one.threshold:
        return Dropped("not_medical", f"{one.column} {best:.4f}")
    measured: dict[str, float | str] = {one.column: best}
    if len(one.classes) > 1:
        name = one.classes[scores.index(best)]
        measured = {one.column: name, f"{one.column}_score": best}
    return replace(outcome, scores={**outcome.scores, **measured})
