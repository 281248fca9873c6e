"""From the documents that the build would keep to candidates, and from those drawn to texts.

Tested in tests/corpus/splitting/test_verb.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from bedside_core.clusters import merged
from bedside_core.errors import ConfigError
from bedside_core.heldout import HeldoutText, heldout_line
from bedside_core.identifiers import Trace
from bedside_core.kinds.corpus import (
    TEXT,
    ListedDocument,
    data_name,
    listing_name,
    text_sha256,
)
from bedside_core.matching import canonical
from bedside_core.overlap import RUN
from bedside_corpus.config import Source
from bedside_corpus.engine.records import Record
from bedside_corpus.splitting.config import Split
from bedside_corpus.splitting.draw import Candidate, Drawn

MIN_WORDS = 2 * RUN
"""A shorter text is no candidate: the build would drop every document that holds its few words."""


class Table(NamedTuple):
    """A file of documents that a build has left, and its listing."""

    data: Path
    listing: Path


def tables_of(written: Iterable[Record], folder: Path) -> Iterator[Table]:
    """Those in the folder of a build's last stage."""
    for number, record in enumerate(written):
        if record.documents:
            yield Table(folder / data_name(number), folder / listing_name(number))


def candidates_of(table: Table, sources: Sequence[Source], settings: Split) -> Iterator[Candidate]:
    """The documents of a file that are long enough; their texts are not kept in memory.

    Raises:
        ConfigError: there is no such column of text.
    """
    types = {source.name: source.type or "-" for source in sources}
    wanted = {column for asked in settings.sets.values() for column in asked.stratify_by}
    with pq.ParquetFile(table.data) as file, table.listing.open(encoding="utf-8") as lines:
        known = {f.name for f in file.schema_arrow if f.type == "string"} - {"id", TEXT}
        if unknown := sorted(wanted - known - {"type"}):
            raise ConfigError(
                f"corpus.split: stratify_by: {unknown[0]!r} is no column of text - known are "
                f"{', '.join(sorted(known | {'type'}))}"
            )
        for batch in file.iter_batches():
            # The listing has a line for each row.
            for row, line in zip(batch.to_pylist(), lines, strict=False):
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
                    _original(json.loads(line)),
                    values,
                )


def texts_of(
    drawn: Mapping[str, Sequence[Drawn]], tables: Iterable[Table]
) -> dict[str, list[HeldoutText]]:
    """The drawn documents by set, read once more, with their clusters over all sets."""
    places = {one.candidate.sha256: (name, one) for name, group in drawn.items() for one in group}
    texts: dict[str, list[HeldoutText]] = {name: [] for name in drawn}
    for table in tables:
        with pq.ParquetFile(table.data) as file:
            for batch in file.iter_batches(columns=[TEXT]):
                for text in batch.column(TEXT).to_pylist():
                    if (digest := text_sha256(text)) in places:
                        name, one = places[digest]
                        of = one.candidate
                        whose = of.patient, of.document, of.original
                        texts[name].append(HeldoutText(_id(of), text.strip(), one.cluster, *whose))
    return merged(texts)


def _original(line: ListedDocument) -> str | None:
    trace = line.get("trace")
    return None if trace is None else Trace.parse(trace).text


def _id(candidate: Candidate) -> str:
    # Of the house's own id nobody knows what it says of a person, and results name these.
    return f"{candidate.source[:40]}-{candidate.sha256[:16]}"


def lines_of(texts: Iterable[HeldoutText], drawn: Iterable[Drawn]) -> Iterator[bytes]:
    """The lines of a set's file."""
    sources = {_id(one.candidate): one.candidate for one in drawn}
    for text in texts:
        yield heldout_line(text, source=sources[text.id].source)
