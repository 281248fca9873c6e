import json
from pathlib import Path

import pytest

from bedside_corpus.blocks.language import LanguageFilter
from bedside_corpus.document import Document
from bedside_corpus.language.identify import MIN_WORDS, identify, known_languages

ROOT = Path(__file__).parents[3]
SHARED = ROOT / "../shared/data"
TEXTS = {
    "de": "Die Patientin wurde mit Fieber und Husten aufgenommen, das Röntgenbild zeigte ein "
    "Infiltrat im rechten Unterlappen, und wir begannen noch am selben Tag mit einem Antibiotikum.",
    "fr": "La patiente a été admise pour une fièvre et une toux, la radiographie montrait un "
    "infiltrat du lobe inférieur droit et un antibiotique a été débuté le jour même.",
    "en": "The patient was admitted with fever and cough, the chest film showed an infiltrate of "
    "the right lower lobe, and an antibiotic was started on the same day.",
}
DIAGNOSES = (
    "Diabetes mellitus Typ 2, arterielle Hypertonie, koronare Herzkrankheit, Struma nodosa, "
    "Adipositas permagna, Varicosis cruris, Hallux valgus, Carcinoma in situ, Status post "
    "Nephrektomie, Polyarthritis rheumatica, Psoriasis vulgaris, Ulcus cruris, Cholecystolithiasis"
)
DRUGS = (
    "Ramipril Bisoprolol Torasemid Pantoprazol Metformin Sitagliptin Atorvastatin Clopidogrel "
    "Apixaban Levothyroxin Allopurinol Metamizol Tilidin Naloxon Mirtazapin Lorazepam Macrogol "
    "Simvastatin Furosemid Amlodipin Spironolacton 5 mg 1-0-0"
)
VALUES = "Na 138 mmol/l\nK 3,5–5,1\nCRP <5 mg/l\nHb 9,8 g/dl\n" * 10


def document(text: str, language: str = "de", number: int = 1) -> Document:
    return Document(f"d{number}", text, "s", "CC0-1.0", language, f"s/a:{number}")


@pytest.mark.parametrize("language", TEXTS)
def test_sentences_are_known(language):
    found = identify(TEXTS[language])
    assert found is not None
    assert found.language == language
    assert found.probability > 0.8
    assert language in known_languages()


@pytest.mark.parametrize(
    "text", ["", "138 3,5 g/l " * 50, "Kein Fieber.", " ".join(["Wort"] * (MIN_WORDS - 1))]
)
def test_too_little_is_not_decided(text):
    assert identify(text) is None


def test_another_language_goes_and_is_counted_with_both():
    block = LanguageFilter(0.8)
    said = [("de", "de"), ("de", "fr"), ("fr", "fr"), ("en", "de"), ("und", "de"), ("tlh", "de")]
    documents = [document(TEXTS[real], code, n) for n, (code, real) in enumerate(said)]
    assert [d.id for d in block.run(documents)] == ["d0", "d2", "d4", "d5"]
    assert block.counts.dropped == {"other_language": 2}
    assert block.counts.noted == {
        "language de is fr": 1,
        "language en is de": 1,
        "language unknown": 1,
    }


@pytest.mark.parametrize("text", [DIAGNOSES, DRUGS, VALUES, "Fever.", DIAGNOSES * 3])
def test_notation_and_latin_stay_whatever_is_declared(text):
    block = LanguageFilter(0.8)
    assert len(list(block.run([document(text, code) for code in ("de", "fr", "en")]))) == 3


def test_a_higher_threshold_keeps_more():
    mixed = document(" ".join(TEXTS["de"].split()[:14] + TEXTS["en"].split()[:14]), "fr")
    assert list(LanguageFilter(0.3).run([mixed])) == []
    assert list(LanguageFilter(0.999).run([mixed])) == [mixed]


@pytest.mark.parametrize(
    ("path", "field", "language"),
    [
        ("grascco/letters.jsonl", "text", "de"),
        ("gnad/articles.jsonl", "text", "de"),
        ("morfitt/abstracts.jsonl", "text", "fr"),
        ("casimedicos/en.jsonl", "question", "en"),
    ],
)
def test_no_real_text_is_lost_and_all_are_found(path, field, language):
    if not (SHARED / path).is_file():
        pytest.skip("no shared data")
    lines = (SHARED / path).read_text(encoding="utf-8").splitlines()[:150]
    texts = [json.loads(line)[field] for line in lines]
    own = LanguageFilter(0.8)
    assert len(list(own.run([document(text, language) for text in texts]))) == len(texts)
    foreign = LanguageFilter(0.8)
    left = len(list(foreign.run([document(text, "it") for text in texts])))
    noted = foreign.counts.noted
    assert left == noted["language too short"] + noted["language unsure"] < len(texts) * 0.05
