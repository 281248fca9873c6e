import re
from datetime import date
from pathlib import Path

import pytest
from corpus.grascco import read_marked
from hypothesis import given
from hypothesis import strategies as st

from bedside_corpus.phi.config import PhiConfig
from bedside_corpus.phi.pseudonymise import Leaked, pseudonym, pseudonymise
from bedside_corpus.phi.recognisers import recognisers, scan

KEY = bytes(range(32))
LETTERS = sorted((Path(__file__).parent / "letters").glob("*_*.txt"))
BY = recognisers(PhiConfig())


def changed(text: str, identifier: str = "a", language: str = "de", key: bytes = KEY) -> str:
    return pseudonymise(text, scan(text, language, BY), key, identifier)


@pytest.mark.parametrize("path", LETTERS, ids=lambda p: p.name)
def test_no_name_contact_or_number_is_left(path):
    letter = read_marked(path)
    new = changed(letter.text, language=path.name[:2])
    for start, end, label in letter.spans:
        was = letter.text[start:end]
        if label == "NAME":
            left = {w.casefold() for w in re.findall(r"\w{2,}", new)}
            assert not {w.casefold() for w in re.findall(r"\w{3,}", was)} & left - {"zur", "von"}
        elif label in ("CONTACT", "ID"):
            assert was not in new
    for kept in ("CRP 34,5 mg/l", "Budesonid 9 mg 1-0-0", "Madopar 125 mg", "Morbus Crohn"):
        assert (kept in letter.text) == (kept in new)


@given(st.sampled_from(["Aydoğan", "Wiesengrund", "Hrubesch"]), st.text("abc", max_size=5))
def test_one_name_is_one_surrogate(name, identifier):
    text = f"Herr {name} kam.\n{name.upper()} und {name}s Frau gingen. Herr {name} blieb."
    new = changed(text, identifier)
    first, second = re.findall(r"Herr (\w+)", new)
    assert first == second != name
    assert first.upper() in new
    assert name.casefold() not in new.casefold()


@given(st.dates(date(1930, 1, 1), date(2060, 1, 1)), st.integers(1, 400))
def test_dates_keep_form_weekday_and_distance(day, days):
    later = date.fromordinal(day.toordinal() + days)
    new = changed(f"von {day:%d.%m.%Y} bis am {later:%d.%m.%Y} hier")
    first, second = (
        date(int(y), int(m), int(d)) for d, m, y in re.findall(r"(\d\d)\.(\d\d)\.(\d{4})", new)
    )
    assert (second - first).days == days
    assert first != day
    assert first.weekday() == day.weekday()


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("am 4. Juni 2030 um", r"am \d{1,2}\. [A-ZÄ]\w+ 20\d\d um"),
        ("am 2030-06-04 um", r"am 20\d\d-\d\d-\d\d um"),
        ("ab 05/2030 hier", r"ab \d\d/20\d\d hier"),
        ("am 3.4.30 hier", r"am \d{1,2}\.\d{1,2}\.\d\d hier"),
        ("am 31.2.2030 hier", r"am \[DATE\] hier"),
        ("seit 1998 hier", "seit 1998 hier"),
    ],
)
def test_the_form_of_a_date_stays(text, form):
    assert re.fullmatch(form, changed(text))


def test_an_age_that_identifies_is_90():
    assert changed("Die 97-jährige Patientin") == "Die 90-jährige Patientin"
    assert changed("Die 73-jährige Patientin") == "Die 73-jährige Patientin"


def test_key_and_document_make_the_surrogates():
    text = "Herr Wiesengrund kam am 3.4.2030."
    assert changed(text) == changed(text)
    assert len({changed(text), changed(text, "b"), changed(text, key=b"x" * 32)}) == 3
    assert pseudonym(KEY, "a") != pseudonym(KEY, "b")
    assert re.fullmatch("[0-9a-f]{16}", pseudonym(KEY, "a"))


def test_a_name_that_is_also_a_disease_here_keeps_the_document_out():
    with pytest.raises(Leaked):
        changed("Frau Crohn, geb. 3.4.1950, hat einen M. Crohn.")
