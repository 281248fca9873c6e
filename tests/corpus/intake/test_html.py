import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_corpus.intake.html import page, read_html
from bedside_corpus.intake.record import UnreadableError

NOTED = ("encoding cp1252",)


def test_encoding_as_utf8_then_as_declared_then_as_windows():
    body = "<p>Größe: 5 µg</p>"
    declared = f'<html lang="de-AT"><meta charset="iso-8859-1">{body}'
    assert page(declared.encode()).text == "Größe: 5 µg"
    found = page(declared.encode("cp1252"))
    assert (found.text, found.language, found.notes) == (
        "Größe: 5 µg",
        "de-AT",
        ("encoding cp1252",),
    )
    assert page(body.encode("cp1252")).text == page(body.encode("cp850"), "cp850").text
    with pytest.raises(UnreadableError, match="not_utf8"):
        page(body.encode("cp850"))


def test_pages_without_text():
    assert page(b" ").text == ""
    assert read_html(io.BytesIO(b'<?xml version="1.0" encoding="utf-8"?><p>x</p>')).text == "x"


@given(st.binary(max_size=300))
def test_any_bytes_are_text_or_a_reason(data):
    for prefix in (b"", b"<p>", b"<table><tr>"):
        try:
            page(prefix + data)
        except UnreadableError as error:
            assert str(error) in {"not_utf8", "malformed"}
