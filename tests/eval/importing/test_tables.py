"""Reading files of strangers: garbage is counted or refused, and never quoted."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside_core.errors import InputError
from bedside_eval.importing.tables import KEY, SUFFIXES, read_rows


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_each_kind(tmp_path: Path) -> None:
    def rows(name: str, text: str) -> list[object]:
        return list(read_rows(write(tmp_path, name, text.encode())))

    assert rows("a.csv", '\ufeffa,b\n1,"two\nlines"\n1\n\n') == [
        {"a": "1", "b": "two\nlines"},
        None,
    ]
    assert rows("a.tsv", "a\tb\n1\t2\n") == [{"a": "1", "b": "2"}]
    assert rows("a.jsonl", '{"a": 1}\n\n[1]\n{') == [{"a": 1}, None, None]
    assert rows("a.json", '[{"a": 1}, 2]') == [{"a": 1}, None]
    assert rows("b.json", '{"k": {"a": 1}}') == [{"a": 1, KEY: "k"}]
    assert rows("c.json", '{"a": 1}\n{"a": 2}\n') == [{"a": 1}, {"a": 2}]
    assert rows("d.json", '{"a": 1}') == [{"a": 1}]


def test_a_cell_may_be_a_whole_record(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", b"a\n" + b"x" * 300_000 + b"\n")
    (row,) = read_rows(path)
    assert row is not None
    assert len(row["a"]) == 300_000


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.xlsx", b"PK", "save it as CSV"), ("a.exe", b"", "of no kind"),
        ("a.csv", b"a\n\xff\n", "not UTF-8"), ("a.json", b"{", "no valid JSON"),
        ("a.parquet", b"PAR1", "not a Parquet file"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        list(read_rows(write(tmp_path, name, content)))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=60), suffix=st.sampled_from(SUFFIXES))
def test_no_bytes_are_a_bug(tmp_path: Path, content: bytes, suffix: str) -> None:
    try:
        for row in read_rows(write(tmp_path, f"x{suffix}", content)):
            assert row is None or isinstance(row, dict)
    except InputError as error:
        assert len(str(error)) < 300
