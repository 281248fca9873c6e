"""What the rules find in lines and letters that we invented, and what they leave alone."""

import itertools
import time
from pathlib import Path

import pytest
from corpus.grascco import halves, read, read_marked
from hypothesis import given
from hypothesis import strategies as st

from bedside_corpus.phi.config import PhiConfig
from bedside_corpus.phi.recognisers import recognisers, risk, scan
from bedside_corpus.phi.rules.eponyms import is_eponym
from bedside_corpus.phi.rules.lexicon import given_names, is_ordinary, surnames

LETTERS = sorted((Path(__file__).parent / "letters").glob("*_*.txt"))
REAL = Path(__file__).parents[4] / "shared/data/grascco/letters.jsonl"
BY = recognisers(PhiConfig())

NAMES = """
    Hr. [Müllner] kam.
    Herr Univ.-Prof. DDr. [Karl Maierling]
    Dr. [Karl-Heinz von der Lühe]
    OA Dr. [Maierling]/AA Dr. [Huberling]
    Prof. Dr. Dr. h.c. mult. [Anton Weissbach]
    Dres. [Huberling] und [Kleinert]
    Ihr Patient, Herr [Max Musterling]
    [MUSTERLING Max], *[01.01.1970]
    [Musterling, Max] (geb. am [01.01.1970])
    Patientin: [Anna-Lena Graf von Schönwald]
    Pat. [Xaver Untermosern] kommt
    Rücksprache mit Frau Dr. [Meierling] und Herrn [Oberhuber]
    der Sohn [Peter] sagt
    Frau [Neuhaus] und Herr [Sonntag]
    Frau [Parkinson], geb. [3.4.1950]
    gez. [Huberling]
    Unser Patient [Hans M.] kam
    Herr [K.] berichtet
    i.A. [Schneiderling]
"""
DATES = """
    am [01.Jan.2030] um
    am [1. 2. 2030] nach
    vom [01.02.] bis [05.02.2030] war
    seit [2029/30] und
    am [12./13.3.2030] hier
    Q1/[2030]
    seit [06-2030] und
    am [12.3.'30] x
    [12.03.2030]/[14.03.2030]
    ED [6/30], Rezidiv [11/31]
    Z.n. Stent [2022], Bypass [2019]
    Fraktur [03/30], Röntgen
    [2031-05-27] Kontrolle
    die [55]-jährige Patientin, ab [55]. Lj., im Alter von [15] Jahren
"""
NUMBERS = """
    Tel.: [0316/385-12345]
    Tel. [+43 (0)316 385 1234]
    Tel [0551 391234-0] DW [12]
    unter [0664 1234567] erreichbar
    Durchwahl [-345]
    Mail: [a.b@c-d.de]
    Pat.-Nr.: [123456]
    Aufnahmezahl: [2030123456]
    Histologie Nr. [12345-30]
    Journalnummer: [E/2030/012345]
    SVNR: [1234 010170]
    Station [3B] und Station [O-11]
    KV-Nr. [A123456789]
    Präparat [37848/2031]: tumorfrei
"""
FRENCH = """
    M. [Thibault Roncevaux] est admis
    Madame [Solange Verdureau], née le [02/11/1957]
    le [Dr] [Aurélien Castagnier]
    du [3 mars 2031] au [13/03/2031]
    Tél. : [09 99 12 34 56]
    IPP : [800455123]
    [12 rue des Tilleuls]
    âgée de [73] ans
"""
NOTHING = """
    Morbus Crohn, M. Parkinson, Hashimoto-Thyreoiditis
    Färbung mit Lugol-Lösung, M. Sudeck, M. Bechterew
    Röntgen des Thorax, Doppler der Carotiden, Holter-EKG
    Babinski beidseits negativ, Romberg-Versuch unsicher, Tinel-Zeichen positiv
    Heberden-Knoten, Colles-Fraktur, Bülau-Drainage, Karnofsky-Index 70 %
    Ramipril 5 mg 1-0-1, Madopar 125 mg, Pantozol 40 mg, Marcumar nach INR
    RR 140/80 mmHg, Puls 72/min, Kraft 4/5, VAS 8/10, NRS 3/10
    Hb 10,2 g/dl, Leukozyten 11.680/µl, Thrombozyten 234000, CRP 34,5 mg/l
    Apgar 9-10-10, GCS 15, NYHA II, T3 N1 M0, BWK 10, L4/5
    Calciumfolinat 2000 mg, 1736 mg über 58 Stunden, 2.400 mg/m²
    3–5 mmol/l, ≥ 38,5 °C, 12 x 8,6 cm, 10–12 Uhr, um 14.30 Uhr
    C20, D63.0, OPS 5-455.41, ATC C09AA05, ICD-10 I25.1
    maladie de Crohn, signe de Babinski, thyroïdite de Hashimoto, coloration au Lugol
    TA 140/80 mmHg, Levothyrox 75 µg, trois fois par jour
"""


def marked(line: str) -> tuple[str, list[tuple[int, int]]]:
    text, spans = "", []
    for index, piece in enumerate(line.replace("]", "[").split("[")):
        if index % 2:
            spans.append((len(text), len(text) + len(piece)))
        text += piece
    return text, spans


def lines(block: str) -> list[str]:
    return [line.strip() for line in block.strip().splitlines()]


def hidden(text: str, language: str) -> set[int]:
    return {i for span in scan(text, language, BY) for i in range(span.start, span.end)}


