"""Keeps texts and exam items that are measured on out of the corpus.

Tested in tests/corpus/test_decontamination.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from bedside_core.asked import Asked, AskedIndex, Measure
from bedside_core.heldout import read_heldout
from bedside_core.kinds.exam import read_exam
from bedside_core.kinds.removed import WAYS, RemovedFor
from bedside_corpus.blocks.base import Block
from bedside_corpus.document import Document, Dropped

REASONS: dict[Measure, str] = {
    "exact": "heldout", "near": "heldout_near", "ngram": "heldout_ngram",
}  # fmt: skip
LET_IN = "let_in"


class Asking:
    """The held-out texts and exam items of a corpus; they are read where they are needed."""

    def __init__(self, heldout: Sequence[Path], exams: Sequence[Path]) -> None:
        """`heldout`: sets of texts; `exams`: files of items."""
        self.heldout, self.exams = tuple(heldout), tuple(exams)

    @cached_property
    def questions(self) -> list[tuple[str, Asked]]:
        """All of them, each with the name of its set."""
        found: list[tuple[str, Asked]] = []
        for path in self.heldout:
            found += ((str(path), text) for text in read_heldout(path))
        for path in self.exams:
            found += ((str(path), item) for item in read_exam(path))
        return found

    @cached_property
    def index(self) -> AskedIndex:
        """What documents are looked up in."""
        return AskedIndex(asked for _, asked in self.questions)

    def name(self, question: int) -> str:
        """What decisions call a text or an item."""
        of, asked = self.questions[question]
        return f"{of}#{asked.id}"

    def removed(self, noted: Mapping[str, int]) -> Iterator[RemovedFor]:
        """For each text and item what was noted of it (`note`)."""
        for number, (of, asked) in enumerate(self.questions):
            name = self.name(number)
            counts = {way: noted.get(note(name, way), 0) for way in WAYS}
            let_in = note(name, LET_IN) in noted
            yield RemovedFor(set=of, id=asked.id, identity=asked.identity, let_in=let_in, **counts)


class HeldoutFilter(Block):
    """Drops `heldout`, `heldout_near` and `heldout_ngram`; `bedside_core.asked` says what is.

    A text is looked up as it came and as it was cleaned. Of one that stays, what it shares goes
    on with it: many that hold a little may hold a text together (`engine.spread`).
    """

    name = "heldout"

    def __init__(self, asking: Asking) -> None:
        super().__init__()
        self.asking = asking

    def apply(self, document: Document) -> Document:
        look = self.asking.index.look_up(document.forms)
        if look.found:
            for question, measure in look.found.items():
                self.counts.noted[note(self.asking.name(question), measure)] += 1
            order = list(REASONS)
            first = min(look.found, key=lambda question: order.index(look.found[question]))
            raise Dropped(REASONS[look.found[first]], by=self.asking.name(first))
        if not look.places:
            return document
        shared = tuple((of, *span) for of, spans in look.places.items() for span in spans)
        return replace(document, shared=shared)


def note(name: str, way: str) -> str:
    """Under what the documents are counted that went for a question in one way."""
    return f"{way}: {name}"


def totals(removed: Iterable[RemovedFor]) -> dict[str, dict[str, int]]:
    """By set: how many texts or items were looked for, for how many documents went, and which."""
    found: dict[str, Counter[str]] = {}
    for one in removed:
        counts = found.setdefault(one.set, Counter(dict.fromkeys(("asked", "found", *WAYS), 0)))
        counts.update(asked=1, found=one.documents > 0, let_in=one.let_in)
        counts.update({way: getattr(one, way) for way in WAYS})
    return {name: dict(counts) for name, counts in found.items()}
