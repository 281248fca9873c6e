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
    assert read_published(published, names, "s") == {
        "0a": True, "0b": True, "1a": True, "1b": False, "1c": True, "2a": False, "2b": True,
    }  # fmt: skip
    assert read_published(published, ["0b"], "s") == {"0b": True}
    twice = pa.table({"id": ["0a", "0b"], "score": [1, 2]})
    pq.write_table(twice, tmp_path / "4.parquet")
    assert read_published(published, ["0a", "0b"], "s") == {"0a": True}  # 0b has 3 and 2


def test_published_words_are_scores(tmp_path):
    (tmp_path / "a").mkdir()
    published = Published(
        path=tmp_path, column="sector", yes_from=1, words={"health": 1, "uni": 0.5}
    )
    one = pa.table({"id": ["a", "b", "c"], "sector": ["health", "sport", None]})
    lists = [["sport", "health"], ["uni"], [], None, [None]]
    more = pa.table({"id": list("defgh"), "sector": pa.array(lists, pa.list_(pa.string()))})
    pq.write_table(one, tmp_path / "1.parquet")
    pq.write_table(more, tmp_path / "a" / "1.parquet")
    assert set(published_files(published, "s")) == {"1.parquet", "a/1.parquet"}
    assert read_published(published, "abcdefgh", "s") == {
        "a": True, "b": False, "d": True, "e": False, "f": False, "h": False,
    }  # fmt: skip


@pytest.mark.parametrize(("table", "message"), [
    ({"id": ["a"], "score": ["viel"]}, "'score' of a.parquet is no number - .* or set words"),
    ({"id": ["a"], "score": [[1]]}, "'score' of a.parquet is no number"),
    ({"id": [["a"]], "score": [1]}, "'id' of a.parquet is no id"),
    ({"id": [b"\xff"], "score": [1]}, "'id' of a.parquet is no id"),
    ({"id": ["a"]}, "has no column 'score'"),
])  # fmt: skip
def test_published_columns_that_cannot_be(tmp_path, table, message):
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=message) as error:
        read_published(Published(path=tmp_path, column="score", yes_from=1), ["a"], "s")
    assert "viel" not in str(error.value)


def test_published_files_that_cannot_be(tmp_path):
    published = Published(path=tmp_path, column="score", yes_from=1)
    with pytest.raises(InputError, match=r"no \.parquet files"):
        published_files(published, "s")
    table = pa.table({"id": [f"urn:{n}" for n in range(999)], "score": [0.5] * 999})
    pq.write_table(table, tmp_path / "a.parquet", compression="none")
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[4:200] = bytes(196)
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.parquet is damaged"):
        read_published(published, ["a"], "s")
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"b\.parquet is no Parquet file"):
        published_files(published, "s")
