import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside_core.errors import InputError


def test_rows_under_a_header_with_any_delimiter_and_encoding(read_bytes):
    table = 'nr;befund\r\n1;"Größe 180 cm;\r\nGewicht 80 kg"\r\n\r\n2;"sagt ""gut"""\r\n'
    for encoding in ("utf-8", "utf-8-sig", "cp1252", "utf-16"):
        found = read_bytes(
            "a.csv", table.encode(encoding), "csv", fields={"text": "befund", "id": "nr"}
        )
        assert [r.fields for r in found] == [
            {"text": "Größe 180 cm;\nGewicht 80 kg", "id": "1"},
            {"text": 'sagt "gut"', "id": "2"},
        ]
        assert [r.line for r in found] == [2, 5]
    assert read_bytes("a.tsv", b"text\tid\na\t1\n", "csv")[0].fields == {"text": "a", "id": "1"}
    assert read_bytes("a.csv", b"text\nnur eine Spalte\n", "csv")[0].fields["text"]
    assert read_bytes("a.csv", b"text,id\ra,1\rb,2", "csv")[1].fields == {"text": "b", "id": "2"}
    assert read_bytes("a.csv", b"", "csv") == []


def test_a_row_that_is_not_whole_is_a_reason(read_bytes):
    data = b"id,text\n1,a\n2,b,c\n3\n4,erh\x84lt\n5,d\n"
    found = read_bytes("a.csv", data, "csv")
    assert [r.damage for r in found] == [None, "malformed", "malformed", "not_utf8", None]


def test_a_quote_that_is_never_closed_is_an_error_with_its_line(read_bytes):
    with pytest.raises(InputError, match="the row that begins in line 3 cannot be read"):
        read_bytes("a.csv", b'id,text\n1,a\n2,"b\n3,c\n', "csv")
    with pytest.raises(InputError, match="no field 'text'; its fields: nr, befund"):
        read_bytes("a.csv", b"nr,befund\n1,a\n", "csv")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_records_reasons_or_an_input_error(read_bytes, data):
    try:
        found = read_bytes("a.csv", b"text,id\n" + data, "csv")
    except InputError:
        return
    assert all(r.fields is not None or r.damage for r in found)


def test_a_file_without_a_header_or_with_quotes_that_are_words(read_bytes):
    settings = {"columns": ["sentence", "word"], "fields": {"text": "word"}}
    data = b'0\tBras\n0\t"\n\n1\tA\n1\tA\tB\n'
    found = read_bytes("a.tsv", data, "csv", quotes=False, **settings)
    assert [(r.line, r.damage or r.fields["text"]) for r in found] == [
        (1, "Bras"), (2, '"'), (4, "A"), (5, "malformed"),
    ]  # fmt: skip
    with pytest.raises(InputError, match="or set quotes: false for source 's' if its quotes enc"):
        read_bytes("a.tsv", data, "csv", **settings)
