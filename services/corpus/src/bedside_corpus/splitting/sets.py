"""From the documents that the build would keep to candidates, and from those drawn to texts.

Tested in tests/corpus/splitting/test_verb.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from bedside_core.clusters import merged
from bedside_core.errors import ConfigError
from bedside_core.heldout import HeldoutText, heldout_line
from bedside_core.kinds.corpus import TEXT, text_sha256
from bedside_core.matching import canonical
from bedside_core.overlap import RUN
from bedside_corpus.config import Source
from bedside_corpus.engine.records import Record
from bedside_corpus.splitting.config import Split
from bedside_corpus.splitting.draw import Candidate, Drawn

MIN_WORDS = 2 * RUN
"""A shorter text is no candidate: the build would drop every document that holds its few words."""


def tables_of(written: Iterable[Record], folder: Path) -> Iterator[Path]:
    """The files of documents that a build has left in its folder."""
    for record in written:
        yield from (folder / e.path for e in record.files if e.path.endswith(".parquet"))


def candidates_of(
    tables: Iterable[Path], sources: Sequence[Source], settings: Split
) -> Iterator[Candidate]:
    """The documents that are long enough; their texts are not kept in memory.

    Raises:
        ConfigError: there is no such column of text.
    """
    types = {source.name: source.type or "-" for source in sources}
    wanted = {column for asked in settings.sets.values() for column in asked.stratify_by}
    for path in tables:
        with pq.ParquetFile(path) as file:
            known = {f.name for f in file.schema_arrow if f.type == "string"} - {"id", TEXT}
            if unknown := sorted(wanted - known - {"type"}):
                raise ConfigError(
                    f"corpus.split: stratify_by: {unknown[0]!r} is no column of text - known are "
                    f"{', '.join(sorted(known | {'type'}))}"
                )
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    if len(canonical(row[TEXT]).split()) < MIN_WORDS:
                        continue
                    values = {name: row.get(name) or "-" for name in wanted}
                    if "type" in wanted:
                        values["type"] = types[row["source"]]
                    yield Candidate(
                        text_sha256(row[TEXT]),
                        row["source"],
                        row["patient"],
                        row["document"],
                        values,
                    )


def texts_of(
    drawn: Mapping[str, Sequence[Drawn]], tables: Iterable[Path]
) -> dict[str, list[HeldoutText]]:
    """The drawn documents by set, read once more, with their clusters over all sets."""
    places = {one.candidate.sha256: (name, one) for name, group in drawn.items() for one in group}
    texts: dict[str, list[HeldoutText]] = {name: [] for name in drawn}
    for path in tables:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=[TEXT]):
                for text in batch.column(TEXT).to_pylist():
                    if (digest := text_sha256(text)) in places:
                        name, one = places[digest]
                        whose = one.candidate.patient, one.candidate.document
                        text = HeldoutText(_id(one.candidate), text.strip(), one.cluster, *whose)
                        texts[name].append(text)
    return merged(texts)


def _id(candidate: Candidate) -> str:
    # Of the house's own id nobody knows what it says of a person, and results name these.
    return f"{candidate.source[:40]}-{candidate.sha256[:16]}"


def lines_of(texts: Iterable[HeldoutText], drawn: Iterable[Drawn]) -> Iterator[bytes]:
    """The lines of a set's file."""
    sources = {_id(one.candidate): one.candidate for one in drawn}
    for text in texts:
        yield heldout_line(text, source=sources[text.id].source)
