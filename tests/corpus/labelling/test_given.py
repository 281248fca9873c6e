"""Files of labels: what people write is understood, and what cannot be is refused with its line."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedside_core.errors import InputError
from bedside_corpus.document import Document
from bedside_corpus.labelling.config import Published
from bedside_corpus.labelling.given import names_of, published_files, read_labelled, read_published


def test_names_of_a_document() -> None:
    own = Document("crawl/a#b.jsonl#<urn:x#1>", "t", "crawl", "CC0-1.0", "de", "crawl/a#b.jsonl:7")
    assert names_of(own)[:2] == ("<urn:x#1>", own.id)
    placed = Document("crawl/a.txt", "t", "crawl", "CC0-1.0", "de", "crawl/a.txt")
    assert names_of(placed)[0] == "crawl/a.txt"


@pytest.mark.parametrize("content", [
    "\ufeffid,label\na,ja\nb,No\nc,1\n", "sha256,label,by\na,TRUE,x\nb,n,\nc, y ,\n",
    'id,text,label\na,"zwei\nZeilen",yes\nb,,no\nc,,oui\n',
])  # fmt: skip
def test_tables(tmp_path, content):
    (tmp_path / "labels.csv").write_text(content, encoding="utf-8")
    assert read_labelled(tmp_path / "labels.csv") == {"a": True, "b": False, "c": True}


@pytest.mark.parametrize(("name", "content", "message"), [
    ("a.csv", b"id,label\na,vielleicht\n", "line 2: label must be yes or no"),
    ("a.csv", b"id,label\na,yes\na,no\n", "line 3: this document again, with another label"),
    ("a.csv", b"id,label\n,yes\n", "line 2: no id"),
    ("a.csv", b"id,wert\na,yes\n", "needs the columns label"),
    ("a.csv", b"id,label\n", "no labels"),
    ("a.csv", b"id,label\na,\xff\n", "not UTF-8"),
    ("a.csv", b'id,label\na,"yes\n', "no valid CSV"),
    ("a.jsonl", b'{"id": "a", "label": true}\n[1]\n', "line 2: not a JSON object"),
    ("a.jsonl", b'{"id": "a"}\n', "line 1: label must be yes or no"),
    ("b.csv", None, "cannot be read"),
])  # fmt: skip
def test_files_that_cannot_be(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_labelled(tmp_path / name)
    assert "vielleicht" not in str(error.value)


def test_published_scores_of_any_type(tmp_path):
    for number, values in enumerate(([1, 3, None], [True, False, True], [0.5, 2.5, float("nan")])):
        ids = pa.array([f"{number}a", f"{number}b", f"{number}c"]).dictionary_encode()
        table = pa.table({"id": ids, "score": values})
        pq.write_table(table, tmp_path / f"{number}.parquet")
    published = Published(path=tmp_path, column="score", yes_from=1)
    names = [f"{n}{letter}" for n in range(3) for letter in "abc"]
    assert read_published(published, names) == {
        "0a": True, "0b": True, "1a": True, "1b": False, "1c": True, "2a": False, "2b": True,
    }  # fmt: skip
    assert read_published(published, ["0b"]) == {"0b": True}


def test_published_files_that_cannot_be(tmp_path):
    published = Published(path=tmp_path, column="score", yes_from=1)
    with pytest.raises(InputError, match=r"no \.parquet files"):
        published_files(published)
    pq.write_table(pa.table({"id": ["a"], "score": ["viel"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="is no number"):
        read_published(published, ["a"])
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"b\.parquet is no Parquet file"):
        published_files(published)
