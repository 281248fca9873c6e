"""What is asked of models, looked up in documents: one look for every service.

The corpus keeps documents out by it, the evaluation counts what stands in a corpus by it, so that
the two cannot disagree. What is asked are held-out texts and exam items, each in all its spellings;
`bedside_core.overlap` has the measures. A short question whose options stand behind it in any order
is a near copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol

from bedside_core.matching import canonical, digest
from bedside_core.option_sets import OptionSets
from bedside_core.overlap import NEAR, NGRAM, Overlap, OverlapIndex, Span

Measure = Literal["exact", "near", "ngram"]
MEASURES: tuple[Measure, ...] = ("exact", "near", "ngram")


class Asked(Protocol):
    """A held-out text or an exam item."""

    @property
    def id(self) -> str:
        """Its name in its set."""

    @property
    def identity(self) -> str:
        """SHA-256 (hex) that all copies of it share."""

    @property
    def spellings(self) -> list[str]:
        """How it may stand in a corpus."""

    @property
    def option_set(self) -> tuple[str, list[str]] | None:
        """Question and options that stand for it together, in whatever order."""


class Look(NamedTuple):
    """What one document holds of what is asked; questions are known by their positions."""

    found: dict[int, Measure]
    """The questions for which it must not be trained on: the least measure that finds each."""
    places: dict[int, list[Span]]
    """By spelling: which of its words stand in the document."""


class AskedIndex:
    """Everything that is asked, indexed once; a question is known by its position in `asked`."""

    def __init__(self, asked: Iterable[Asked]) -> None:
        """Memory: about 150 bytes per word of a spelling."""
        questions = list(asked)
        spellings = [(n, text) for n, one in enumerate(questions) for text in one.spellings]
        self.owners = [n for n, _ in spellings]
        """Of each spelling its question."""
        self.digests = [digest(canonical(text)) for _, text in spellings]
        """SHA-256 (hex) of each spelling's canonical form."""
        self._size = len(questions)
        self._index = OverlapIndex(text for _, text in spellings)
        sets = ((n, one.option_set) for n, one in enumerate(questions))
        self._sets = OptionSets({n: together for n, together in sets if together is not None})

    def __len__(self) -> int:
        return self._size

    @property
    def lengths(self) -> Sequence[int]:
        """Words of each spelling's canonical form."""
        return self._index.lengths

    def look_up(self, forms: Iterable[str]) -> Look:
        """What a document holds, given by canonical forms of it: as it came, as it was cleaned."""
        shares: dict[int, float] = {}
        exact: set[int] = set()
        near: set[int] = set()
        places: dict[int, list[Span]] = {}
        fragment = False
        for form in forms:
            hit = self._index.look_up(form)
            exact |= {self.owners[spelling] for spelling in hit.exact}
            near |= self._sets.find(form)
            fragment |= hit.covered >= NGRAM
            for spelling, share in hit.shares.items():
                owner = self.owners[spelling]
                shares[owner] = max(share, shares.get(owner, 0.0))
                places[spelling] = sorted([*places.get(spelling, ()), *hit.places[spelling]])
        found: dict[int, Measure] = {n: "ngram" for n, share in shares.items() if share >= NGRAM}
        if fragment and not found:
            # Most of the document is from what is asked, and little of that is in it.
            found[max(shares, key=lambda n: (shares[n], -n))] = "ngram"
        found |= dict.fromkeys((n for n, share in shares.items() if share >= NEAR), "near")
        found |= dict.fromkeys(near, "near")
        found |= dict.fromkeys(exact, "exact")
        return Look(dict(sorted(found.items())), places)

    def count(self, forms: Iterable[str]) -> list[Overlap]:
        """How much of each question stands in all documents, given by their canonical forms."""
        together: set[int] = set()

        def passing() -> Iterator[str]:
            for form in forms:
                together.update(self._sets.find(form))
                yield form

        counted = [Overlap()] * len(self)
        for owner, overlap in zip(self.owners, self._index.count(passing()), strict=True):
            before = counted[owner]
            counted[owner] = Overlap(
                before.exact or overlap.exact,
                max(before.near, overlap.near),
                max(before.ngram, overlap.ngram),
            )
        for n in together:
            counted[n] = counted[n]._replace(near=1.0, ngram=1.0)
        return counted
