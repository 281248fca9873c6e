"""Parquet: a document per row."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from bedside_core.errors import InputError
from bedside_corpus.intake.fields import Mapper
from bedside_corpus.intake.record import DamagedFileError, RawRecord
from bedside_corpus.sources import SourceFile

BATCH_ROWS = 256


def read_parquet(content: BinaryIO, file: SourceFile, skip: int) -> Iterator[RawRecord]:
    """One record per row; only the mapped columns are read, a batch of rows at a time.

    Texts may be strings, dictionaries or views of them, lists of paragraphs, or bytes without the
    mark that they are UTF-8 (Spark, Impala). Rows are counted from the beginning of the file, also
    where only a part of its row groups is read.

    Raises:
        InputError: no column of the texts, or something else in it.
        DamagedFileError: not a Parquet file, or a damaged one.
    """
    mapper = Mapper(file)
    with _opened(content, file) as table:
        schema = table.schema_arrow
        mapper.require(schema.names)
        columns = [name for name in schema.names if _is_mapped(name, mapper)]
        _check_type(schema, mapper)
        size = content.seek(0, io.SEEK_END) // max(1, table.metadata.num_rows)
        groups, row = range(table.num_row_groups), 0
        if file.part is not None:
            groups, row = groups[file.part.start : file.part.end], file.part.lines
        for batch in table.iter_batches(
            BATCH_ROWS, row_groups=groups, columns=columns, use_threads=False
        ):
            for index in range(batch.num_rows):
                row += 1
                if row <= skip:
                    continue
                fields, damage = _row(batch, index)
                if fields is None:
                    yield RawRecord(row, size, None, damage)
                else:
                    yield mapper.record(row, size, fields)


def rows_of_groups(content: BinaryIO, file: SourceFile) -> list[int]:
    """The rows of each row group.

    Raises:
        DamagedFileError: not a Parquet file, or a damaged one.
    """
    with _opened(content, file) as table:
        return [table.metadata.row_group(n).num_rows for n in range(table.num_row_groups)]


@contextmanager
def _opened(content: BinaryIO, file: SourceFile) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(content, page_checksum_verification=True) as table:
            yield table
    except MemoryError:  # pyarrow's is one of its other exceptions as well
        raise
    # pyarrow raises a bare OSError, without an error number, for a page that does not unpack.
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DamagedFileError(
            f"{file.path}: not a Parquet file, or a damaged one - copy the file again"
        ) from None


def _is_mapped(column: str, mapper: Mapper) -> bool:
    paths = [path for paths in mapper.paths.values() for path in paths]
    return column in paths or any(path.startswith(f"{column}.") for path in paths)


def _check_type(schema: pa.Schema, mapper: Mapper) -> None:
    """A million counts of `no_text` say less than this."""
    for name in mapper.paths["text"]:
        if name not in schema.names:
            continue
        kind = schema.field(name).type
        inner = kind.value_type if pa.types.is_dictionary(kind) or pa.types.is_list(kind) else kind
        if not _holds_text(inner):
            raise InputError(
                f"{mapper.file.path}: the column {name!r} holds {kind}, no text - set fields.text "
                f"of source {mapper.file.source.name!r} to the one with the text"
            )


def _holds_text(kind: pa.DataType) -> bool:
    tests = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")
    return any(getattr(pa.types, f"is_{name}")(kind) for name in tests) or pa.types.is_null(kind)


def _row(batch: pa.RecordBatch, index: int) -> tuple[dict[str, Any] | None, str | None]:
    # Value by value: one string that is not UTF-8 would fail the conversion of the whole batch.
    try:
        return {name: batch.column(name)[index].as_py() for name in batch.schema.names}, None
    except UnicodeDecodeError:
        return None, "not_utf8"
