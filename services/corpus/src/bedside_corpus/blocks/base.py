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
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

    def drop(
        self,
        dropped: Dropped,
        place: str,
        document: Document | None = None,
        source: str | None = None,
    ) -> None:
        """Count a record that does not go on, and write down why.

        Args:
            dropped: why.
            place: of the record.
            document: what it became, if it did.
            source: of one that is named by its id alone.
        """
        self.counts.drop(dropped.reason, place)
        if self.decisions is not None:
            source = source or (place.partition("/")[0] if document is None else document.source)
            name, changes = (None, {}) if document is None else (document.id, document.changes)
            self.decisions.drop(place, source, name, self.name, dropped.reason, dropped.by, changes)

    def went_on(self, result: Document, document: Document) -> Document:
        """Count a document that goes on, and note what it was changed by."""
        if not result.says_the_same(document):
            self.counts.changed += 1
            if result.changes == document.changes:
                result = replace(result, changes={**document.changes, self.name: 1})
        return result


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
                yield self.went_on(result, document)


class BatchBlock(Step):
    """Decides on several documents at a time, where that is cheaper: a model on a GPU.

    Order is kept. The batches follow from the documents of a shard alone, so a shard that is done
    again has the same ones.
    """

    type = "block"
    columns: Mapping[str, Literal["number", "label"]] = {}
    """As those of a `Block`."""
    rank = 0
    """Of the work, whose processes may each have a GPU of their own."""
    batch_documents = 1024
    batch_characters = 8_000_000
    """Whichever is reached first closes a batch, so that long documents do not fill the memory."""

    @abstractmethod
    def apply_batch(self, documents: Sequence[Document]) -> Sequence[Document | Dropped]:
        """For each document, in order, how it goes on, or why it does not.

        Raises:
            InputError: what the block needs besides documents cannot be read; ends the build.
        """

    def run(
        self, data: Iterable[Document], rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        """Pass documents on, in order, and count."""
        self.counts, self.rank = Counts(), rank
        for batch in self._batches(data):
            for document, outcome in zip(batch, self.apply_batch(batch), strict=True):
                self.counts.read += 1
                if isinstance(outcome, Dropped):
                    self.drop(outcome, document.place, document)
                else:
                    yield self.went_on(outcome, document)

    def _batches(self, data: Iterable[Document]) -> Iterator[list[Document]]:
        batch: list[Document] = []
        characters = 0
        for document in data:
            batch.append(document)
            characters += len(document.text)
            if len(batch) == self.batch_documents or characters >= self.batch_characters:
                yield batch
                batch, characters = [], 0
        if batch:
            yield batch
