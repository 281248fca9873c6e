import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bedside_corpus import medical_terms
from bedside_corpus.medical_filter import density, is_medical

ROOT = Path(__file__).parents[2]
DOCUMENTS = ROOT / "demo/documents"
HELDOUT = ROOT / "demo/heldout"
SHARED = ROOT / "../shared/data"
THRESHOLD = yaml.safe_load((ROOT / "configs/demo.yaml").read_text(encoding="utf-8"))["corpus"][
    "medical_filter"
]["min_density"]


def densities(folder):
    return {p.stem: density(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("*.txt"))}


def records(name):
    path = SHARED / name
    if not path.is_file():
        pytest.skip("no shared data")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


MEDICAL = """
herzinsuffizienz bronchialkarzinom niereninsuffizienz lungenödem gastritis hyperkaliämie urämie
cholezystektomie kniegelenk patientin mmhg µg μg ramipril polyneuropathie dünndarm
"""
ORDINARY = """
herzlich herzog herzustellen funktionieren handlungen weiter heiter impuls schimpfen gendarm
kardinal materie symbol sympathie gelenkt abstimmung verbrechen weltraum prämie gastronomie
april blödem operativ prognose technologie rose venedig skeptisch allergrößten paneuropäisch
"""


@pytest.mark.parametrize("word", MEDICAL.split())
def test_medical_words(word):
    assert is_medical(word)


@pytest.mark.parametrize("word", ORDINARY.split())
def test_ordinary_words_that_look_medical(word):
    assert not is_medical(word)


def test_density_is_a_share_of_words():
    assert density("") == density("12,5 % ≥ 3") == 0
    assert density("Der Patient hat 38,5 °C Fieber") == 2 / 5


@given(st.text())
def test_density_is_between_0_and_1(text):
    assert 0 <= density(text) <= 1


def test_no_stem_is_listed_in_vain():
    anywhere = medical_terms.ANYWHERE
    longer = {(a, b) for a in anywhere for b in anywhere if a != b and b in a}
    elsewhere = {
        (a, b) for a in medical_terms.BEGINNING | medical_terms.ENDING for b in anywhere if b in a
    }
    assert not longer | elsewhere


@pytest.mark.parametrize("folder", [DOCUMENTS / "medical", HELDOUT / "medical_de"])
def test_every_medical_text_of_the_demo_is_kept(folder):
    found = densities(folder)
    assert found
    assert {name for name, value in found.items() if value < THRESHOLD} == set()


@pytest.mark.parametrize("folder", [DOCUMENTS / "general", HELDOUT / "general_de"])
def test_every_other_text_of_the_demo_is_dropped(folder):
    found = densities(folder)
    assert found
    assert {name for name, value in found.items() if value >= THRESHOLD} == set()


def test_clinical_letters_are_kept():
    values = [density(record["text"]) for record in records("grascco/letters.jsonl")]
    assert sum(value >= THRESHOLD for value in values) / len(values) >= 0.95


def test_few_newspaper_articles_are_kept():
    articles = [r for r in records("gnad/articles.jsonl") if r["label"] != "Wissenschaft"]
    kept = sum(density(article["text"]) >= THRESHOLD for article in articles)
    assert kept / len(articles) <= 0.02
