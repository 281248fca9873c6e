import io
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside_corpus.intake.docx import read_docx
from bedside_corpus.intake.record import UnreadableError

sys.path.insert(0, str(Path(__file__).parent))
import samples


def run(text, properties=""):
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def paragraph(*runs, properties=""):
    return f"<w:p><w:pPr>{properties}</w:pPr>{''.join(runs)}</w:p>"


RAISED, HIDDEN = '<w:vertAlign w:val="superscript"/>', "<w:vanish/>"
ITEM = '<w:numPr><w:ilvl w:val="1"/></w:numPr>'
CELL = "<w:tc>{}</w:tc>"


def text(body, **notes):
    return read_docx(io.BytesIO(samples.docx(body, **notes))).text


def test_a_document_in_order_with_lists_tables_and_notes():
    row = "".join(CELL.format(paragraph(run(cell))) for cell in ("Kalium", "4,2 mmol/l"))
    body = (
        paragraph(run("Befund: Leukozyten 12 x 10"), run("9", RAISED), run("/l"))
        + paragraph(run("Verwirrtheit"), properties=ITEM)
        + f"<w:tbl><w:tr>{row}</w:tr></w:tbl>"
    )
    assert text(body, footnotes=paragraph(run("Fußnote"))) == (
        "Befund: Leukozyten 12 x 10⁹/l\n  - Verwirrtheit\n\nKalium\t4,2 mmol/l\n\nFußnote"
    )


def test_what_others_lose_is_kept_and_what_was_deleted_is_not():
    control = f"<w:sdt><w:sdtContent>{paragraph(run('Feld'))}</w:sdtContent></w:sdt>"
    box = f"<w:r><w:pict><w:txbxContent>{paragraph(run('Kasten'))}</w:txbxContent></w:pict></w:r>"
    changed = (
        f"<w:ins>{run('neu')}</w:ins><w:del><w:r><w:delText>alt</w:delText></w:r></w:del>"
        f'<w:r><w:tab/><w:sym w:font="Symbol" w:char="F0B3"/></w:r>{run("geheim", HIDDEN)}'
    )
    assert text(control + paragraph(changed, box)) == "Feld\nneu\t\uf0b3\nKasten"


BOMB = samples.zipped({"word/document.xml": b" " * (200 * 2**20)})
ENTITIES = b'<!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>'


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PK\x03\x04", "malformed"),
        (samples.zipped({"other.xml": b"<a/>"}), "malformed"),
        (samples.zipped({"word/document.xml": b"<a>"}), "malformed"),
        (samples.zipped({"word/document.xml": ENTITIES}), "entities"),
        (BOMB, "too_large"),
        (b"\xd0\xcf\x11\xe0" + "EncryptedPackage".encode("utf-16-le"), "encrypted"),
        (b"\xd0\xcf\x11\xe0 Word 97", "malformed"),
    ],
    ids=["zip", "other", "xml", "entities", "bomb", "encrypted", "word97"],
)
def test_what_is_no_document_has_a_reason(data, reason):
    with pytest.raises(UnreadableError, match=f"^{reason}$"):
        read_docx(io.BytesIO(data))


WHOLE = samples.docx(paragraph(run("Befund")))


@settings(deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_a_damaged_file_is_text_or_a_reason(place, value):
    data = WHOLE[:place] + bytes([value]) + WHOLE[place + 1 :]
    try:
        read_docx(io.BytesIO(data))
    except UnreadableError as error:
        assert str(error) in {"malformed", "encrypted"}
