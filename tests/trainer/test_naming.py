"""A document's id is found by its number, in whichever file and row group it stands."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pyarrow.parquet
from hypothesis import given
from hypothesis import strategies as st

from bedside_trainer.naming import names_of


@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=3),
    group=st.integers(1, 4),
    data=st.data(),
)
def test_it_is_found(tmp_path_factory, sizes: list[int], group: int, data: st.DataObject) -> None:  # type: ignore[no-untyped-def]
    folder: Path = tmp_path_factory.mktemp("parquet")
    ids = [f"d{number}" for number in range(sum(sizes))]
    files, begin = [], 0
    for number, size in enumerate(sizes):
        files.append(folder / f"{number}.parquet")
        column = pyarrow.array(ids[begin : begin + size], pyarrow.string())
        table = pyarrow.table({"id": column, "text": column})
        pyarrow.parquet.write_table(table, files[-1], row_group_size=group)
        begin += size
    wanted = data.draw(st.lists(st.integers(0, max(0, len(ids) - 1)), max_size=6))
    assert names_of(files, wanted) == [ids[n] for n in sorted(set(wanted)) if n < len(ids)]
