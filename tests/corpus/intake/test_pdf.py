import io
import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside_corpus.cleaning.clean import clean
from bedside_corpus.intake.pdf import read_pdf
from bedside_corpus.intake.record import UnreadableError

sys.path.insert(0, str(Path(__file__).parent))
import samples

LEFT = ["Die Patientin stellte sich mit seit drei", "Tagen zunehmender Dyspnoe in der Not-",
        "aufnahme vor. Im EKG zeigte sich ein", "Sinusrhythmus ohne Hebungen und eine",
        "unauffällige Erregungsausbreitung."]  # fmt: skip
RIGHT = ["Unter Therapie mit Torasemid 10 mg kam", "es rasch zu einer Besserung. Die Röntgen-",
         "aufnahme des Thorax war ohne Erguß und", "ohne In\x01ltrat. Eine CT-",
         "Angiographie war nicht nötig."]  # fmt: skip
TABLE = [("Parameter", "Wert", "Einheit"), ("Kalium", "4,2", "mmol/l"), ("CRP", "12", "mg/l")]


def letter(seed=None):
    first = [(50, 800, "Klinikum Musterstadt"), (50, 30, "Seite 1 von 2")]
    for row, (left, right) in enumerate(zip(LEFT, RIGHT, strict=True)):
        first += [(50, 760 - 14 * row, left), (310, 760 - 14 * row, right)]
    for row, cells in enumerate(TABLE):
        first += [(x, 640 - 14 * row, cell) for x, cell in zip((50, 250, 400), cells, strict=True)]
    if seed is not None:
        random.Random(seed).shuffle(first)
    second = [(50, 800, "Klinikum Musterstadt"), (50, 30, "Seite 2 von 2")]
    second += [(50, 760, "\x02 Ramipril 5 mg 1-0-0"), (50, 746, "\x02 Torasemid 10 mg 1-0-0")]
    return samples.pdf([first, second])


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_a_letter_reads_as_a_person_reads_it(seed):
    parsed = read_pdf(io.BytesIO(letter(seed)))
    assert parsed.notes == ("running lines",) * 3
    assert clean(parsed.text).text.splitlines() == [
        "Klinikum Musterstadt",
        "",
        "Die Patientin stellte sich mit seit drei Tagen zunehmender Dyspnoe in der Notaufnahme vor."
        " Im EKG zeigte sich ein Sinusrhythmus ohne Hebungen und eine unauffällige "
        "Erregungsausbreitung.",
        "",
        "Unter Therapie mit Torasemid 10 mg kam es rasch zu einer Besserung. Die Röntgenaufnahme "
        "des Thorax war ohne Erguß und ohne Infiltrat. Eine CT-Angiographie war nicht nötig.",
        "",
        "Parameter\tWert\tEinheit",
        "Kalium\t4,2\tmmol/l",
        "CRP\t12\tmg/l",
        "",
        "• Ramipril 5 mg 1-0-0",
        "• Torasemid 10 mg 1-0-0",
    ]


def test_numbers_at_the_top_of_pages_are_no_page_numbers():
    pages = [[(50, 800, f"Kalium 4,{n} mmol/l"), (50, 400, "Text")] for n in (1, 2, 3)]
    text = read_pdf(io.BytesIO(samples.pdf(pages))).text
    assert all(f"4,{n}" in text for n in (1, 2, 3))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (samples.pdf([[], []]), "no_text_layer"),
        (samples.encrypted_pdf(), "encrypted"),
        (b"", "malformed"),
        (b"%PDF-1.4 nonsense", "malformed"),
        (letter()[:900], "malformed"),
    ],
    ids=["scan", "encrypted", "empty", "nonsense", "cut"],
)
def test_what_has_no_text_has_a_reason(data, reason):
    with pytest.raises(UnreadableError, match=f"^{reason}$"):
        read_pdf(io.BytesIO(data))


def test_pages_without_text_are_noted():
    parsed = read_pdf(io.BytesIO(samples.pdf([[(50, 700, "Befund")], [], []])))
    assert (parsed.text, parsed.notes) == ("Befund", ("pages without text",) * 2)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_damaged_file_is_text_or_a_reason(data):
    whole = bytearray(letter())
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_pdf(io.BytesIO(bytes(whole)))
    except UnreadableError as error:
        assert str(error) in {"malformed", "encrypted", "no_text_layer", "unmapped_glyphs"}
