"""From source files to the documents of the corpus, one at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from bedside_core.heldout import read_heldout
from bedside_core.overlap import OverlapIndex
from bedside_core.progress import Progress
from bedside_corpus.config import CorpusConfig
from bedside_corpus.document import Document, Dropped, make_document
from bedside_corpus.intake.read import read
from bedside_corpus.intake.record import RawRecord
from bedside_corpus.medical_filter import density
from bedside_corpus.sources import SourceFile
from bedside_corpus.tally import Tally


def clean(config: CorpusConfig, files: Sequence[SourceFile], tally: Tally) -> Iterator[Document]:
    """Yield the documents that are kept, in order; count everything in `tally`.

    Memory grows by two hashes per kept document, not by its text, and holds the held-out texts.

    Raises:
        InputError: a file or a held-out text cannot be read.
    """
    gate = Gate(config)
    total = sum(file.path.stat().st_size for file in files)
    with Progress("corpus", total=total, unit="byte") as progress:
        for file in files:
            for record in read(file):
                tally.read += 1
                tally.notes.update(record.notes)
                try:
                    document = _document(record, file, config.language)
                    gate.admit(document)
                except Dropped as dropped:
                    tally.drop(dropped.reason, file.place(record.line))
                else:
                    tally.keep(document)
                    yield document
                progress.update(record.size, documents=tally.kept)


class Gate:
    """Decides on each document by those that came before it."""

    def __init__(self, config: CorpusConfig) -> None:
        self.min_density = config.medical_filter.min_density if config.medical_filter else 0.0
        self.heldout = OverlapIndex(
            item.text for folder in config.heldout for item in read_heldout(folder)
        )
        self.texts: set[bytes] = set()
        self.ids: set[bytes] = set()

    def admit(self, document: Document) -> None:
        """Let a document in.

        Raises:
            Dropped: `heldout`, `heldout_near`, `heldout_ngram`, `duplicate_text`, `duplicate_id`
                (of another text) or `not_medical`.
        """
        text = bytes.fromhex(document.sha256)
        identifier = hashlib.sha256(document.id.encode()).digest()
        self._keep_out(document)
        if text in self.texts:
            raise Dropped("duplicate_text")
        if identifier in self.ids:
            raise Dropped("duplicate_id")
        if self.min_density and density(document.text) < self.min_density:
            raise Dropped("not_medical")
        self.texts.add(text)
        self.ids.add(identifier)

    def _keep_out(self, document: Document) -> None:
        hit = self.heldout.look_up(document.form)
        if hit.exact:
            raise Dropped("heldout")
        if hit.is_near:
            raise Dropped("heldout_near")
        if hit.is_found:
            raise Dropped("heldout_ngram")


def _document(record: RawRecord, file: SourceFile, language: str) -> Document:
    if record.fields is None:
        raise Dropped(record.damage or "malformed")
    return make_document(record.fields, file, record.line, language)
