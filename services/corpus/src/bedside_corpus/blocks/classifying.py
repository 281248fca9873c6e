"""Scores documents with trained classifiers, and keeps those above a threshold.

Tested in tests/corpus/classifier/test_build.py, tests/corpus/classifier/test_published.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from bedside_corpus.blocks.base import BatchBlock
from bedside_corpus.classifier.applying import Applied
from bedside_corpus.classifier.config import Joined
from bedside_corpus.classifier.published import Index, index_path
from bedside_corpus.classifier.stored import Scorer, load
from bedside_corpus.document import Document, Dropped
from bedside_corpus.labelling.given import own_name, single


class Classifying(BatchBlock):
    """Drops `not_medical`: the score, which `by` names, is below the threshold.

    Where others published a score of a document that is no matter of dispute, it decides, and the
    classifier is not asked. A document that one classifier dropped is not looked at by those behind
    it.
    """

    name = "classifiers"

    def __init__(self, applied: Sequence[Applied], published: Path) -> None:
        """Load nothing yet.

        Args:
            applied: in the order of their columns; the models are loaded where the block runs.
            published: folder of the stage that sorts published scores.
        """
        super().__init__()
        self.applied, self.published = tuple(applied), published
        self.columns = {name: kind for one in applied for name, kind in one.columns.items()}

    def apply_batch(self, documents: Sequence[Document]) -> Sequence[Document | Dropped]:
        outcomes: list[Document | Dropped] = [*documents]
        for one, scorer in zip(self.applied, self._scorers, strict=True):
            left = [n for n, out in enumerate(outcomes) if not isinstance(out, Dropped)]
            if one.published is not None:
                left = self._join(one, one.published, documents, outcomes, left)
            if not left:
                continue
            scores = scorer.score([documents[n].text for n in left])
            for n, row in zip(left, scores.tolist(), strict=True):
                outcomes[n] = _judged(outcomes[n], one, row)
        return outcomes

    def _join(
        self,
        one: Applied,
        joined: Joined,
        documents: Sequence[Document],
        outcomes: list[Document | Dropped],
        left: Sequence[int],
    ) -> list[int]:
        """Judge those of `left` that have a published score, and say which remain to be scored."""
        remaining = []
        found = self._indexes[one.column].find([own_name(documents[n]) for n in left])
        for n, score in zip(left, found, strict=True):
            if score is None:
                noted = "not published"
            elif score < single(joined.no_below):
                noted = "published no"
            else:
                clear = score >= single(joined.yes_from)
                noted = "published yes" if clear else "published disputed"
            self.counts.noted[f"{one.column} {noted}"] += 1
            outcome = outcomes[n]
            if noted == "published no" and one.threshold is not None:
                outcomes[n] = Dropped("not_medical", f"{one.published_column} {score:.4f}")
            elif score is not None and not isinstance(outcome, Dropped):
                outcomes[n] = _with_scores(outcome, {one.published_column: score})
            if noted in ("not published", "published disputed"):
                remaining.append(n)
        return remaining

    @cached_property
    def _scorers(self) -> list[Scorer]:
        return [load(one.folder, self.rank) for one in self.applied]

    @cached_property
    def _indexes(self) -> dict[str, Index]:
        joined = [one.column for one in self.applied if one.published is not None]
        return {column: Index(index_path(self.published, column)) for column in joined}


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
    return _with_scores(outcome, measured)


def _with_scores(document: Document, scores: Mapping[str, float | str]) -> Document:
    return replace(document, scores={**document.scores, **scores})
