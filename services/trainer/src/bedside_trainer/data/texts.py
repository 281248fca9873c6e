"""Documents as they lie in the Parquet files of a corpus, a row group at a time.

Tested in tests/trainer/data/test_store.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

import pyarrow.parquet

from bedside_core.errors import InputError
from bedside_core.kinds.corpus import TEXT, Shard

BATCH = 256
"""Documents that are tokenised at once."""


class Batch(NamedTuple):
    """Some documents."""

    ids: list[str]
    texts: list[str]
    sources: list[str]


class Texts:
    """The documents of files with the columns `id`, `text` and, optionally, `source`."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        """Look at the size of each file.

        Raises:
            InputError: there is no document.
        """
        self.sha256 = sha256("".join(shard.sha256 for shard in shards).encode()).hexdigest()
        """Of the hashes of the files, in their order."""
        self.documents = 0
        self._groups: list[tuple[Shard, int]] = []
        for shard in shards:
            found = pyarrow.parquet.read_metadata(shard.path)
            self.documents += found.num_rows
            self._groups += [(shard, number) for number in range(found.num_row_groups)]
        self.groups = len(self._groups)
        if self.documents == 0:
            raise InputError("the corpus has no documents - see its drop reasons, and add sources")

    def group(self, number: int) -> Iterator[Batch]:
        """The documents of a row group, in order; the groups of all files are numbered through."""
        shard, within = self._groups[number]
        with pyarrow.parquet.ParquetFile(shard.path) as file:
            columns = [name for name in ("id", TEXT, "source") if name in file.schema_arrow.names]
            for batch in file.iter_batches(BATCH, row_groups=[within], columns=columns):
                read = {name: batch.column(name).to_pylist() for name in columns}
                sources = read.get("source", ["corpus"] * batch.num_rows)
                yield Batch(read["id"], read[TEXT], sources)
