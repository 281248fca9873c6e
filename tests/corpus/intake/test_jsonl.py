import gzip
import json

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside_core.errors import InputError
from bedside_corpus.intake import jsonl, record, stream

GOOD = b'{"text": "gut"}'
LETTERS = [{"text": f"Größe {n} cm, Fieber 39,5 °C"} for n in range(3)]


def texts(records):
    return [r.fields and r.fields["text"] for r in records]


def packed(data, name):
    if name.endswith(".gz"):
        return gzip.compress(data)
    return pa.compress(data, "zstd", asbytes=True) if name.endswith(".zst") else data


fields = st.dictionaries(st.sampled_from(["text", "id", "x"]), st.text() | st.integers())
NAMES = st.sampled_from(["a.jsonl", "a.jsonl.gz", "a.ndjson.zst", "A.JSONL"])


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
@given(records=st.lists(fields, max_size=8), name=NAMES, ascii_only=st.booleans())
def test_every_object_and_all_bytes(read_bytes, tmp_path, records, name, ascii_only):
    lines = [json.dumps(r | {"text": "t"}, ensure_ascii=ascii_only).encode() for r in records]
    found = read_bytes(name, packed(b"\n".join(lines), name), "jsonl")
    assert texts(found) == ["t"] * len(records)
    assert [r.line for r in found] == list(range(1, len(records) + 1))
    assert sum(r.size for r in found) == ((tmp_path / name).stat().st_size if records else 0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes_are_records_reasons_or_an_input_error(read_bytes, data):
    for prefix in (b"", b"[{", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xff\xfe"):
        try:
            found = read_bytes("a.jsonl", prefix + data, "jsonl")
        except InputError:
            continue
        assert all(r.fields is not None or r.damage for r in found)


@pytest.mark.parametrize(
    ("line", "damage"),
    [
        (b'{"text": "cut', "malformed"),
        (b"plain words", "malformed"),
        (b'["a", "list"]', "malformed"),
        (b"[" * 100_000, "malformed"),
        (b'{"text": "\xff\xfe"}', "not_utf8"),
        ('{"text": "erhält"}'.encode("cp850"), "not_utf8"),
    ],
    ids=["cut", "words", "list", "deep", "bytes", "cp850"],
)
def test_a_damaged_line_is_a_reason_and_its_neighbours_survive(read_bytes, line, damage):
    first, bad, last = read_bytes("a.jsonl", b"\n".join([GOOD, line, b"", GOOD]), "jsonl")
    assert (bad.line, bad.fields, bad.damage) == (2, None, damage)
    assert texts([first, last]) == ["gut", "gut"]
    assert last.line == 4


def test_marks_and_line_ends_of_other_systems_are_forgiven(read_bytes):
    data = b'\xef\xbb\xbf{"text": "a"}\r\n\xef\xbb\xbf{"text": "b"}\r\n'
    assert texts(read_bytes("a.jsonl", data, "jsonl")) == ["a", "b"]
    data = b'{"text": "a"}\r{"text": "b"}'
    assert texts(read_bytes("a.jsonl", data, "jsonl")) == ["a", "b"]


def test_encodings_are_found_named_and_may_be_mixed(read_bytes):
    lines = [json.dumps(r, ensure_ascii=False) for r in LETTERS]
    whole = [r["text"] for r in LETTERS]
    found = read_bytes("a.jsonl", "\n".join(lines).encode("utf-16"), "jsonl")
    assert texts(found) == whole
    assert {r.notes for r in found} == {("encoding utf-16",)}
    mixed = lines[0].encode() + b"\n" + lines[1].encode("cp1252") + b"\n" + lines[2].encode()
    found = read_bytes("a.jsonl", mixed, "jsonl")
    assert texts(found) == whole
    assert [r.notes for r in found] == [(), ("encoding cp1252",), ()]
    dos = "\n".join(lines).encode("cp850")
    assert texts(read_bytes("a.jsonl", dos, "jsonl", encoding="CP850")) == whole


def test_an_array_is_read_entry_by_entry(read_bytes, monkeypatch):
    monkeypatch.setattr(jsonl, "HEAD_BYTES", 16)
    values = [*LETTERS, 7, {"text": "x" * 999}]
    for data in (json.dumps(values, indent=2).encode(), json.dumps(values).encode("utf-16")):
        found = read_bytes("a.json", data, "jsonl")
        assert texts(found) == [*(r["text"] for r in LETTERS), None, "x" * 999]
        assert [r.damage for r in found] == [None, None, None, "malformed", None]
    for broken in (b'[{"text": "a"}, {"text": ', b'[{"text": "\xff"}]', b'[{"a": 1} x'):
        with pytest.raises(InputError, match="the JSON cannot be read after entry"):
            read_bytes("a.json", broken, "jsonl")


def test_a_line_that_is_too_long_is_a_reason(read_bytes, monkeypatch):
    for module in (record, stream, jsonl):
        monkeypatch.setattr(module, "MAX_DOCUMENT_BYTES", 100, raising=False)
    monkeypatch.setattr(stream, "HEAD_BYTES", 64)
    long = b'{"text": "' + b"x" * 1000 + b'"}'
    found = read_bytes("a.jsonl", b"\n".join([GOOD, long, GOOD]), "jsonl")
    assert [(r.line, r.damage) for r in found] == [(1, None), (2, "too_large"), (3, None)]
    endless = read_bytes("a.jsonl", GOOD + b"\n" + b"x" * 5000, "jsonl")
    assert [r.damage for r in endless] == [None, "too_large"]


@pytest.mark.parametrize("part", ["cut", "flipped"])
@pytest.mark.parametrize(("name", "kind"), [("a.jsonl.gz", "gzip"), ("a.jsonl.zst", "zstd")])
def test_a_damaged_stream_is_an_input_error_that_names_the_file(read_bytes, part, name, kind):
    data = packed(b"".join(json.dumps({"text": f"{i} " * 9}).encode() for i in range(999)), name)
    middle = len(data) // 2
    flipped = data[:middle] + bytes(b ^ 255 for b in data[middle : middle + 40])
    damaged = {"cut": data[:middle], "flipped": flipped + data[middle + 40 :]}
    with pytest.raises(InputError, match=f"{name}: the {kind} stream is cut off or damaged"):
        read_bytes(name, damaged[part], "jsonl")


def test_what_follows_a_gzip_stream_costs_no_document(read_bytes):
    two = gzip.compress(GOOD + b"\n") + gzip.compress(GOOD)
    found = read_bytes("a.jsonl.gz", two + b"garbage", "jsonl")
    assert texts(found) == ["gut", "gut", None]
    assert found[-1].damage == "trailing_bytes"
    assert read_bytes("a.jsonl.gz", gzip.compress(GOOD) + bytes(512), "jsonl")[0].fields
    assert texts(read_bytes("a.jsonl", gzip.compress(GOOD), "jsonl")) == ["gut"]  # by content
    assert texts(read_bytes("a.jsonl.gz", GOOD, "jsonl")) == ["gut"]
    assert read_bytes("a.jsonl.gz", b"", "jsonl") == []


def test_a_file_that_went_away_is_an_input_error(tmp_path):
    from bedside_corpus.config import Source
    from bedside_corpus.intake.read import read
    from bedside_corpus.sources import SourceFile

    for kind in ("text", "jsonl", "parquet", "csv"):
        source = Source(name="s", path=tmp_path / "a", format=kind, personal_data="none")
        with pytest.raises(InputError, match="cannot be read"):
            list(read(SourceFile(source, tmp_path / "a", "a")))


def test_an_object_over_several_lines_is_a_document(read_bytes):
    documents = [{"text": f"Fall {n}\n{{}}", "id": f"FR{n}", "authors": [{"a": 1}]} for n in (1, 2)]
    pretty = "\n".join(json.dumps(one, indent=4) for one in documents)
    for data in (pretty.encode(), b"\xef\xbb\xbf" + pretty.replace("\n", "\r\n").encode()):
        found = read_bytes("a.json", data, "jsonl")
        assert [(r.fields["text"], r.fields["id"]) for r in found] == [
            ("Fall 1\n{}", "FR1"),
            ("Fall 2\n{}", "FR2"),
        ]
    with pytest.raises(
        InputError, match=r"a\.json: the JSON cannot be read after entry 1 - repair"
    ):
        read_bytes("a.json", pretty[:-9].encode(), "jsonl")
