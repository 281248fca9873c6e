import random

from hypothesis import given
from hypothesis import strategies as st

from bedside_corpus.intake.layout import Segment, read_order

LEFT = [
    "Die Patientin stellte sich mit seit",
    "drei Tagen zunehmender Luftnot vor und",
    "war wach, klar, voll orientiert.",
]
RIGHT = [
    "Im EKG zeigte sich ein Sinusrhythmus",
    "ohne Hebungen und mit schmalen",
    "Komplexen in allen Ableitungen.",
]
TABLE = [("Kalium", "4,2", "mmol/l"), ("Natrium", "138", "mmol/l"), ("CRP", "12", "mg/l")]


def segment(x, y, text):
    return Segment(x, y, x + 5.0 * len(text), y + 10, text)


def page():
    columns = [segment(50, 700 - 14 * n, text) for n, text in enumerate(LEFT)]
    columns += [segment(320, 700 - 14 * n, text) for n, text in enumerate(RIGHT)]
    cells = [
        segment(x, 600 - 14 * n, text)
        for n, row in enumerate(TABLE)
        for x, text in zip((50, 250, 400), row, strict=True)
    ]
    return [segment(50, 760, "Ein Brief über die ganze Breite der Seite"), *columns, *cells]


def test_columns_one_after_the_other_and_tables_by_rows_in_any_order_of_drawing():
    segments = page()
    expected = [segments[0].text, *LEFT, *RIGHT, *("\t".join(row) for row in TABLE)]
    for seed in range(5):
        random.Random(seed).shuffle(segments)
        assert [line.text for line in read_order(segments)] == expected


def test_a_short_line_ends_a_paragraph():
    lines = read_order([segment(50, 700 - 14 * n, text) for n, text in enumerate(LEFT)])
    assert [line.is_full for line in lines] == [True, True, True]
    lines = read_order([segment(50, 700, LEFT[0]), segment(50, 686, "Ende.")])
    assert [line.is_full for line in lines] == [True, False]


numbers = st.floats(0, 800)
boxes = st.builds(
    lambda x, y, w, h, t: Segment(x, y, x + w, y + h, t),
    numbers, numbers, st.floats(1, 400), st.floats(4, 20), st.text("ab ", min_size=1, max_size=30),
)  # fmt: skip


@given(st.lists(boxes, max_size=25))
def test_no_segment_is_lost_or_doubled(segments):
    read = sorted(part for line in read_order(segments) for part in line.text.split("\t"))
    assert read == sorted(s.text for s in segments)
