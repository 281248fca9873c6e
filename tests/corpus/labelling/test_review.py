"""Review files: who is asked what, what may stand in them, and what a person typed is kept."""

from __future__ import annotations

import stat

import pytest

from bedside_core.errors import InputError
from bedside_corpus.labelling.review import Row, answered_by, read_rows, write_rows

DIGEST = "a" * 64


def rows(number: int = 3) -> list[Row]:
    return [Row(DIGEST, f"{n}" * 64, f"s/{n}", f"Text {n},\nzwei Zeilen") for n in range(number)]


def test_a_file_comes_back_and_only_its_owner_reads_it(tmp_path) -> None:
    path = tmp_path / "review.csv"
    write_rows(path, rows())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_rows(path) == rows()
    assert answered_by(path, rows()) == ""


def test_a_long_text_comes_back(tmp_path) -> None:
    long = [Row(DIGEST, "1", "s/1", "Befund " * 30_000 + "Ende")]
    write_rows(tmp_path / "review.csv", long)
    assert read_rows(tmp_path / "review.csv") == long


def test_as_a_spreadsheet_saves_it(tmp_path) -> None:
    path = tmp_path / "review.csv"
    content = f'\ufefflabels;sha256;id;label;by\r\n{DIGEST};1;s/1;Ja;anna\r\n{DIGEST};2;"s;2";;\r\n'
    path.write_bytes(content.encode())
    found = read_rows(path)
    assert [one.answer for one in found] == [True, None]
    assert answered_by(path, found) == "anna"


def test_a_formula_is_no_cell(tmp_path) -> None:
    path = tmp_path / "review.csv"
    write_rows(path, [Row(DIGEST, "1", "=cmd()", "-2 mg")])
    assert "'=cmd()" in path.read_text()
    assert "'-2 mg" in path.read_text()


@pytest.mark.parametrize(("content", "message"), [
    (b"labels,sha256\n", "needs the columns"),
    (f"labels,sha256,label\n{DIGEST},1,maybe\n".encode(), "line 2: label must be yes, no or skip"),
    (f"labels,sha256,label\n{DIGEST},1,yes\nb,2,no\n".encode(), "no labelled set, or several"),
    (b"labels,sha256,label\n", "no labelled set"),
    (b"labels,sha256,label\n\xff", "not UTF-8"),
    (b'labels,sha256,label\n"', "no valid CSV"),
    (None, "cannot be read"),
])  # fmt: skip
def test_files_that_cannot_be(tmp_path, content, message) -> None:
    path = tmp_path / "review.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_rows(path)


def test_one_file_is_one_persons(tmp_path) -> None:
    mixed = [
        Row(DIGEST, "1", "a", label="yes", by="anna"),
        Row(DIGEST, "2", "b", label="no", by="ben"),
    ]
    with pytest.raises(InputError, match="several people"):
        answered_by(tmp_path, mixed)
