import json

from bedside_corpus.intake import parts

RECORDS = (
    {"case": 7, "text": ["Eine", "Frau"], "id": "a"}, {"case": 7, "text": "hustet.", "id": "b"},
    {"case": 8, "text": "Ein Kind."}, {"text": "ohne Fall"}, {"text": "ohne Fall"},
    {"case": 7, "text": "Wieder."},
)  # fmt: skip
PARTS = {"fields": {"document": "case"}, "join": " ", "join_parts": True}


def read(read_bytes, *records, **settings):
    data = "".join(json.dumps(one) + "\n" for one in records).encode()
    return read_bytes("a.jsonl", data, "jsonl", **{**PARTS, **settings})


def test_neighbours_of_one_document_are_one(read_bytes):
    found = read(read_bytes, *RECORDS)
    assert [(r.line, r.fields["text"], r.fields.get("id")) for r in found] == [
        (1, "Eine Frau hustet.", "a"), (3, "Ein Kind.", None), (4, "ohne Fall", None),
        (5, "ohne Fall", None), (6, "Wieder.", None),
    ]  # fmt: skip
    assert sum(r.size for r in found) == sum(len(json.dumps(one)) + 1 for one in RECORDS)


def test_the_licences_of_all_parts_hold(read_bytes):
    own = ("CC0-1.0", "CC-BY-NC-4.0", "CC-BY-SA-4.0")
    records = [{"case": 1, "text": "a", "licence": name} for name in own]
    (found,) = read(read_bytes, *records, licence="CC-BY-4.0")
    assert found.fields["licence"] == "CC-BY-NC-4.0 AND CC-BY-SA-4.0"


def test_a_part_without_a_text_costs_the_document(read_bytes):
    (found,) = read(read_bytes, {"case": 1, "text": "a"}, {"case": 1, "text": 7})
    assert "text" not in found.fields
    found = read(read_bytes, {"case": 1, "text": "a"}, {"case": 2, "text": "b"})
    assert [r.fields["text"] for r in found] == ["a", "b"]


def test_what_is_too_large_together_is_counted_once(read_bytes, monkeypatch):
    monkeypatch.setattr(parts, "MAX_DOCUMENT_BYTES", 20)
    found = read(read_bytes, *[{"case": 1, "text": "zehn Wörter"}] * 3, {"case": 2, "text": "b"})
    assert [(r.damage, r.line) for r in found] == [("too_large", 1), (None, 4)]
