"""A narrower corpus from one that is there: by the columns of its files, a row group at a time.

    ROOM/measure/   the draw and the words of each document that is selected, for a sample
    ROOM/select/    files of the new corpus, their listings and what was decided

A file becomes a file, so the order of the documents stays and no memory depends on their number.
Texts are copied, not looked at: nothing is scored, cleaned or compared again.

Tested in tests/corpus/classifier/test_build.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bedside_core.artifacts import FileEntry
from bedside_core.errors import ArtifactError, ConfigError, InputError
from bedside_core.files import Hashed, appearing
from bedside_core.kinds.corpus import decisions_name
from bedside_corpus.blocks.base import Step
from bedside_corpus.classifier.config import Range, Select
from bedside_corpus.counts import Counts
from bedside_corpus.decisions import Decisions
from bedside_corpus.document import Document, Dropped
from bedside_corpus.engine.records import Record, write_record
from bedside_corpus.engine.shard import write_shard

GROUP_ROWS = 1024
"""Documents that are held in memory at once."""
DRAW = np.dtype([("draw", "<u8"), ("words", "<i8")])
_BITS = 16
"""Of a draw, those by which the words are summed before the cut is looked for."""


class Pair(NamedTuple):
    """A file of documents and its listing."""

    data: Path
    listing: Path


def check_columns(schema: pa.Schema, select: Mapping[str, Select]) -> None:
    """See whether the conditions fit the columns of a corpus.

    Raises:
        ConfigError: it has no such column, or one of another kind.
    """
    for column, condition in select.items():
        if column not in schema.names or column == "text":
            known = ", ".join(name for name in schema.names if name != "text")
            raise ConfigError(f"corpus.select: the corpus has no column {column!r} but {known}")
        kind = schema.field(column).type
        numeric = pa.types.is_floating(kind) or pa.types.is_integer(kind)
        if numeric != isinstance(condition, Range):
            wanted = "a range (min, max)" if numeric else "a list of names"
            raise ConfigError(f"corpus.select.{column}: this column takes {wanted}")


def fits(batch: pa.RecordBatch, select: Mapping[str, Select]) -> list[str | None]:
    """For each row the first column whose condition it misses; nothing where it meets all."""
    missed: list[str | None] = [None] * batch.num_rows
    for column, condition in select.items():
        missing = isinstance(condition, Range) and condition.missing
        kept = pc.fill_null(_met(batch.column(column), condition), fill_value=missing)
        for row, good in enumerate(kept.to_pylist()):
            if not good and missed[row] is None:
                missed[row] = column
    return missed


def _met(values: pa.Array, condition: Select) -> pa.Array:
    if not isinstance(condition, Range):
        return pc.is_in(values, pa.array(condition, values.type))
    if pa.types.is_integer(values.type):
        values = values.cast(pa.float64())
    # Limits are rounded as the column is: a score of 0.7 is kept from 0.7 on.
    low, high = (
        pa.scalar(without if limit is None else limit, values.type)
        for limit, without in ((condition.min, -np.inf), (condition.max, np.inf))
    )
    return pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high))


def draws(ids: Iterable[str], seed: int) -> list[int]:
    """A number of 64 bits for each document, which its id and the seed alone decide."""
    key = seed.to_bytes(16)
    return [int.from_bytes(blake2b(i.encode(), digest_size=8, key=key).digest()) for i in ids]


class Measuring(Step):
    """Writes the draw and the words of each selected document; no text is read."""

    name = "measuring"

    def __init__(
        self, files: Sequence[Pair], select: Mapping[str, Select], seed: int, folder: Path
    ) -> None:
        """`folder`: of the stage."""
        super().__init__()
        self.files, self.select = tuple(files), dict(select)
        self.seed, self.folder = seed, folder

    def run(self, data: None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Look at file number `rank`."""
        found = [np.empty(0, DRAW)]
        columns = list({"id", "words", *self.select})
        with pq.ParquetFile(self.files[rank].data) as file:
            for batch in file.iter_batches(1 << 16, columns=columns):
                kept = [missed is None for missed in fits(batch, self.select)]
                batch = batch.filter(pa.array(kept, pa.bool_()))
                part = np.empty(batch.num_rows, DRAW)
                part["draw"] = np.array(draws(batch.column("id").to_pylist(), self.seed), np.uint64)
                part["words"] = batch.column("words").to_numpy()
                found.append(part)
        with appearing(draws_path(self.folder, rank)) as out:
            np.save(out, np.concatenate(found))
        yield from ()


