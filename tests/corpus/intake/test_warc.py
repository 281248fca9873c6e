import gzip
import io
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside_core.errors import InputError
from bedside_corpus.config import Source
from bedside_corpus.intake.record import DamagedFileError
from bedside_corpus.intake.warc import read_warc
from bedside_corpus.sources import SourceFile

sys.path.insert(0, str(Path(__file__).parent))
import samples

CRAWL = samples.warc(
    ("warcinfo", "", b"software: ours"),
    samples.page("<html lang=de><p>Größe".encode()),
    samples.page(b"<p>weg", status="404 Not Found"),
    samples.page(b"%PDF", kind="application/pdf"),
    samples.page("<p>5 µg Äther".encode("cp1252"), kind="text/html; charset=iso-8859-1"),
    samples.page("<p>erhält".encode("cp850")),
)


def test_pages_that_a_server_answered_with(read_bytes):
    for name, data in (("a.warc", CRAWL), ("a.warc.gz", gzip.compress(CRAWL))):
        german, windows, dos = read_bytes(name, data, "warc", licence="CC0-1.0")
        assert german.fields == {
            "text": "Größe", "language": "de", "licence": "CC0-1.0",
            "id": "<urn:uuid:000000000000000000000000000000000001>",
        }  # fmt: skip
        assert (windows.fields["text"], windows.notes) == ("5 µg Äther", ("encoding cp1252",))
        assert (dos.fields, dos.damage) == (None, "not_utf8")


def test_texts_that_were_taken_from_pages(read_bytes):
    said = "WARC-Identified-Content-Language: deu,eng\r\n"
    data = samples.warc(("warcinfo", "", b"x"), ("conversion", said, b"Ein Text\nmit Zeilen"))
    (found,) = read_bytes("a.warc.wet.gz", gzip.compress(data), "wet")
    assert found.fields["text"] == "Ein Text\nmit Zeilen"
    assert found.fields["language"] == "de"


def test_a_crawl_that_is_cut_off_or_none_is_an_error(read_bytes):
    for data in (CRAWL[:-20], gzip.compress(CRAWL)[:-30]):
        with pytest.raises(InputError, match="cut off or damaged in or behind record"):
            read_bytes("a.warc", data, "warc")
    with pytest.raises(InputError, match="cannot be read after record 0"):
        read_bytes("a.warc", b"nonsense" * 50, "warc")


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25
)
@given(place=st.integers(0, len(CRAWL) - 1), value=st.integers(0, 255))
def test_a_damaged_crawl_is_records_reasons_or_an_error(read_bytes, place, value):
    data = CRAWL[:place] + bytes([value]) + CRAWL[place + 1 :]
    try:
        found = read_bytes("a.warc", data, "warc")
    except InputError:
        return
    assert all(r.fields is not None or r.damage for r in found)


def test_wherever_a_crawl_is_cut_off_nothing_is_missing_without_a_word():
    whole = samples.warc(*(samples.page(f"<p>Text {n}".encode()) for n in range(3)))
    starts = [place for place in range(len(whole)) if whole.startswith(b"WARC/", place)]
    parts = [whole[a:b] for a, b in zip(starts, [*starts[1:], len(whole)], strict=True)]
    for members in (parts, [gzip.compress(part) for part in parts]):
        ends = [len(b"".join(members[:n])) for n in range(1, 4)]
        data = b"".join(members)
        for cut in range(len(data)):
            if cut not in ends:  # where a shorter crawl would end, too
                with pytest.raises((DamagedFileError, OSError)):
                    read_to_the_end(data[:cut])
        assert [len(read_to_the_end(data[:end])) for end in ends] == [1, 2, 3]


def read_to_the_end(data):
    source = Source(name="s", path="a.warc", format="warc", personal_data="none")
    return list(read_warc(io.BytesIO(data), SourceFile(source, source.path, "a.warc"), 0))
