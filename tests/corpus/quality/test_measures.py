import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_corpus.blocks.quality import QualityFilter
from bedside_corpus.cleaning.clean import clean
from bedside_corpus.document import Document
from bedside_corpus.quality.judge import fault
from bedside_corpus.quality.limits import limits
from bedside_corpus.quality.measures import Measures

ROOT = Path(__file__).parents[3]
GRASCCO = ROOT / "../shared/data/grascco/letters.jsonl"
LETTERS = sorted((ROOT / "tests/letters").glob("*.txt"))
NOTATION = sorted((ROOT / "tests/corpus/cleaning/notation").glob("*.txt"))
PROSE = (
    "Der Patient berichtet, dass die Schmerzen in der linken Schulter seit dem Sturz im Mai nicht "
    "mehr verschwunden sind und dass er nachts davon aufwacht. Die Untersuchung des Gelenks zeigt "
    "eine Bewegung, die nach vorn frei und zur Seite hin gehemmt ist. Im Ultraschall sieht man "
    "einen Riss der Sehne, für den wir eine Behandlung ohne Operation empfehlen.\n"
)
JUNK = {
    "one line over and over": "Jetzt günstig kaufen und sparen!\n" * 30,
    "one phrase over and over": "billig Viagra online kaufen ohne Rezept " * 40,
    "signs": "#### ---- **** ==== |||| ____ #### " * 30,
}
SHORT = {
    "one line": "Wiedervorstellung am 3. 4. 2024 um 14:30 Uhr.",
    "values": "Na 138 mmol/l\nK 3,5 mmol/l\nKrea 1,2 mg/dl\nCRP < 5 mg/l\nHb 9,8 g/dl\nQuick 78 %",
    "list": "Diagnosen:\n- Pneumonie re.\n- COPD III\n- Z. n. TIA 2018\n\nPlan:\n- ASS 100 1-0-0",
    "table": "Tag\tRR\tPuls\n1\t120/80\t72\n2\t125/85\t70\n3\t120/80\t72\n4\t120/80\t71",
    "plan": "Ramipril 5 mg 1-0-0\nBisoprolol 5 mg 1-0-0\nTorasemid 10 mg 1-0-0\nASS 100 mg 1-0-0",
    "findings": "".join(f"{part}: o. B.\n" for part in "Herz Lunge Abdomen Niere Haut".split()),
    "numbers": "\n".join(" ".join(str(n * k) for k in range(20)) for n in range(30)),
    "many findings": "".join(f"Wirbel {n}: o. B.\n" for n in range(60)),
    "a curve": "".join(f"{n}. 3.\tRR 120/80\tPuls 72\tTemp. 37,0\n" for n in range(1, 31)),
}


def document(text: str, source: str) -> Document:
    return Document("d", text, source, "CC0-1.0", "de", f"{source}/a:1")


def test_measures_of_a_small_text():
    text = Measures("• Der Arzt, l'ami …\n\n# Der Arzt 5,5\n# Der Arzt 5,5\n")
    assert text.words == ["Der", "Arzt", "l'", "ami", *["Der", "Arzt", "5,5"] * 2]
    assert len(text.tokens) == 15
    assert text.worded == 10 / 15
    assert text.lines == ["• Der Arzt, l'ami …", "# Der Arzt 5,5", "# Der Arzt 5,5"]
    assert text.bullet_lines == text.ellipsis_lines == text.repeated_lines == 1 / 3
    assert text.ended_lines == 1 / 3
    assert text.repeated_line_characters == 14 / (19 + 14 + 14)
    assert text.alphabetic == 8 / 15
    assert text.stop_words(frozenset({"der", "l'", "die"})) == 2
    assert text.top_phrase(2) == len("Der Arzt") * 3 / len(text.text)
    assert text.repeated_phrases(3) == len("#DerArzt") / sum(map(len, text.tokens))
    assert text.top_phrase(15) == text.repeated_phrases(15) == 0