def missed(text: str, spans: list[tuple[int, int]], language: str) -> list[tuple[int, int]]:
    found = hidden(text, language)
    return [
        (start, end)
        for start, end in spans
        if not all(i in found for i in range(start, end) if text[i].isalnum())
    ]


@pytest.mark.parametrize("line", lines(NAMES + DATES + NUMBERS))
def test_german_forms(line):
    text, spans = marked(line)
    assert missed(text, spans, "de") == []


@pytest.mark.parametrize("line", lines(FRENCH))
def test_french_forms(line):
    text, spans = marked(line)
    assert missed(text, spans, "fr") == []


@pytest.mark.parametrize("line", lines(NOTHING))
@pytest.mark.parametrize("language", ["de", "fr"])
def test_eponyms_drugs_doses_and_values_survive(line, language):
    if language == "fr" and "M. " in line:
        pytest.skip("in French, M. is a man")
    assert scan(line, language, BY) == []


def test_a_patient_who_is_called_like_a_disease():
    text = "Frau Crohn, geb. 3.4.1950, hat keinen M. Crohn. Crohn wurde entlassen."
    places = [text[s.start : s.end] for s in scan(text, "de", BY) if s.entity_type == "NAME"]
    assert places == ["Crohn", "Crohn"]
    assert is_eponym("M. Crohn", 3, 8)
    assert not is_eponym("Frau Crohn kam", 5, 10, listed=False)


def test_a_name_is_found_wherever_it_stands_again():
    text = "Herr Wiesengrund kam.\nMit WIESENGRUND und Wiesengrunds Frau wurde gesprochen."
    assert sum(s.entity_type == "NAME" for s in scan(text, "de", BY)) == 3


def test_a_name_with_an_eszett_ends_where_it_ends():
    text = "Herr Strauß kam, mit Strauß' Sohn, dann wieder Strauß"
    spans = [s for s in scan(text, "de", BY) if s.entity_type == "NAME"]
    assert [text[s.start : s.end] for s in spans] == ["Strauß"] * 3


def test_a_name_that_is_a_word_here_is_left_where_it_is_one():
    text = "Dr. Herwig Keil\nDer Keil ist klein, Keil ohne Besonderheit."
    found = [text[s.start : s.end] for s in scan(text, "de", BY) if s.entity_type == "NAME"]
    assert found == ["Herwig Keil"]


@pytest.mark.parametrize("path", LETTERS, ids=lambda p: p.name)
def test_invented_letters(path):
    letter = read_marked(path)
    spans = [(start, end) for start, end, _ in letter.spans]
    assert missed(letter.text, spans, path.name[:2]) == []
    findings = scan(letter.text, path.name[:2], BY)
    assert risk(letter.text, findings) > PhiConfig().max_risk


def test_names_on_the_lists_and_words_that_are_none():
    assert {"gudrun", "mehmet", "solange"} <= given_names()
    assert "wagner" in surnames()
    assert all(map(is_ordinary, ["Patientin", "Untersuchung", "Nephrologie", "Oberarzt"]))
    assert not any(map(is_ordinary, ["Wagner", "Hrubesch"]))


PIECES = [
    "Dr. ", "Frau ", "Anna ", "von ", "1.", "2.", "3/", "20", "A-", "Müller, ", "-", " ", "\n", "A",
    "a",     "Tel. ", "0", "Nr. ", "@", "a.", "(", "de ", "Str. ", "Klinik ",
    "Mit freundlichen Grüßen\n", "1 A ",
]  # fmt: skip
WORDS = [*PIECES, "Herr ", "Strauß ", "STRAUSS", "İlker ", "Ramipril ", "geb. 3.4.1950 "]


@given(st.text(max_size=300) | st.lists(st.sampled_from(WORDS)).map("".join))
def test_findings_lie_in_the_text_and_do_not_overlap(text):
    for language in ("de", "fr"):
        spans = scan(text, language, BY)
        assert all(0 <= s.start < s.end <= len(text) for s in spans)
        assert all(a.end <= b.start for a, b in itertools.pairwise(spans))


@pytest.mark.parametrize("piece", [*PIECES, "Dr. A. ", "Anna von ", "1.2.", "A-1 ", "Klinik für "])
def test_time_grows_with_the_length_alone(piece):
    """Four times the text must not take sixteen times as long, whatever it repeats."""

    def seconds(characters: int) -> float:
        text = (piece * (characters // len(piece) + 1))[:characters]
        start = time.process_time()
        scan(text, "de", BY)
        return time.process_time() - start

    seconds(100)
    short, long = seconds(1_000), seconds(4_000)
    assert long < 0.1 + 7 * short


def test_the_split_is_by_family_and_in_halves():
    names = [f"Fall_{letter}.txt" for letter in "ABCDE"] + [f"Brief{i}.txt" for i in range(15)]
    side = halves(names)
    assert len({side[name] for name in names[:5]}) == 1
    assert abs(list(side.values()).count("held") - 10) <= 4


@pytest.mark.skipif(not REAL.is_file(), reason="no shared data")
def test_the_development_half_is_found():
    """The held half is counted on by `bench/corpus/phi.py` alone."""
    for letter in read("development", REAL):
        wanted = ("NAME_PATIENT", "NAME_DOCTOR", "DATE", "ID", "CONTACT_PHONE", "CONTACT_FAX")
        spans = [(start, end) for start, end, label in letter.spans if label in wanted]
        assert missed(letter.text, spans, "de") == []
