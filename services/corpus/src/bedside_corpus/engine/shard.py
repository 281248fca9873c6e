"""A file of a corpus with its listing and their record, whatever the documents come from.

Tested in tests/corpus/engine/test_build.py, tests/corpus/classifier/test_build.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bedside_core.artifacts import FileEntry
from bedside_core.files import Hashed, appearing
from bedside_core.kinds.corpus import data_name, listing_name
from bedside_corpus.engine.records import Record
from bedside_corpus.passport.measures import Measuring


def write_shard(
    folder: Path,
    number: int,
    schema: pa.Schema,
    batches: Callable[[Hashed], Iterable[pa.RecordBatch]],
    tokenizers: Mapping[str, Path],
) -> Record:
    """Write a file of documents and its listing, hashed on the way.

    Args:
        folder: of the stage.
        number: of the file.
        schema: of the documents.
        batches: gives the documents, and writes their lines to the listing that it is given.
        tokenizers: whose tokens are counted.

    Returns:
        Their record; it has no decisions and no steps yet.
    """
    measuring = Measuring(tokenizers)
    names = data_name(number), listing_name(number)
    words, licences = 0, defaultdict[str, Counter[str]](Counter)
    with appearing(folder / names[0]) as data, appearing(folder / names[1]) as listed:
        table, listing = Hashed(data), Hashed(listed)
        with pq.ParquetWriter(table, schema, compression="zstd") as parquet:
            for batch in batches(listing):
                parquet.write_batch(batch)
                measuring.add(batch)
                words += pc.sum(batch.column("words")).as_py()
                columns = (batch.column(name).to_pylist() for name in ("source", "licence"))
                for source, licence in zip(*columns, strict=True):
                    licences[source][licence] += 1
    return Record(
        documents=sum(counts.total() for counts in licences.values()),
        words=words,
        licences={source: dict(counts) for source, counts in licences.items()},
        measures=measuring.to_json(),
        files=tuple(
            FileEntry(path=name, size=hashed.size, sha256=hashed.sha256)
            for name, hashed in zip(names, (table, listing), strict=True)
        ),
    )