@given(st.text(max_size=200), st.sampled_from(["de", "fr", "en", "xx"]))
def test_shares_are_shares_and_no_text_is_an_error(text, language):
    measures = Measures(text)
    shares = [
        *(measures.alphabetic, measures.bullet_lines, measures.ellipsis_lines),
        *(measures.ended_lines, measures.repeated_lines, measures.repeated_line_characters),
        *(measures.repeated_phrases(n) for n in (2, 5)),
    ]
    assert all(0 <= share <= 1 for share in shares)
    for kind in ("house", "web"):
        assert fault(text, limits(kind, language)) in {None, *REASONS}


REASONS = {
    *("quality_length", "quality_word_length", "quality_letters", "quality_signs"),
    *("quality_bullets", "quality_ellipses", "quality_sentences", "quality_list"),
    *("quality_stop_words", "quality_repeated_lines", "quality_repeated_phrases"),
}


@pytest.mark.parametrize("kind", ["house", "web"])
@pytest.mark.parametrize("junk", JUNK)
def test_junk_goes_everywhere(kind, junk):
    assert fault(JUNK[junk], limits(kind, "de")) in REASONS


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PROSE, None),
        ("Ein kurzer Satz über den Arzt und die Patientin.", "quality_length"),
        (PROSE.replace(" ", "\n"), "quality_list"),
        ("- " + PROSE.replace(". ", ".\n- "), "quality_bullets"),
        (PROSE.replace(".", " …"), "quality_ellipses"),
        (PROSE.replace(" ", " # ", 8), "quality_signs"),
        (" ".join(w for w in PROSE.split() if len(w) > 5) * 4, "quality_stop_words"),
        (PROSE + PROSE, "quality_repeated_lines"),
        (PROSE * 2 + PROSE.replace("\n", " "), "quality_repeated_lines"),
        (PROSE.replace("\n", " ") * 2, "quality_repeated_phrases"),
        (PROSE.replace(" ", ""), "quality_length"),
    ],
)
def test_reasons_of_the_web(text, reason):
    assert fault(text, limits("web", "de")) == reason


@given(st.lists(st.sampled_from("abcd"), max_size=40), st.integers(2, 10))
def test_repeated_phrases_are_those_of_their_definition(tokens, words):
    repeated, place, seen = 0, 0, set()
    while place + words <= len(tokens):
        phrase = tuple(tokens[place : place + words])
        repeated += len(phrase) if phrase in seen else 0
        place += words if phrase in seen else 1
        seen.add(phrase)
    share = repeated / len(tokens) if tokens else 0.0
    assert Measures(" ".join(tokens)).repeated_phrases(words) == share


@pytest.mark.parametrize("name", SHORT)
def test_short_clinical_texts_stay_in_the_house(name):
    assert fault(SHORT[name], limits("house", "de")) is None


@pytest.mark.parametrize("path", [*LETTERS, *NOTATION], ids=lambda path: path.stem)
def test_no_letter_of_ours_is_lost_in_the_house(path):
    assert fault(path.read_text(encoding="utf-8"), limits("house", "de")) is None


def test_no_letter_of_grascco_is_lost_in_the_house_and_most_are_on_the_web():
    if not GRASCCO.is_file():
        pytest.skip("no shared data")
    letters = [json.loads(line)["text"] for line in GRASCCO.read_text("utf-8").splitlines()]
    letters = [clean(letter).text for letter in letters]
    assert all(fault(letter, limits("house", "de")) is None for letter in letters)
    assert sum(fault(letter, limits("web", "de")) is None for letter in letters) < len(letters) / 2


def test_each_source_has_its_own_kind():
    block = QualityFilter({"crawl": "web", "wards": "house"})
    short = SHORT["one line"]
    documents = [document(short, source) for source in ("crawl", "wards", "other")]
    documents += [document(JUNK["signs"], source) for source in ("crawl", "wards", "other")]
    assert list(block.run(documents)) == [documents[1], documents[2], documents[5]]
    assert block.counts.dropped == {"quality_length": 2, "quality_signs": 1}
