"""Ids of documents by their numbers, read where they stand: the row index knows numbers alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


def names_of(files: Sequence[Path], numbers: Iterable[int]) -> list[str]:
    """The ids of documents, in the order of their numbers, each once; reads no text.

    Args:
        files: Parquet files with a column `id`, whose rows are numbered one file after another.
        numbers: of the documents, from 0.
    """
    import pyarrow.parquet

    wanted, names, begin = sorted(set(numbers)), [], 0
    for path in files:
        file = pyarrow.parquet.ParquetFile(path)
        for group in range(file.num_row_groups):
            end = begin + file.metadata.row_group(group).num_rows
            here = [number - begin for number in wanted if begin <= number < end]
            if here:
                column = file.read_row_group(group, columns=["id"]).column("id")
                names += [str(column[place].as_py()) for place in here]
            begin = end
    return names
