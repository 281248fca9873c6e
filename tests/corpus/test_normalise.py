import json
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_corpus.normalise import normalise

SIGNS = "µμ≥≤±°×%½²³‰→αβ℃Å,.äöüÄÖÜßéè<>"
REMOVED = ["\u200b", "\ufeff", "\u00ad", "\x00", "\x07", "\x9f", "\u2060", "\u202e"]
GRASCCO = Path(__file__).parents[2] / "../shared/data/grascco/letters.jsonl"

texts = st.text(st.characters(exclude_categories=["Cs"]))
clean_lines = st.text(st.sampled_from([*SIGNS, *"abcXYZ0123456789()/-"]), min_size=1, max_size=40)
clean_texts = st.lists(clean_lines, min_size=1, max_size=5).map(
    lambda lines: unicodedata.normalize("NFC", "\n\n".join(lines))
)


@given(texts)
def test_is_idempotent(text):
    assert normalise(normalise(text)) == normalise(text)


@given(clean_texts)
def test_leaves_clean_text_alone(text):
    assert normalise(text) == text


@given(st.lists(st.sampled_from([*SIGNS, *REMOVED, "\u00a0", "\r\n", "7", "x"])))
def test_every_sign_survives_in_number_and_order(pieces):
    text = "".join(pieces)
    kept = unicodedata.normalize("NFC", "".join(c for c in text if c in SIGNS))
    assert "".join(c for c in normalise(text) if c in SIGNS) == kept


@given(texts)
def test_no_special_space_control_or_invisible_is_left(text):
    result = normalise(text)
    assert not set(result) & {*REMOVED, "\u00a0", "\u202f", "\u2009", "\r"}
    assert all(unicodedata.category(c) != "Cc" or c in "\n\t" for c in result)
    assert "\n\n\n" not in result


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("u\u0308ber 5\u00a0µg", "über 5 µg"),
        ("e\u200b\u0301", "é"),
        ("120\u202f/\u200980 mmHg", "120 / 80 mmHg"),
        ("a\r\nb\rc\u2028d\fe", "a\nb\nc\nd\ne"),
        ("a\r\ufeff\nb", "a\nb"),
        ("a  \t\n\n\n\n\nb", "a\n\nb"),
        ("Schwanger\u00adschaft", "Schwangerschaft"),
        ("10² ½ ℃ \u00b5g \u03bcg", "10² ½ ℃ \u00b5g \u03bcg"),
        ("\tNa\t138", "Na\t138"),
        (" \u200b\n", ""),
    ],
)
def test_examples(raw, expected):
    assert normalise(raw) == expected


def test_long_runs_of_blanks_take_linear_time():
    assert normalise("a" + " " * 1_000_000 + "b").endswith("b")


def test_real_letters_keep_their_signs():
    if not GRASCCO.is_file():
        pytest.skip("no shared data")
    for line in GRASCCO.read_text(encoding="utf-8").splitlines():
        raw = unicodedata.normalize("NFC", json.loads(line)["text"])
        before = Counter(c for c in raw if c in SIGNS)
        assert Counter(c for c in normalise(raw) if c in SIGNS) == before
