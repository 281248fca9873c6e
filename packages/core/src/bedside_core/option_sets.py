"""Exam items whose question and options stand together in a document, in whatever order.

For items whose question is too short to stand for them alone. Runs of words do not find these where
the options come in another order: each option is a word or two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bedside_core.matching import canonical
from bedside_core.overlap import RUN, runs

STARTS = (RUN, 4)
"""Words of a question by which it is looked for; one of fewer is not looked for in this way."""
BETWEEN = 8
"""Words, beyond one for each word of the options, that may stand between question and options:
letters, "Antwort", a page's number."""


class _Set(NamedTuple):
    question: list[str]
    options: list[str]
    reach: int


class OptionSets:
    """Questions with their options, looked up together."""

    def __init__(self, items: Mapping[int, tuple[str, Sequence[str]]]) -> None:
        """`items`: question and options, by a number of the caller's."""
        self._sets: dict[int, _Set] = {}
        self._starts: dict[int, dict[int, list[int]]] = {}
        for number, (question, options) in items.items():
            self._add(number, canonical(question).split(), [*map(canonical, options)])

    def find(self, form: str) -> set[int]:
        """The items that stand in a document, given by its canonical form."""
        if not self._sets:
            return set()
        words, found = form.split(), set()
        for size, starts in self._starts.items():
            if not starts.keys().isdisjoint(runs(words, size)):
                for place, run in enumerate(runs(words, size)):
                    found |= {n for n in starts.get(run, ()) if self._stands(n, words, place)}
        return found

    def _add(self, number: int, question: list[str], options: list[str]) -> None:
        size = next((size for size in STARTS if size <= len(question)), None)
        # Options that are all signs (+, ++) have no words to look for.
        if size is None or not all(options):
            return
        reach = 2 * sum(len(option.split()) for option in options) + BETWEEN
        self._sets[number] = _Set(question, [f" {option} " for option in options], reach)
        starts = self._starts.setdefault(size, defaultdict(list))
        starts[next(runs(question, size))].append(number)

    def _stands(self, number: int, words: list[str], place: int) -> bool:
        question, options, reach = self._sets[number]
        end = place + len(question)
        if words[place:end] != question:
            return False
        behind = f" {' '.join(words[end : end + reach])} "
        return all(option in behind for option in options)
