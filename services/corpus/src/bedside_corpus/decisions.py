"""What was decided on each record, on disk: where it stands, and what became of it; never text.

A row for every record that was read: its `source`, `file` and `line` are its place, `id` what it is
called where that is not its place. A record that is out has the `step` and the `reason`, and `by`
which other thing (another document, an exam's item, a number) if there is one. One that is in has
its `row` in the shard's file of documents. `changes` says what changed it, and how often.

The rows of a shard are those that the first stage dropped and then those that reached the last,
each in the order of the sources: so the least and the greatest `file` and `line` of each row group,
which Parquet keeps, lead to a place without reading the rest.

Tested in tests/corpus/test_decisions.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bedside_core.files import Hashed, appearing
from bedside_core.kinds.corpus import decisions_name

CHANGES = pa.map_(pa.string(), pa.int32())
SCHEMA = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        ("line", pa.int64()),
        ("id", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        ("step", pa.string()),
        ("reason", pa.string()),
        ("by", pa.string()),
        ("changes", CHANGES),
        ("row", pa.int64()),
    ]
)
VERSION = 1
"""Of the columns and what they mean; with another one a corpus is built again."""
GROUP_ROWS = 1 << 14
"""Rows that are held in memory at once: some megabytes."""
_REPEATING = ["file", "source", "step", "reason"]


class Decisions:
    """The decisions of one shard while it is worked on; all steps of a stage share one of these."""

    def __init__(self, folder: Path, before: Path | None = None) -> None:
        """`folder`: of the stage; `before`: of the stage whose rows come first."""
        self.folder, self.before = folder, before
        self._rows: list[dict[str, Any]] = []
        self._table: pq.ParquetWriter | None = None
        self._kept = 0
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """Of the shard at hand: records per source and reason, which is empty for those kept."""

    @contextmanager
    def opened(self, rank: int) -> Iterator[Hashed]:
        """Take the decisions of a shard; its file appears when it is whole."""
        self._rows, self._kept, self.outcomes = [], 0, Counter()
        name = decisions_name(rank)
        with appearing(self.folder / name) as file:
            hashed = Hashed(file)
            with pq.ParquetWriter(
                hashed,
                SCHEMA,
                compression="zstd",
                use_dictionary=_REPEATING,
                column_encoding={"id": "DELTA_BYTE_ARRAY", "by": "DELTA_BYTE_ARRAY"},
            ) as self._table:
                if self.before is not None:
                    with pq.ParquetFile(self.before / name) as earlier:
                        for batch in earlier.iter_batches(GROUP_ROWS):
                            self._table.write_batch(batch)
                            self.outcomes.update(_outcomes(batch))
                yield hashed
                self._flush()
            self._table = None

    def by_source(self) -> dict[str, dict[str, int]]:
        """The outcomes, as a record has them."""
        found: dict[str, dict[str, int]] = {}
        for (source, reason), count in sorted(self.outcomes.items()):
            found.setdefault(source, {})[reason] = count
        return found

    def drop(
        self,
        place: str,
        source: str,
        identifier: str | None,
        step: str,
        reason: str,
        by: str,
        changes: Mapping[str, int],
    ) -> None:
        """Note that a record is out; `identifier` is None where it was read no further."""
        self._add(place, source, identifier, changes, step=step, reason=reason, by=by or None)
        self.outcomes[source, reason] += 1

    def keep(self, place: str, source: str, identifier: str, changes: Mapping[str, int]) -> None:
        """Note that a record is the next row of the corpus."""
        self._add(place, source, identifier, changes, row=self._kept)
        self.outcomes[source, ""] += 1
        self._kept += 1

    def _add(
        self,
        place: str,
        source: str,
        identifier: str | None,
        changes: Mapping[str, int],
        **more: Any,
    ) -> None:
        file, line = split_place(place)
        name = None if identifier == place else identifier
        row = {"file": file, "line": line, "id": name, "source": source}
        self._rows.append(row | {"changes": dict(changes) or None} | more)
        if len(self._rows) == GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._table is not None and self._rows:
            self._table.write_table(pa.Table.from_pylist(self._rows, SCHEMA))
            self._rows = []


def _outcomes(batch: pa.RecordBatch) -> Iterator[tuple[str, str]]:
    columns = (batch.column(name).to_pylist() for name in ("source", "reason"))
    return ((source, reason or "") for source, reason in zip(*columns, strict=True))


def split_place(place: str) -> tuple[str, int | None]:
    """`source/file` and the line, of `source/file:line`; a file's name ends in its suffix."""
    file, colon, line = place.rpartition(":")
    return (file, int(line)) if colon and line.isdecimal() and line.isascii() else (place, None)
