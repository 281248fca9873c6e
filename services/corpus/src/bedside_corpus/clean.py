"""From source files to the documents of the corpus, one at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bedside_core.heldout import read_heldout
from bedside_core.progress import Progress
from bedside_corpus.config import CorpusConfig
from bedside_corpus.document import Document, Dropped, make_document
from bedside_corpus.medical_filter import density
from bedside_corpus.normalise import normalise
from bedside_corpus.readers import RawRecord, read
from bedside_corpus.sources import SourceFile
from bedside_corpus.tally import Tally


def clean(config: CorpusConfig, files: Sequence[SourceFile], tally: Tally) -> Iterator[Document]:
    """Yield the documents that are kept, in order; count everything in `tally`.

    Memory grows by two hashes per kept document, not by its text.

    Raises:
        InputError: a file or a held-out text cannot be read.
    """
    gate = Gate(config)
    total = sum(file.path.stat().st_size for file in files)
    with Progress("corpus", total=total, unit="byte") as progress:
        for file in files:
            for record in read(file):
                tally.read += 1
                try:
                    document = _document(record, file, config.language)
                    gate.admit(document)
                except Dropped as dropped:
                    tally.drop(dropped.reason, _place(record, file))
                else:
                    tally.keep(document)
                    yield document
                progress.update(record.size, documents=tally.kept)


class Gate:
    """Decides on each document by those that came before it."""

    def __init__(self, config: CorpusConfig) -> None:
        self.min_density = config.medical_filter.min_density if config.medical_filter else 0.0
        self.heldout = set(heldout_digests(config.heldout))
        self.texts: set[bytes] = set()
        self.ids: set[bytes] = set()

    def admit(self, document: Document) -> None:
        """Let a document in.

        Raises:
            Dropped: `heldout`, `duplicate_text`, `duplicate_id` (of another text) or `not_medical`.
        """
        text = bytes.fromhex(document.sha256)
        identifier = hashlib.sha256(document.id.encode()).digest()
        if text in self.heldout:
            raise Dropped("heldout")
        if text in self.texts:
            raise Dropped("duplicate_text")
        if identifier in self.ids:
            raise Dropped("duplicate_id")
        if self.min_density and density(document.text) < self.min_density:
            raise Dropped("not_medical")
        self.texts.add(text)
        self.ids.add(identifier)


def heldout_digests(folders: Iterable[Path]) -> Iterator[bytes]:
    """SHA-256 of each held-out text, normalised as the documents are.

    Raises:
        InputError: a folder without texts, or one that is empty or not UTF-8.
    """
    for folder in folders:
        for heldout in read_heldout(folder):
            yield hashlib.sha256(normalise(heldout.text).encode()).digest()


def _document(record: RawRecord, file: SourceFile, language: str) -> Document:
    if record.fields is None:
        raise Dropped(record.damage or "malformed")
    return make_document(record.fields, file, record.line, language)


def _place(record: RawRecord, file: SourceFile) -> str:
    return file.label if record.line is None else f"{file.label}:{record.line}"
