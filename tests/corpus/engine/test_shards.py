"""Files are divided by their sizes alone, and none is left out."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside_corpus.config import Source
from bedside_corpus.engine.shards import divide
from bedside_corpus.sources import SourceFile


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(0, 12), max_size=20), limit=st.integers(1, 20))
def test_every_file_is_in_one_shard_in_order(tmp_path: Path, sizes: list[int], limit: int) -> None:
    source = Source(name="s", path=tmp_path, format="text", personal_data="none")
    files = []
    for number, size in enumerate(sizes):
        path = tmp_path / f"{number}.txt"
        path.write_bytes(b"x" * size)
        files.append(SourceFile(source, path, path.name))
    shards = divide(files, limit)
    assert [file for shard in shards for file in shard.files] == files
    assert sum(shard.size for shard in shards) == sum(sizes)
    assert all(shard.size <= limit or len(shard.files) == 1 for shard in shards)
    assert all(one.size + two.files[0].path.stat().st_size > limit for one, two in pairwise(shards))
