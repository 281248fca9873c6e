"""The contract of a block: a document in; kept, changed or dropped with a reason out.

A block is a step of a datatrove pipeline, so it runs in any of its executors: in this process, in
others, on a cluster. It is made once, from settings and paths, and copied to wherever it runs. What
costs time or memory to make (an index, a model) is a `cached_property`: made in each process when
the first document comes, and kept for all of its shards.

    class Emptiness(Block):
        name = "emptiness"

        def apply(self, document: Document) -> Document:
            if not document.text.strip():
                raise Dropped("empty")
            return document
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Literal

from datatrove.pipeline.base import PipelineStep

from bedside_corpus.counts import Counts
from bedside_corpus.decisions import Decisions
from bedside_corpus.document import Document, Dropped


class Step(PipelineStep):  # type: ignore[misc]  # datatrove has no types
    """A part of a pipeline that counts what it does; `run` begins with counts of its own."""

    type = "step"
    name: str
    """In statistics: small letters and underscores."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counts()
        self.decisions: Decisions | None = None
        """Where each decision goes, if it is written down."""

    def drop(self, dropped: Dropped, place: str, document: Document | None = None) -> None:
        """Count a record that does not go on, and write down why; `document`, if it became one."""
        self.counts.drop(dropped.reason, place)
        if self.decisions is not None:
            name, changes = (None, {}) if document is None else (document.id, document.changes)
            self.decisions.drop(place, name, self.name, dropped.reason, dropped.by, changes)


class Block(Step):
    """Decides on documents one at a time, whatever came before; the base counts what it does."""

    type = "block"
    columns: ClassVar[Mapping[str, Literal["number", "label"]]] = {}
    """The scores that the block leaves in `Document.scores`, each a column of the corpus."""

    @abstractmethod
    def apply(self, document: Document) -> Document:
        """The document as it goes on: the same one, or a changed one (`dataclasses.replace`).

        It is a function of the document and the block's settings alone, so that the corpus is the
        same however the work is divided.

        Raises:
            Dropped: the document does not go on, for the reason given.
            InputError: what the block needs besides documents cannot be read; ends the build.
        """

    def run(
        self, data: Iterable[Document], rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        """Pass documents on, in order, and count."""
        self.counts = Counts()
        for document in data:
            self.counts.read += 1
            try:
                result = self.apply(document)
            except Dropped as dropped:
                self.drop(dropped, document.place, document)
            else:
                if not result.says_the_same(document):
                    self.counts.changed += 1
                    if result.changes == document.changes:
                        result = replace(result, changes={**document.changes, self.name: 1})
                yield result
