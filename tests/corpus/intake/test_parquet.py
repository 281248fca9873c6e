import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedside_core.errors import InputError

TEXTS = ["Befund: o. B.", "Größe 180 cm", "CRP 12 mg/l"]


def parquet(table, **settings):
    data = io.BytesIO()
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), data, **settings)
    return data.getvalue()


def texts(records):
    return [r.fields["text"] for r in records]


def test_rows_in_order_with_only_the_mapped_columns(read_bytes):
    rows = [{"text": f"Text {i}", "id": f"d{i}", "extra": i} for i in range(600)]
    data = parquet(pa.Table.from_pylist(rows), row_group_size=100)
    found = read_bytes("a.parquet", data, "parquet")
    assert [r.fields for r in found] == [{"text": r["text"], "id": r["id"]} for r in rows]
    assert [r.line for r in found] == list(range(1, 601))


@pytest.mark.parametrize(
    "column",
    [
        pa.array(TEXTS).dictionary_encode(),
        pa.array(TEXTS, pa.large_string()),
        pa.array(TEXTS, pa.string_view()),
        pa.array([t.encode() for t in TEXTS], pa.binary()),
        pa.array([t.encode() for t in TEXTS], pa.large_binary()),
        pa.array([t.encode("cp1252") for t in TEXTS], pa.binary()),
        pa.array([[t] for t in TEXTS]),
    ],
    ids=["dictionary", "large", "view", "binary", "large_binary", "cp1252", "list"],
)
def test_every_way_to_store_text(read_bytes, column):
    assert texts(read_bytes("a.parquet", parquet({"text": column}), "parquet")) == TEXTS


def test_a_value_that_is_not_utf8_is_a_reason(read_bytes):
    binary = pa.array([b"gut", b"\xff", b"auch gut"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 3, binary.buffers())
    for column in (binary, text):
        found = read_bytes("a.parquet", parquet({"text": column}), "parquet")
        assert [r.damage for r in found] == [None, "not_utf8", None]


@pytest.mark.parametrize("part", ["empty", "cut", "page"])
def test_a_damaged_file_is_an_input_error_that_names_it(read_bytes, part):
    rows = {"text": [f"Text {i}" * 50 for i in range(500)]}
    data = bytearray(parquet(rows, compression="zstd"))
    if part == "page":
        data[4:400] = bytes(396)
    damaged = {"empty": b"", "cut": data[: len(data) // 2], "page": data}[part]
    with pytest.raises(InputError, match=r"a\.parquet: not a Parquet file, or a damaged one"):
        read_bytes("a.parquet", damaged, "parquet")


def test_a_file_without_the_column_lists_those_it_has(read_bytes):
    data = parquet({"body": ["a"], "nr": [1]})
    with pytest.raises(InputError, match="no field 'text'; its fields: body, nr - set fields"):
        read_bytes("a.parquet", data, "parquet")
    assert texts(read_bytes("a.parquet", data, "parquet", fields={"text": "body"})) == ["a"]


def test_a_column_of_something_else_is_one_error(read_bytes):
    data = parquet({"text": [1, 2]})
    with pytest.raises(InputError, match="the column 'text' holds int64, no text"):
        read_bytes("a.parquet", data, "parquet")
    two = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    with pytest.raises(InputError, match="two columns are named 'text'"):
        read_bytes("a.parquet", parquet(two), "parquet")


def test_layouts_of_published_snapshots(read_bytes):
    fineweb = {
        "text": ["Ein Text."], "id": ["<urn:uuid:1>"], "dump": ["CC-MAIN-2024-10"],
        "url": ["https://example.org"], "date": ["2024-02-20T00:00:00Z"], "file_path": ["s3://cc"],
        "language": ["deu"], "language_score": [0.9], "language_script": ["Latn"],
        "minhash_cluster_size": [3], "top_langs": ['{"deu_Latn_score": 0.9}'],
    }  # fmt: skip
    (found,) = read_bytes("000_00000.parquet", parquet(fineweb), "parquet")
    assert found.fields == {"text": "Ein Text.", "id": "<urn:uuid:1>", "language": "de"}
    parcomed = {"input": ["Un texte."], "source": ["CAS"], "document_type": ["cas"]}
    (found,) = read_bytes("a.parquet", parquet(parcomed), "parquet", fields={"text": "input"})
    assert found.fields == {"text": "Un texte."}
