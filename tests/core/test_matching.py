"""The canonical form for matching: what it does not see, and what it must still tell apart."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.matching import canonical, digest

DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"
QUOTES = "\"'`´„“”‚‘’«»‹›\u02bc"
SPACES = " \t\n\r\v\f\u0085\u00a0\u1680\u2000\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
UNSEEN = "\u00ad\u200b\u200c\u200d\u200e\u202e\u2060\ufeff\x00\x07\x81\ufe0f"
FORMS = ["NFC", "NFD", "NFKC", "NFKD"]

texts = st.text(st.characters(exclude_categories=["Cs"]))
letters = st.text(st.sampled_from("abcäöüßéèñçABCÄÖÜŒ"), min_size=1, max_size=12)
numbers = st.from_regex(r"[0-9]{1,3}([.,][0-9]{1,2})?", fullmatch=True)
words = st.lists(letters | numbers, min_size=1, max_size=12)


@given(texts)
def test_is_idempotent(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


def test_is_idempotent_for_every_character_that_folding_changes() -> None:
    every = (chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
    folded = [c for c in every if unicodedata.normalize("NFKC", c).casefold() != c]
    assert len(folded) > 5000
    text = " ".join(f"a{c}b {c}" for c in folded)
    assert canonical(canonical(text)) == canonical(text)


@given(texts, st.sampled_from(FORMS))
def test_the_unicode_form_does_not_count(text: str, form: str) -> None:
    assert canonical(unicodedata.normalize(form, text)) == canonical(text)  # type: ignore[arg-type]


@given(texts)
def test_the_case_does_not_count(text: str) -> None:
    # U+0345 folds to a letter, and where it stands among other accents depends on the form.
    plain = text.replace("\u0345", "")
    assert canonical(plain.casefold()) == canonical(plain)


@given(words, st.data())
def test_kind_and_number_of_blanks_do_not_count(found: list[str], data: st.DataObject) -> None:
    gap = st.text(st.sampled_from(SPACES), min_size=1, max_size=3)
    dirty = "".join(data.draw(gap) + word for word in found) + data.draw(gap)
    assert canonical(dirty) == canonical(" ".join(found))


@given(words, st.data())
def test_invisible_characters_do_not_count(found: list[str], data: st.DataObject) -> None:
    clean = " ".join(found)
    places = data.draw(st.lists(st.integers(0, len(clean)), max_size=8))
    dirty = clean
    for place in places:
        dirty = dirty[:place] + data.draw(st.sampled_from(UNSEEN)) + dirty[place:]
    assert canonical("\ufeff" + dirty) == canonical(clean)


@given(words, st.sampled_from(DASHES), st.sampled_from(DASHES))
def test_the_kind_of_dash_does_not_count(found: list[str], one: str, other: str) -> None:
    for join in ("{}", " {} ", "{}\n"):
        dirty, clean = (join.format(dash).join(found) for dash in (one, other))
        assert canonical(dirty) == canonical(clean)


@given(words, st.sampled_from(QUOTES), st.sampled_from(QUOTES))
def test_the_kind_of_quote_does_not_count(found: list[str], one: str, other: str) -> None:
    dirty, clean = (" ".join(f"{q}{word}{q}" for word in found) for q in (one, other))
    assert canonical(dirty) == canonical(clean) == canonical(" ".join(found))


@given(letters, letters, st.sampled_from(DASHES), st.sampled_from(["\n", "\r\n", "\u2028", " \n"]))
def test_a_word_divided_at_a_line_end_is_one_word(
    first: str, second: str, dash: str, end: str
) -> None:
    assert canonical(first + dash + end + second) == canonical(first + second)


@given(numbers, numbers)
def test_two_numbers_are_equal_only_if_their_digits_are(one: str, other: str) -> None:
    same = re.findall(r"\d+", one) == re.findall(r"\d+", other)
    assert (canonical(f"Gabe von {one} mg") == canonical(f"Gabe von {other} mg")) == same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3-5 mmol/l", "35 mmol/l"),
        ("3\u20135 mg", "35 mg"),
        ("3\u00965 mg", "35 mg"),
        ("1,2 mg", "12 mg"),
        ("5 mg", "50 mg"),
        ("1-0-1", "101"),
        ("0,5 mg", "5 mg"),
        ("120/80", "12080"),
        ("5 mg", "5 µg"),
        ("kein Fieber", "Fieber"),
        ("links", "rechts"),
    ],
)
def test_doses_and_findings_that_differ_stay_different(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(
    ("dirty", "form"),
    [
        ("10² = 102", "102 102"),  # a copy may have gone through NFKC: see the module
        ("RR < 120, > 80", "rr 120 80"),
        ("5mg 5 mg 5\u00a0mg", "5 mg 5 mg 5 mg"),
        ("1,2 und 1.2", "1 2 und 1 2"),
        ("Straße STRASSE", "strasse strasse"),
        ("Schwanger-\r\nschaft", "schwangerschaft"),
        ("Herz-Kreislauf", "herzkreislauf"),
        ("Befund - unauffällig", "befund unauffällig"),
        ("l’aorte l'aorte", "l aorte l aorte"),
        ("ﬁeber µg μg ℃", "fieber μg μg c"),
        ("x\u0302 a_b", "x\u0302 a b"),
        ("3\u00965 c\u009cur \u0081x", "3 5 cœur x"),  # Windows-1252, read as Latin-1
        ("B12-Mangel", "b 12 mangel"),
        ("→ ??", ""),
        ("", ""),
    ],
)
def test_examples(dirty: str, form: str) -> None:
    assert canonical(dirty) == form


def test_half_a_surrogate_pair_has_a_digest() -> None:
    assert digest(canonical("a\ud800b")) == digest("a b")


def test_long_runs_take_linear_time() -> None:
    assert canonical("a-" + " " * 500_000 + "1").endswith("1")
    assert canonical("a" + "\u0301" * 100_000) != ""
