"""Documents as they lie in a Parquet file, a row group at a time.

Tested in tests/trainer/data/test_store.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet

from bedside_core.errors import InputError
from bedside_core.kinds.corpus import TEXT

BATCH = 256
"""Documents that are tokenised at once."""


class Batch(NamedTuple):
    """Some documents."""

    ids: list[str]
    texts: list[str]
    sources: list[str]


class Texts:
    """The documents of a Parquet file with the columns `id`, `text` and, optionally, `source`."""

    def __init__(self, path: Path, sha256: str) -> None:
        """`sha256`: of the file (hex); `name`: the source of documents that name none.

        Raises:
            InputError: there is no document.
        """
        self.sha256 = sha256
        self._file = pyarrow.parquet.ParquetFile(path)
        self.documents: int = self._file.metadata.num_rows
        self.groups: int = self._file.metadata.num_row_groups
        if self.documents == 0:
            raise InputError("the corpus has no documents - see its drop reasons, and add sources")

    def group(self, number: int) -> Iterator[Batch]:
        """The documents of a row group, in order."""
        columns = [name for name in ("id", TEXT, "source") if name in self._file.schema_arrow.names]
        batches = self._file.iter_batches(BATCH, row_groups=[number], columns=columns)
        for batch in batches:
            read = {name: batch.column(name).to_pylist() for name in columns}
            yield Batch(read["id"], read[TEXT], read.get("source", ["corpus"] * batch.num_rows))
