import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside_core.errors import InputError
from bedside_corpus.config import Source
from bedside_corpus.readers import read
from bedside_corpus.sources import SourceFile


def file_of(path, kind):
    return SourceFile(Source(name="s", path=path, format=kind), path, path.name)


def write_jsonl(path, lines):
    data = b"\n".join(lines)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return file_of(path, "jsonl")


fields = st.dictionaries(st.text(max_size=5), st.text() | st.none() | st.integers(), max_size=3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(fields, max_size=8), packed=st.booleans(), ascii_only=st.booleans())
def test_jsonl_gives_back_every_object_and_all_bytes(tmp_path, records, packed, ascii_only):
    lines = [json.dumps(record, ensure_ascii=ascii_only).encode() for record in records]
    file = write_jsonl(tmp_path / ("a.jsonl.gz" if packed else "a.jsonl"), lines)
    found = list(read(file))
    assert [r.fields for r in found] == records
    assert [r.line for r in found] == list(range(1, len(records) + 1))
    assert sum(r.size for r in found) == (file.path.stat().st_size if records else 0)


@pytest.mark.parametrize(
    ("line", "damage"),
    [
        (b'{"text": "cut', "malformed"),
        (b"plain words", "malformed"),
        (b'["a", "list"]', "malformed"),
        (b"[" * 100_000, "malformed"),
        (b'{"text": "\xff\xfe"}', "not_utf8"),
        ('{"text": "Ödem"}'.encode("latin-1"), "not_utf8"),
    ],
    ids=["cut", "words", "list", "deep", "bytes", "latin-1"],
)
def test_a_damaged_line_is_a_reason_and_its_neighbours_survive(tmp_path, line, damage):
    good = b'{"text": "gut"}'
    first, bad, last = read(write_jsonl(tmp_path / "a.jsonl", [good, line, b"", good]))
    assert (bad.line, bad.fields, bad.damage) == (2, None, damage)
    assert first.fields == last.fields == {"text": "gut"}
    assert last.line == 4


def test_a_byte_order_mark_and_windows_line_ends_are_forgiven(tmp_path):
    file = write_jsonl(tmp_path / "a.jsonl", [b'\xef\xbb\xbf{"text": "a"}\r', b'{"text": "b"}\r'])
    assert [r.fields for r in read(file)] == [{"text": "a"}, {"text": "b"}]


@pytest.mark.parametrize("part", ["cut", "flipped", "plain"])
def test_a_damaged_gzip_stream_is_an_input_error_that_names_the_file(tmp_path, part):
    data = gzip.compress(b"".join(json.dumps({"text": f"{i} " * 9}).encode() for i in range(999)))
    middle = len(data) // 2
    damaged = {
        "cut": data[:middle],
        "flipped": data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :],
        "plain": b'{"text": "a"}',
    }
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(damaged[part])
    with pytest.raises(InputError, match=r"a\.jsonl\.gz: the gzip stream is cut off or damaged"):
        list(read(file_of(path, "jsonl")))


def test_parquet_rows_in_order_with_only_our_columns(tmp_path):
    rows = [{"text": f"Text {i}", "id": f"d{i}", "extra": i} for i in range(600)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=100)
    found = list(read(file_of(tmp_path / "a.parquet", "parquet")))
    assert [r.fields for r in found] == [{"text": r["text"], "id": r["id"]} for r in rows]
    assert [r.line for r in found] == list(range(1, 601))


def test_a_parquet_value_that_is_not_utf8_is_a_reason(tmp_path):
    binary = pa.array([b"gut", b"\xff", b"auch gut"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 3, binary.buffers())
    pq.write_table(pa.table({"text": text}), tmp_path / "a.parquet")
    found = list(read(file_of(tmp_path / "a.parquet", "parquet")))
    assert [r.damage for r in found] == [None, "not_utf8", None]


@pytest.mark.parametrize("part", ["empty", "cut", "page"])
def test_a_damaged_parquet_file_is_an_input_error_that_names_it(tmp_path, part):
    path = tmp_path / "a.parquet"
    rows = {"text": [f"Text {i}" * 50 for i in range(500)]}
    pq.write_table(pa.table(rows), path, compression="zstd")
    data = bytearray(path.read_bytes())
    if part == "page":
        data[4:400] = bytes(396)
    path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "page": data}[part])
    with pytest.raises(InputError, match=r"a\.parquet: not a Parquet file, or a damaged one"):
        list(read(file_of(path, "parquet")))


def test_parquet_without_texts_is_an_input_error(tmp_path):
    pq.write_table(pa.table({"body": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="no column 'text'"):
        list(read(file_of(tmp_path / "a.parquet", "parquet")))


def test_a_text_file_is_one_document_named_by_its_path(tmp_path):
    (tmp_path / "a.b.txt").write_text("Befund: o. B.\n")
    file = SourceFile(file_of(tmp_path, "text").source, tmp_path / "a.b.txt", "sub/a.b.txt")
    (record,) = read(file)
    assert record.fields == {"text": "Befund: o. B.\n", "id": file.source.name + "/sub/a.b"}
    assert record.line is None


def test_a_text_file_that_is_not_utf8_is_a_reason(tmp_path):
    (tmp_path / "a.txt").write_bytes("Ödem".encode("utf-16"))
    (record,) = read(file_of(tmp_path / "a.txt", "text"))
    assert (record.fields, record.damage) == (None, "not_utf8")


def test_a_file_that_went_away_is_an_input_error(tmp_path):
    for kind, suffix in (("text", ".txt"), ("jsonl", ".jsonl"), ("parquet", ".parquet")):
        with pytest.raises(InputError, match="cannot be read"):
            list(read(file_of(tmp_path / f"a{suffix}", kind)))
