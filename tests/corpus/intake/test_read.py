"""One rule for a file of many documents that is cut off, whatever its format."""

from __future__ import annotations

import gzip
import io
import json
import sys
from hashlib import sha256
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedside_core.errors import InputError

sys.path.insert(0, str(Path(__file__).parent))
import samples

TEXTS = [f"Befund {sha256(bytes([n % 256, n >> 8])).hexdigest()}: kein Erguss" for n in range(4000)]
"""Of which no packer makes a single block."""
LINES = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS).encode()


CRAWL = samples.warc(*(samples.page(f"<p>{text}".encode()) for text in TEXTS[:50]))


def packed(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def parquet():
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": TEXTS}), sink, row_group_size=100)
    return sink.getvalue()


def xlsx():
    book = openpyxl.Workbook()
    for row in (["text"], *([text] for text in TEXTS[:50])):
        book.active.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def half(data):
    return data[: len(data) // 2 - 7]  # behind no record


CUT = {
    "gzip": ("a.jsonl.gz", half(gzip.compress(LINES)), "jsonl", {}),
    "zstd": ("a.jsonl.zst", half(packed(LINES)), "jsonl", {}),
    "lines": ("a.txt.gz", half(gzip.compress("\n".join(TEXTS).encode())), "lines", {}),
    "array": ("a.json", half(json.dumps([{"text": t} for t in TEXTS]).encode()), "jsonl", {}),
    "csv": ("a.csv", ("text\n" + "\n".join(TEXTS[:9]) + '\n"offen\n').encode(), "csv", {}),
    "parquet": ("a.parquet", half(parquet()), "parquet", {}),
    "warc": ("a.warc", half(CRAWL), "warc", {}),
    "xlsx": ("a.xlsx", half(xlsx()), "xlsx", {}),
    "xml": ("a.xml", b"<all><one>a</one><one>b</on", "xml", {"record": "//one"}),
}
READABLE = {"gzip", "zstd", "lines", "array", "csv", "warc"}
"""The others have their table of contents at the end, or are read as a whole."""


@pytest.mark.parametrize("name", CUT)
def test_it_is_an_error_that_names_it_or_what_can_be_read_is_kept(read_bytes, name):
    file, data, kind, settings = CUT[name]
    with pytest.raises(InputError) as caught:
        read_bytes(file, data, kind, **settings)
    message = str(caught.value)
    assert file in message
    assert " - " in message
    assert "set damaged_files: keep for source 's'" in message
    *kept, last = read_bytes(file, data, kind, damaged_files="keep", **settings)
    assert (last.damage, last.line, last.fields) == ("cut_off", None, None)
    texts = [record.fields["text"] for record in kept if record.fields is not None]
    assert bool(texts) == (name in READABLE)
    assert texts == TEXTS[: len(texts)]
    # Of a crawl that does not say it was cut off, the record where its parser ends is tried again.
    assert {record.damage for record in kept} <= {None, "malformed"}


def test_a_document_that_is_a_file_is_a_counted_reason(read_bytes):
    for file, kind in (("a.xml", "xml"), ("a.docx", "docx"), ("a.pdf", "pdf")):
        (found,) = read_bytes(file, b"<all><one>a</on", kind)
        assert found.damage == "malformed"
