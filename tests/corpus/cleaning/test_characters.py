import pytest

from bedside_corpus.cleaning.clean import clean
from bedside_corpus.cleaning.symbol_fonts import BOXES, MARKS, SHOWN


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("u\u0308ber 5\u00a0µg", "über 5 µg"),
        ("e\u200b\u0301", "é"),
        ("120\u202f/\u200980 mmHg", "120 / 80 mmHg"),
        ("Ångström \u212b, 5 \u2126", "Ångström Å, 5 Ω"),
    ],
)
def test_spaces_and_form(raw, expected):
    assert clean(raw).text == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Kreatinin\x001,2\x00mg/dl\x00", "Kreatinin 1,2 mg/dl"),
        ("Befund\ufeffEpikrise", "Befund Epikrise"),
        ("\ufeffBefund:\x07 gut", "Befund: gut"),
        ("Bild\ufffc1", "Bild 1"),
        ("5\x7f<6", "5 <6"),
    ],
)
def test_a_control_is_a_gap(raw, expected):
    assert clean(raw).text == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Blutdruck\u200bmessung", "Blutdruckmessung"),
        ("Na\u200bK, pH\u200b7", "Na K, pH 7"),
        ("1\u2064½ Tbl., 10\u200b⁹/l", "1½ Tbl., 10⁹/l"),
        ("abc \u202e123\u202c", "abc 123"),
        ("é\u200b5, e\u0301\u200b5", "é 5, é 5"),
        # Scripts and pictures that are spelt with them.
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("क्\u200dष 👩\u200d⚕️", "क्\u200dष 👩\u200d⚕️"),
        ("ไทย\u200bไทย", "ไทย\u200bไทย"),
    ],
)
def test_invisible_characters(raw, expected):
    assert clean(raw).text == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Schwanger\u00adschaft", "Schwangerschaft"),
        ("Schwanger\u00ad\n  schaft", "Schwangerschaft"),
        ("Carbachol\u00ad\nProvokation", "Carbachol-\nProvokation"),
        ("2006\u00ad\n2015", "2006-\n2015"),
        ("BE \u00ad2,5", "BE -2,5"),
        ("est \u00adefficace\u00ad.", "est efficace."),
        ("la co-ingestion et co\u00adingestion", "la co-ingestion et co-ingestion"),
    ],
)
def test_soft_hyphens(raw, expected):
    assert clean(raw).text == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("5 \uf06dg, \uf0b3 3, \uf061-Blocker 37\uf0b0C", "5 μg, ≥ 3, α-Blocker 37°C"),
        ("\uf0b7 ASS\n\uf0a7\tRamipril\n\uf076 Bisoprolol", "• ASS\n▪\tRamipril\n• Bisoprolol"),
        ("\uf06f ja\t\uf0fe nein, \uf06f offen", "☐ ja\t☑ nein, ☐ offen"),
        ("Leukozyten \uf0e0 Normwert", "Leukozyten → Normwert"),
        ("a\uf020b, \ue123\U000f1234", "a b, \ufffd\ufffd"),
        ("12\uf02c5 \uf03c 13", "12,5 < 13"),
    ],
)  # fmt: skip
def test_private_use(raw, expected):
    assert clean(raw).text == expected


def test_the_tables_of_symbol_fonts_hold_one_sign_each():
    assert all(len(shown) == 1 and shown.isprintable() for shown in SHOWN.values())
    assert {"☐"} == set(BOXES.values()) <= MARKS <= {*SHOWN.values()}
    assert SHOWN["\uf06d"] == "μ"
    assert SHOWN["\uf0b1"] == "±"
    assert SHOWN["\uf044"] == "Δ"
    assert SHOWN["\uf0b7"] == "•"


def test_ligatures():
    assert clean("Deﬁnition, Inﬂuenza, Eﬃzienz, œdème, æ, ĳ").text == (
        "Definition, Influenza, Effizienz, œdème, æ, ĳ"
    )
