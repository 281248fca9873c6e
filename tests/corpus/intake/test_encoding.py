import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside_corpus.intake.encoding import decode
from bedside_corpus.intake.record import UnreadableError

LETTERS = Path(__file__).parents[4] / "shared/data/grascco/letters.jsonl"
SENTENCES = [
    "Der Patient erhält Ramipril 5 mg",
    "Größe 180 cm, 37,5 °C; Leukozyten 12 000/µl",
    "L'élève a été opéré où naît l'œdème – 5 €",
    "„Müller“: Äther, süß",
    "Straße",
    "5 µg",
]


@pytest.mark.parametrize("text", SENTENCES)
def test_windows_1252_is_read_and_what_only_looks_like_it_is_not(text):
    assert decode(text.encode("cp1252")) == (text, "cp1252")
    for rival in ("cp850", "mac_roman", "cp437"):
        try:
            found, _ = decode(text.encode(rival))
        except (UnreadableError, UnicodeEncodeError):
            continue
        assert found == text  # µ is one byte in both


def test_marks_are_read_and_left_out():
    for encoding, name in (("utf-8-sig", "utf-8"), ("utf-16", "utf-16"), ("utf-32", "utf-32")):
        assert decode("Größe".encode(encoding)) == ("Größe", name)


@pytest.mark.parametrize("data", [b"\xff\xfe\xff", b"\x81\x8d", "Ö".encode("utf-16-le")])
def test_what_is_not_sure_is_out(data):
    with pytest.raises(UnreadableError, match="not_utf8"):
        decode(data)


def test_a_declared_encoding_is_believed_but_not_forced():
    assert decode("erhält".encode("cp850"), "cp850") == ("erhält", "cp850")
    with pytest.raises(UnreadableError):
        decode(b"\x81", "cp1252")


@given(st.text())
def test_utf8_is_always_itself(text):
    if text.count("\0") > len(text.encode()) // 4 or text.startswith("\ufeff"):
        return
    assert decode(text.encode()) == (text, "utf-8")


@given(st.binary())
def test_any_bytes_are_text_or_a_reason(data):
    try:
        text, name = decode(data)
    except UnreadableError:
        return
    assert isinstance(text, str)
    assert name in {"utf-8", "utf-16", "utf-32", "cp1252"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(st.characters(codec="cp1252"), min_size=1))
def test_a_guess_is_right_or_none(text):
    try:
        found, name = decode(text.encode("cp1252"))
    except UnreadableError:
        return
    assert found == text or name == "utf-8"  # which Windows-1252 can spell by chance


def test_letters_in_other_encodings(read_bytes):
    if not LETTERS.is_file():
        pytest.skip("needs shared/data")
    with LETTERS.open(encoding="utf-8") as lines:
        letters = [json.loads(line)["text"] for line in lines]
    kept = 0
    for letter in letters:
        for encoding in ("cp1252", "cp850", "mac_roman"):
            data = letter.encode(encoding, "ignore")
            try:
                assert decode(data)[0] == data.decode(encoding)
            except UnreadableError:
                continue
            kept += encoding == "cp1252"
    assert kept >= 61


def test_a_text_file_is_one_document_named_by_its_path(read_bytes):
    (found,) = read_bytes("A.b.TXT", "Größe: o. B.\n".encode("utf-16"), "text", licence="MIT")
    assert found.fields == {"text": "Größe: o. B.\n", "id": "s/A.b", "licence": "MIT"}
    assert (found.line, found.notes) == (None, ("encoding utf-16",))
    (found,) = read_bytes("a.txt", "erhält".encode("cp850"), "text")
    assert (found.fields, found.damage) == (None, "not_utf8")
    (found,) = read_bytes("a.txt", "erhält".encode("cp850"), "text", encoding="cp850")
    assert found.fields["text"] == "erhält"
