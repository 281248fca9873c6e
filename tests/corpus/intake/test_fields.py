import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.errors import InputError
from bedside_corpus.config import Source
from bedside_corpus.intake.fields import Mapper, language
from bedside_corpus.sources import SourceFile


def mapped(found, **settings):
    source = Source(name="s", path="a", format="jsonl", personal_data="none", **settings)
    return Mapper(SourceFile(source, source.path, "a.jsonl")).record(1, 0, found)


def test_names_of_the_house_lists_and_nested_fields():
    fields = {"body": ["Absatz.", "Noch einer."], "doc": {"no": 7}, "lang": "de-AT"}
    names = {"text": "body", "id": "doc.no", "language": "lang"}
    assert mapped(fields, fields=names).fields == {
        "text": "Absatz.\n\nNoch einer.",
        "id": "7",
        "language": "de",
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"license": "CC-BY-NC-4.0"},
        {"licence": "cc-by-nc-4.0"},
        {"metadata": {"license": "CC BY-NC 4.0"}},
    ],
)
def test_a_licence_is_found_however_it_is_spelt_and_tightens(fields):
    found = mapped({"text": "a", **fields}, licence="CC-BY-4.0").fields
    assert found["licence"] == "CC-BY-NC-4.0"


def test_a_licence_that_cannot_be_read_is_left_to_be_refused():
    assert mapped({"text": "a", "license": ["x"]}, licence="MIT").fields["licence"] == ["x"]
    assert mapped({"text": "a", "license": " "}, licence="MIT").fields["licence"] == "MIT"


@pytest.mark.parametrize(
    ("given", "identifier"),
    [
        (1.0, "1"), (1.5, None), (float("nan"), None), (True, None), (" ", None), (0, "0"),
        (bytes(4), "00000000"), (datetime.date(2026, 1, 2), "2026-01-02"), ([1], None),
        (10**30, str(10**30)),
    ],
)  # fmt: skip
def test_an_id_that_cannot_be_read_costs_no_document(given, identifier):
    assert mapped({"text": "a", "id": given}).fields.get("id") == identifier


def test_a_file_without_the_field_lists_those_it_has(read_bytes):
    lines = [json.dumps({"body": "a", "nr": n, "x" * 99: 1}).encode() for n in range(3)]
    with pytest.raises(InputError, match="no field 'text'; its fields: body, nr - set fields"):
        read_bytes("a.jsonl", b"\n".join(lines), "jsonl")
    lines.append(b'{"text": "a"}')
    found = read_bytes("a.jsonl", b"\n".join(lines), "jsonl")
    assert sum("text" in r.fields for r in found) == 1


@pytest.mark.parametrize(
    ("said", "code"),
    [("de", "de"), ("deu", "de"), ("deu_Latn", "de"), ("fr-CH", "fr"), ("yue", "yue"),
     ("German", None), ("", None), (3, None)],
)  # fmt: skip
def test_languages_are_codes(said, code):
    assert language(said) == code


plain = st.none() | st.booleans() | st.floats() | st.text() | st.binary() | st.integers()
anything = plain | st.lists(plain, max_size=2) | st.dictionaries(st.text(), plain, max_size=2)


@given(
    st.dictionaries(st.sampled_from(["text", "id", "license", "language", "metadata"]), anything)
)
def test_any_record_is_mapped(fields):
    found = mapped(fields, licence="CC-BY-4.0")
    assert (found.fields is None) == (found.damage is not None)


def test_several_fields_are_joined_in_their_order():
    fields = {"text": ["question", "answers.b", "answers.a", "more"]}
    record = {"answers": {"a": "Leber", "b": b"Niere"}, "question": ["Welches", "Organ?"]}
    found = mapped(record, fields=fields, join="\n").fields
    assert found["text"] == "Welches\nOrgan?\nNiere\nLeber"
    assert mapped({"question": "Wo?", "answers": {"b": 7}}, fields=fields).fields["text"] == [
        "Wo?", 7,
    ]  # fmt: skip  # no text, and counted as such
    assert "text" not in mapped({"other": 1}, fields=fields).fields


def test_a_table_needs_every_field_that_is_joined(read_bytes):
    settings = {"fields": {"text": ["a", "b"]}, "join": " "}
    (found,) = read_bytes("a.csv", b"b;a\n1;2\n", "csv", **settings)
    assert found.fields["text"] == "2 1"
    with pytest.raises(InputError, match="no field 'a' and 'b'; its fields: a, c - set"):
        read_bytes("a.csv", b"a;c\n1;2\n", "csv", **settings)
