"""How much of a text stands in other documents: one index for guard, count and clusters.

The small side (held-out texts, exam items) is indexed, the large side (a corpus) streams past it
document by document, so memory follows the small side: about 150 bytes per word.

Three measures, each at least as large as the one before, over the canonical form of
`bedside_core.matching`:

- exact: a document has the same canonical form.
- near: the share of the text's words that stand in **one** document in runs of at least `RUN`
  words. It is Broder's containment ("On the resemblance and containment of documents", 1997),
  counted in words instead of shingles, so that one changed word costs one run and not `RUN`
  shingles.
- n-gram: the same share, over **all** documents together. It is how Tulu 3 (Lambert et al. 2024,
  section 3.2) counts: a token overlaps if an 8-gram that contains it does.

A text of fewer than `RUN` words is one run: it is found where it stands as a whole.

Covered: other spacing, Unicode form, line ends, case, punctuation; texts inside longer documents;
some words changed, left out or put in; texts that are spread over several documents.
Not covered: translations, paraphrases, more than about one changed word in eight.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from bedside_core.matching import canonical

RUN = 8
"""Words of an n-gram. PaLM (Chowdhery et al. 2022, section 8) and Tulu 3 take 8; GPT-3 took 8 to
13, by how long a data set's texts are, and called one hit enough. With a share asked for instead of
one hit, the lower end finds more changed copies and boilerplate alone does not count."""
NEAR = 0.8
"""From this share in one document a text is a near copy: the similarity from which Lee et al.
("Deduplicating training data makes language models better", 2022) call two documents one."""
NGRAM = 0.5
"""From this share in all documents together a text counts as seen: more than half, as in Tulu 3."""


Span = tuple[int, int]
"""Position and number of words."""


class Overlap(NamedTuple):
    """How much of one indexed text stands in the documents."""

    exact: bool = False
    near: float = 0.0
    ngram: float = 0.0

    @property
    def is_near(self) -> bool:
        """One document is the text, or holds at least `NEAR` of its words."""
        return self.exact or self.near >= NEAR

    @property
    def is_found(self) -> bool:
        """All documents together hold at least `NGRAM` of its words."""
        return self.is_near or self.ngram >= NGRAM


class Hit(NamedTuple):
    """What one document shares with the indexed texts."""

    exact: tuple[int, ...]
    """Indexed texts with the same canonical form."""
    shares: dict[int, float]
    """By indexed text: the share of its words that stand in this document."""
    covered: float
    """The share of the document's own words that stand in indexed texts; high for a fragment."""
    places: dict[int, list[Span]]
    """By indexed text: which of its words these are, in stretches that do not touch."""


class OverlapIndex:
    """Texts in which documents are looked up; a text is known by its position in `texts`."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._exact: dict[str, list[int]] = defaultdict(list)
        self._lengths: list[int] = []
        self._starts: list[int] = []
        """Where each text begins when the words of all of them stand in one row."""
        self._runs = {RUN: _Runs(RUN)}
        for number, text in enumerate(texts):
            self._add(number, canonical(text))

    def __len__(self) -> int:
        return len(self._lengths)

    @property
    def lengths(self) -> Sequence[int]:
        """Words of each text."""
        return self._lengths

    def look_up(self, form: str) -> Hit:
        """What a document, given by its canonical form, shares with each indexed text."""
        words = form.split()
        found, spans = self._find(words)
        places = {
            text: merged((offset, self._size(text)) for offset in sorted(offsets))
            for text, offsets in found.items()
        }
        shares = {text: covered(part) / self._lengths[text] for text, part in places.items()}
        exact = tuple(self._exact.get(form, ()))
        return Hit(exact, shares, covered(spans) / max(1, len(words)), places)

    def count(self, forms: Iterable[str]) -> list[Overlap]:
        """Stream the canonical forms of all documents past the index: one result per text."""
        exact = [False] * len(self)
        near = [0.0] * len(self)
        seen = [bytearray(length) for length in self._lengths]
        for form in forms:
            for text in self._exact.get(form, ()):
                exact[text] = True
            for text, offsets in self._find(form.split())[0].items():
                near[text] = max(near[text], self._share(text, offsets))
                size = self._size(text)
                for offset in offsets:
                    seen[text][offset : offset + size] = b"\1" * size
        together = [marks.count(1) / max(1, len(marks)) for marks in seen]
        return list(map(Overlap, exact, near, together))

    def _add(self, number: int, form: str) -> None:
        words = form.split()
        start = self._starts[-1] + self._lengths[-1] if number else 0
        self._starts.append(start)
        self._lengths.append(len(words))
        if words:
            size = self._size(number)
            self._exact[form].append(number)
            self._runs.setdefault(size, _Runs(size)).add(words, start)

    def _size(self, text: int) -> int:
        return min(RUN, self._lengths[text])

    def _share(self, text: int, offsets: set[int]) -> float:
        size = self._size(text)
        return covered((offset, size) for offset in sorted(offsets)) / self._lengths[text]

    def _find(self, words: list[str]) -> tuple[dict[int, set[int]], list[Span]]:
        """Offsets of the document's runs in each text, and where they stand in the document."""
        found: dict[int, set[int]] = defaultdict(set)
        spans: list[Span] = []
        for size, runs in self._runs.items():
            for position, places in runs.find(words):
                spans.append((position, size))
                for place in places:
                    text = bisect_right(self._starts, place) - 1
                    found[text].add(place - self._starts[text])
        return found, sorted(spans)


class _Runs:
    """Where each run of `size` words stands: the first place apart, because most have only one."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.first: dict[int, int] = {}
        self.more: dict[int, list[int]] = {}

    def add(self, words: list[str], start: int) -> None:
        for place, run in enumerate(runs(words, self.size), start=start):
            if self.first.setdefault(run, place) != place:
                self.more.setdefault(run, []).append(place)

    def find(self, words: list[str]) -> Iterator[tuple[int, Sequence[int]]]:
        """The runs of a document that are known: position in it, places in the texts."""
        # Nearly every document shares nothing, and this asks for all its runs at once.
        if self.first.keys().isdisjoint(runs(words, self.size)):
            return
        for position, run in enumerate(runs(words, self.size)):
            if run in self.first:
                yield position, (self.first[run], *self.more.get(run, ()))


def runs(words: Sequence[str], size: int) -> Iterator[int]:
    """A hash of every run of so many words, in their order.

    It has 64 bits and is of this process alone; a chance hit costs one run of a share.
    """
    return map(hash, zip(*(islice(words, i, None) for i in range(size)), strict=False))


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same words in as few spans as it takes; they come sorted."""
    found: list[Span] = []
    for start, size in spans:
        if found and start <= sum(found[-1]):
            begin, so_far = found[-1]
            found[-1] = begin, max(so_far, start + size - begin)
        else:
            found.append((start, size))
    return found


def covered(spans: Iterable[Span]) -> int:
    """Words under the spans, which come sorted and may lie over each other."""
    total = end = 0
    for start, size in spans:
        total += max(0, start + size - max(start, end))
        end = max(end, start + size)
    return total