def draws_path(folder: Path, rank: int) -> Path:
    """Where the draws of a file are."""
    return folder / f"{rank:05d}.npy"


def cut(files: Sequence[Path], words: int) -> int:
    """The highest draw of a sample of so many words, but for half a document.

    Raises:
        InputError: all documents together have fewer.
    """
    sums = np.zeros(1 << _BITS, np.int64)
    for file in files:
        rows = np.load(file, mmap_mode="r")
        bins = (rows["draw"] >> np.uint64(64 - _BITS)).astype(np.int64)
        # As doubles the sums are exact up to 2^53 words.
        sums += np.bincount(bins, rows["words"], 1 << _BITS).astype(np.int64)
    if int(sums.sum()) < words:
        raise InputError(
            f"corpus.sample: {words:,} words are asked for, the selected documents have "
            f"{int(sums.sum()):,} - ask for fewer, or select less strictly"
        )
    reached = np.cumsum(sums)
    number = int(np.searchsorted(reached, words))
    before = int(reached[number] - sums[number])
    rows = np.concatenate([_of_bin(file, number) for file in files])
    rows = np.sort(rows, order="draw")
    total = before + np.cumsum(rows["words"])
    last = int(np.abs(total - words).argmin())
    if abs(before - words) < abs(int(total[last]) - words):
        return (number << (64 - _BITS)) - 1
    return int(rows["draw"][last])


def _of_bin(file: Path, number: int) -> NDArray[np.void]:
    rows = np.load(file, mmap_mode="r")
    found: NDArray[np.void] = rows[rows["draw"] >> np.uint64(64 - _BITS) == number]
    return found


class Selecting(Step):
    """Writes the selected documents of a file with their lines of the listing.

    Drops `not_selected` (`by` is the column) and `not_sampled`.
    """

    name = "selecting"

    def __init__(
        self,
        files: Sequence[Pair],
        select: Mapping[str, Select],
        sample: tuple[int, int] | None,
        folder: Path,
        tokenizers: Mapping[str, Path],
    ) -> None:
        """Make the step.

        Args:
            files: of the other corpus.
            select: the conditions.
            sample: its seed and its highest draw.
            folder: of the stage.
            tokenizers: whose tokens are counted.
        """
        super().__init__()
        self.files, self.select = tuple(files), dict(select)
        self.sample, self.folder, self.tokenizers = sample, folder, dict(tokenizers)
        self.decisions = self.journal = Decisions(folder)

    def run(self, data: None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Select from file number `rank`.

        Raises:
            ArtifactError: the listing is not that of the file.
        """
        self.counts = Counts()
        with self.journal.opened(rank) as decided:
            record = self._write(rank)
        entry = FileEntry(path=decisions_name(rank), size=decided.size, sha256=decided.sha256)
        outcomes = self.journal.by_source()
        record = record.model_copy(update={"decisions": entry, "outcomes": outcomes})
        write_record(self.folder, rank, record, [self])
        yield from ()

    def _write(self, rank: int) -> Record:
        with (
            pq.ParquetFile(self.files[rank].data) as file,
            self.files[rank].listing.open("rb") as lines,
        ):

            def batches(listing: Hashed) -> Iterator[pa.RecordBatch]:
                for batch in file.iter_batches(GROUP_ROWS):
                    kept = self._kept(batch, lines, listing)
                    chosen = batch.filter(pa.array(kept, pa.bool_()))
                    if chosen.num_rows:
                        yield chosen

            return write_shard(self.folder, rank, file.schema_arrow, batches, self.tokenizers)

    def _kept(self, batch: pa.RecordBatch, lines: Iterator[bytes], listing: Hashed) -> list[bool]:
        ids, sources = (batch.column(name).to_pylist() for name in ("id", "source"))
        missed = fits(batch, self.select)
        numbers = draws(ids, self.sample[0]) if self.sample else [0] * len(ids)
        kept = []
        for identifier, source, column, number in zip(ids, sources, missed, numbers, strict=True):
            self.counts.read += 1
            line = next(lines, b"{}")
            if json.loads(line).get("id") != identifier:
                raise ArtifactError(
                    "the listing of the corpus is not that of its documents - build it again"
                )
            # The place of a document is not in a corpus; its id names it.
            if column is not None:
                self.drop(Dropped("not_selected", column), identifier, source=source)
            elif self.sample and number > self.sample[1]:
                self.drop(Dropped("not_sampled"), identifier, source=source)
            else:
                self.journal.keep(identifier, source, identifier, {})
                listing.write(line)
                kept.append(True)
                continue
            kept.append(False)
        return kept
