"""Keeps out what was withdrawn, and leaves with each document what it is recognised by.

It comes before everything that rewrites a document for good: of one that is pseudonymised later,
id and text are others, and the trace is still that of the original.

Covered: the same document under another id, in another file, encoding, Unicode form or source, with
mojibake or other spacing; any text of a withdrawn patient; near copies. Not covered: short excerpts
of a document, paraphrases, and copies of a document that no corpus with traces has held.

Tested in tests/corpus/test_withdrawal.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from bedside_core.heldout import read_heldout
from bedside_core.identifiers import Identifiers, Trace
from bedside_core.matching import canonical, digest
from bedside_core.registry.withdrawals import Withdrawal
from bedside_corpus.blocks.base import Block
from bedside_corpus.document import Document, Dropped


class Withdrawn:
    """What a log has withdrawn, to be looked up."""

    def __init__(self, withdrawals: Iterable[Withdrawal]) -> None:
        self.named: set[str] = set()
        """Names of patients and of documents."""
        self.near: dict[str, list[Trace]] = defaultdict(list)
        """By each of their runs."""
        for withdrawal in withdrawals:
            self.named.add(withdrawal.target)
            for trace in withdrawal.traces:
                self.named |= {trace.id, trace.text}
                for run in trace.sketch:
                    self.near[run].append(trace)

    def find(self, names: Iterable[str | None], runs: set[str]) -> str | None:
        """`withdrawn` where one of the names is, `withdrawn_near` where the runs are a copy's."""
        if not self.named.isdisjoint(names):
            return "withdrawn"
        candidates = {trace for run in runs.intersection(self.near) for trace in self.near[run]}
        return "withdrawn_near" if any(one.is_near(runs) for one in candidates) else None


def withdrawn_texts(sets: Iterable[Path], key: Path, gone: Iterable[Withdrawal]) -> dict[Path, int]:
    """How many texts of held-out sets were withdrawn, by set; only sets that have some.

    Raises:
        InputError: a set cannot be read.
    """
    names, withdrawn = Identifiers.read(key), Withdrawn(gone)
    found: dict[Path, int] = {}
    for path in sets:
        for text in read_heldout(path):
            form = canonical(text.text)
            whose = text.patient, text.document, text.original, names.text(digest(form))
            if withdrawn.find(whose, names.runs(form)) is not None:
                found[path] = found.get(path, 0) + 1
    return found


class Tracing(Block):
    """Drops `withdrawn` and `withdrawn_near`."""

    name = "withdrawn"

    def __init__(self, key: Path, withdrawals: Iterable[Withdrawal]) -> None:
        """`key`: of the house's identifiers; read where the block runs."""
        super().__init__()
        self.key = key
        self.withdrawn = Withdrawn(withdrawals)

    def apply(self, document: Document) -> Document:
        names = self._names
        # As it came, too: a corpus without traces knows no other form.
        forms = document.forms
        form = forms[-1]
        trace = names.trace(document.id, form)
        texts = {names.text(digest(one)) for one in forms}
        whose = document.patient, document.document, trace.id, *texts
        found = self.withdrawn.find(whose, names.runs(form) if self.withdrawn.near else set())
        if found is not None:
            raise Dropped(found)
        return replace(document, trace=str(trace))

    @cached_property
    def _names(self) -> Identifiers:
        return Identifiers.read(self.key)
