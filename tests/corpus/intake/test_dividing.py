"""Whatever the parts of a file are, together they give the records of the whole."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside_core.errors import InputError
from bedside_corpus.config import Source
from bedside_corpus.engine.shards import divide
from bedside_corpus.intake.dividing import parts_of
from bedside_corpus.intake.read import read
from bedside_corpus.intake.record import RawRecord
from bedside_corpus.sources import SourceFile


def source_file(path: Path, **declared: Any) -> SourceFile:
    kind = {".jsonl": "jsonl", ".txt": "lines", ".parquet": "parquet"}[path.suffix]
    source = {"name": "s", "path": path, "format": kind, "personal_data": "none", **declared}
    return SourceFile(Source.model_validate(source), path, path.name)


def undivided(file: SourceFile) -> list[RawRecord]:
    return [replace(record, size=0) for record in read(file)]


def divided(file: SourceFile, size: int) -> list[RawRecord]:
    """The records of all parts, which lie side by side and cover the file."""
    parts = [share.part for share in parts_of(file, file.path.stat().st_size, size)]
    assert parts
    assert [part.start for part in parts] == [0, *(part.end for part in parts[:-1])]
    return [record for part in parts for record in undivided(replace(file, part=part))]


LINES = st.lists(
    st.sampled_from(
        [
            b'{"text": "Ein Befund."}',
            '{"text": "übel", "id": "7"}'.encode(),
            '{"text": "für Fieber"}'.encode("cp1252"),
            b'{"id": 3}',
            b'{"text": "' + b"lang " * 30 + b'"}',
            b"{torn",
            b"\xff\x00\xfe",
            b"",
            b" \t",
            b"\xef\xbb\xbf" + b'{"text": "mit Marke"}',
        ]
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=LINES,
    ends=st.lists(st.sampled_from([b"\n", b"\r\n", b"\n\n"]), min_size=25, max_size=25),
    last=st.booleans(),
    size=st.integers(1, 400),
)
def test_lines(
    tmp_path: Path, lines: list[bytes], ends: list[bytes], last: bool, size: int
) -> None:
    path = tmp_path / "a.jsonl"
    content = b"".join(line + end for line, end in zip(lines, ends, strict=False))
    path.write_bytes(b'{"text": "Beginn"}\n' + (content if last else content.rstrip(b"\r\n")))
    file = source_file(path)
    assert divided(file, size) == undivided(file)


@pytest.mark.parametrize("size", [1, 100, 2**20 - 1, 2**20, 2**20 + 1])
def test_lines_longer_than_a_part_and_than_what_is_read_at_once(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.txt"
    texts = [b"kurz", b"x" * (2**20 - 6), b"Rand", b"y" * (3 * 2**20), b"Ende"]
    path.write_bytes(b"\r\n".join(texts))
    file = source_file(path)
    found = divided(file, size)
    assert found == undivided(file)
    assert [record.line for record in found] == [1, 2, 3, 4, 5]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(1, 9), min_size=2, max_size=8), size=st.integers(1, 3000))
def test_row_groups(tmp_path: Path, rows: list[int], size: int) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"Befund {n}" if n % 5 else None for n in range(sum(rows))]
    table = pa.table({"text": pa.array(texts, pa.string()), "id": range(sum(rows))})
    with pq.ParquetWriter(path, table.schema) as writer:
        for start, count in zip([sum(rows[:n]) for n in range(len(rows))], rows, strict=True):
            writer.write_table(table.slice(start, count))
    file = source_file(path)
    found = divided(file, size)
    assert found == undivided(file)
    assert [record.line for record in found] == list(range(1, sum(rows) + 1))


@pytest.mark.parametrize(
    ("content", "declared"),
    [
        (json.dumps({"text": "ä"}).encode("utf-16") * 9, {}),
        (b'{"text": "a"}\n'.decode().encode("utf-16-le") * 9, {"encoding": "utf-16-le"}),
        (gzip.compress(b'{"text": "a"}\n' * 99, mtime=0), {}),
        (b'[{"text": "a"},\n{"text": "b"}]', {}),
        (b'{\n"text": "a"\n}\n{\n"text": "b"\n}', {}),
        (b'{"text": "a"}\r{"text": "b"}\r', {}),
    ],
)
def test_what_can_only_be_read_from_its_beginning_is_not_divided(
    tmp_path: Path, content: bytes, declared: dict[str, str]
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    file = source_file(path, **declared)
    assert parts_of(file, len(content), 5) == []
    assert divide([file], 5)[0].files == (file,)


def test_a_parquet_file_that_cannot_be_read_is_not_divided(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    assert parts_of(source_file(tmp_path / "a.parquet"), 26, 5) == []


def test_a_text_somewhere_in_the_file_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"body": "x"}\n' * 9 + '{"text": "y"}\n')
    file = source_file(path)
    assert divided(file, 20) == undivided(file)
    path.write_text('{"body": "x"}\n' * 9)
    with pytest.raises(InputError, match="no field 'text'; its fields: body"):
        divided(file, 20)


def test_a_large_file_is_many_shards_and_small_ones_follow_its_end(tmp_path: Path) -> None:
    for name, lines in (("a", 1), ("b", 100), ("c", 1)):
        (tmp_path / f"{name}.jsonl").write_text('{"text": "x"}\n' * lines)
    files = [source_file(tmp_path / f"{name}.jsonl") for name in "abc"]
    shards = divide(files, 500)
    assert [[file.name for file in shard.files] for shard in shards] == [
        ["a.jsonl"], ["b.jsonl"], ["b.jsonl"], ["b.jsonl", "c.jsonl"],
    ]  # fmt: skip
    assert sum(shard.size for shard in shards) == 102 * 14
    assert [file.part.lines for shard in shards for file in shard.files if file.part] == [0, 36, 72]
