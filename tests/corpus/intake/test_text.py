import gzip

import pytest

from bedside_core.errors import InputError


def test_a_document_per_line_named_by_its_place(read_bytes):
    data = "Größe 180 cm\n\n  \nKalium 4,2 mmol/l\r\nletzte".encode()
    for name, content in (("a.txt", data), ("a.txt.gz", gzip.compress(data))):
        found = read_bytes(name, content, "lines", licence="MIT")
        assert [r.fields["text"] for r in found] == ["Größe 180 cm", "Kalium 4,2 mmol/l", "letzte"]
        assert [r.line for r in found] == [1, 4, 5]
        assert all("id" not in r.fields and r.fields["licence"] == "MIT" for r in found)


def test_a_line_in_another_encoding_is_counted_and_its_neighbours_stay(read_bytes):
    data = b"gut\n" + b"Gr\x94\xe1e \x81\x8d\n" + "Größe der Läsion\n".encode("cp1252")
    found = read_bytes("a.txt", data, "lines")
    assert [r.damage for r in found] == [None, "not_utf8", None]
    assert found[2].notes == ("encoding cp1252",)


def test_a_part_of_a_file_that_was_split_says_so(read_bytes):
    whole = gzip.compress("\n".join(f"Zeile {n}" for n in range(999)).encode())
    with pytest.raises(InputError, match=r"part_aa\.txt\.gz: the gzip stream is cut off .* cat P"):
        read_bytes("full_part_aa.txt.gz", whole[: len(whole) // 2], "lines")
