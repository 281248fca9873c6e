import csv
import json
import stat

import pytest

from bedside_core.errors import InputError
from bedside_corpus.document import Document
from bedside_corpus.phi.quarantine import lay_aside, read_review, write_review
from bedside_corpus.phi.spans import Span

TEXT = "Herr Wiesengrund kam."


def document(text=TEXT, identifier="=cmd|1"):
    return Document(identifier, text, "ward", "CC0-1.0", "de", "ward/a:1")


def test_only_the_owner_reads_what_lies_aside(tmp_path):
    folder = tmp_path / "phi"
    for _ in range(2):
        lay_aside(folder, document(), [Span(5, 16, "NAME", 1.0)], 1.0)
    assert write_review(folder) == 1
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    [file] = folder.glob("??/*.json")
    assert json.loads(file.read_text())["text"] == TEXT


def test_the_review_file_names_documents_and_no_text(tmp_path):
    lay_aside(tmp_path, document(), [Span(5, 16, "NAME", 1.0)], 1.0)
    write_review(tmp_path)
    text = (tmp_path / "review.csv").read_text()
    assert "Wiesengrund" not in text
    [row] = csv.DictReader(text.splitlines())
    assert row["found"] == "NAME:1"
    assert row["id"].startswith("'=")
    assert read_review(tmp_path / "review.csv") == {}


def test_decisions_are_read_with_who_decided(tmp_path):
    path = tmp_path / "review.csv"
    path.write_text("sha256,decision,by\na,release,Dr. X\nb,keep out,Dr. X\nc,,\n")
    assert read_review(path) == {"a": "release", "b": "keep out"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sha256,decision,by\na,yes,X\n", "line 2"),
        ("sha256,decision,by\na,release,\n", "who decided"),
        ("sha256,decision,by\na,release\n", "who decided"),
        ("a,b\n1,2\n", "columns"),
        ("\xff", "UTF-8"),
    ],
)
def test_a_review_file_that_cannot_be_followed(tmp_path, text, said):
    path = tmp_path / "review.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=said):
        read_review(path)


def test_nothing_aside_no_review_file(tmp_path):
    assert write_review(tmp_path / "nix") == 0
