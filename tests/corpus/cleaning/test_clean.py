import json
import time
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bedside_core.matching import canonical
from bedside_corpus.blocks.cleaning import Cleaning
from bedside_corpus.cleaning.clean import clean
from bedside_corpus.document import Document

HERE = Path(__file__).parent
SHARED = HERE.parents[2] / "../shared/data"
SIGNS = "µμ≥≤±°×%½²³⁹‰→αβ℃Å,.;:äöüÄÖÜßéèœ<>–−’"
INVISIBLE = "\u200b\u200d\u200e\u2060\u2064\u202e\u00ad"
SEPARATING = "\x00\x07\x1f\x1e\x7f\x85\x96\x9d\ufeff\ufffc\uf0b7\uf0b3\u00a0\u2009\u3000\u2028"
GAPS = [*INVISIBLE, *SEPARATING, "\r\n", "\n", "\n\n\n", " ", "  ", "\t", "-", ",", "/"]

texts = st.text(st.characters(exclude_categories=["Cs"]))
runs = st.text(st.sampled_from("aböXYZ0123456789é"), min_size=1, max_size=4)
gaps = st.lists(st.sampled_from(GAPS), min_size=1, max_size=3).map("".join)
dirty_texts = st.lists(st.tuples(runs, gaps), max_size=8).map(lambda ps: "".join(map("".join, ps)))
# Two signs side by side may be two bytes of one: no text has "Ä" before "µ".
notation = st.tuples(st.sampled_from([*SIGNS, ""]), st.sampled_from("abcXYZ0123456789()/")).map(
    "".join
)
clean_lines = st.lists(notation, min_size=1, max_size=20).map("".join)
clean_texts = st.lists(clean_lines, min_size=1, max_size=5).map("\n\n".join)


def apart(text: str) -> tuple[str, dict[int, str]]:
    """The letters and digits of a text, and after how many of them which gap stands."""
    seen, between = "", {}
    for character in text:
        if character.isalnum():
            seen += character
        else:
            between[len(seen)] = between.get(len(seen), "") + character
    return seen, {n: gap for n, gap in between.items() if 0 < n < len(seen)}


@given(st.one_of(texts, dirty_texts))
def test_is_idempotent(text):
    once = clean(text).text
    again = clean(once)
    assert again.text == once
    assert not again.changes


@given(st.one_of(clean_texts, texts))
def test_what_changes_is_counted_and_nothing_else(text):
    cleaned = clean(text)
    assert bool(cleaned.changes) == (cleaned.text != text)
    assert all(rule.isascii() for rule in cleaned.changes)


@given(clean_texts)
def test_a_text_without_dirt_stays_as_it_is(text):
    assert clean(text).text == text


@given(dirty_texts)
def test_no_two_runs_of_letters_or_digits_are_joined(text):
    seen, before = apart(text)
    kept, after = apart(clean(text).text)
    assert kept == seen
    assert not after.keys() - before.keys()
    for place in before.keys() - after.keys():
        # Only inside a word of small letters, where what stood there shows nothing.
        assert seen[place - 1].islower() and seen[place].islower()
        assert set(before[place].replace("\r", "")) <= {*INVISIBLE, "\n"}
        assert "\n" not in before[place] or "\u00ad" in before[place]


@given(
    st.lists(st.tuples(st.sampled_from([*SIGNS, ""]), st.sampled_from([*GAPS, "x"]), st.just("7")))
)
@example([("Å", "\x96", "7")])  # would be the bytes of Ŗ
@example([("Å", "\xad", "7")])
@example([("×", "\x96", "7")] * 4)  # of Hebrew letters
def test_every_sign_and_digit_survives_in_number_and_order(pieces):
    text = unicodedata.normalize("NFC", "".join(map("".join, pieces)))
    wanted = {*SIGNS, "7"} - {"–", "≥"}  # U+0096 and U+F0B3 add to these
    assert [c for c in clean(text).text if c in wanted] == [c for c in text if c in wanted]


@given(texts)
def test_no_special_space_control_or_surplus_blank_is_left(text):
    result = clean(text).text
    assert not set(result) & {*SEPARATING, "\u00ad", "\u202f", "\r"}
    assert all(unicodedata.category(c) not in ("Cc", "Co") or c in "\n\t" for c in result)
    assert "\n\n\n" not in result
    assert not any(line.endswith(" ") for line in result.split("\n"))


@pytest.mark.parametrize("language", ["de", "fr", "en"])
def test_notation_stays_byte_for_byte(language):
    text = (HERE / "notation" / f"{language}.txt").read_text(encoding="utf-8").removesuffix("\n")
    assert clean(text) == (text, {})
    for line in text.split("\n"):
        if not line.startswith((" ", "\t")) and not line.endswith("\t"):
            assert clean(line).text == line


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        # What the review of 30 November found: a removed character made another number.
        ("Kalium 3\x965 mmol/l", "Kalium 3–5 mmol/l"),
        ("7\x9610 Tage", "7–10 Tage"),
        ("2\u00ad3 Tage, 3\u00ad5 mg", "2-3 Tage, 3-5 mg"),
        ("Na\x1f138\x1fK\x1f4,2", "Na 138 K 4,2"),
        ("138\x1e4,2\x1d17", "138 4,2 17"),
        ("120\u200b80 mmHg; 1\u200b000", "120 80 mmHg; 1 000"),
        ("2006\u00ad2015, CIM\u00ad10\u00adCA", "2006-2015, CIM-10-CA"),
        ("Carbachol\u00adProvokationstest", "Carbachol-Provokationstest"),
        ("a\r\nb\rc\u2028d\fe", "a\nb\nc\nd\ne"),
        ("\x1b[1mBefund\x1b[0m:\x1b[31m5", "Befund : 5"),
        ("a  \t\n\n\n\n\nb", "a\n\nb"),
        (" \u200b\n", ""),
        ("\tNa\t138\nTag 1\t\t", "\tNa\t138\nTag 1\t\t"),
        ("   Na   138\n   K    4,2  ", "   Na   138\n   K    4,2"),
        ("  Befund\nunauffällig", "Befund\nunauffällig"),
        # The two bytes of one letter in the middle of a word, and of a range beside a digit.
        ("c\u00c5\u0093ur", "cœur"),
        ("3 Å\x965 Å", "3 Å–5 Å"),
        # One rule bares what another looks for.
        ("&am\u200bp;lt; 5 m\u00c3\u200b\u00a4", "< 5 mä"),
    ],
)
def test_examples(raw, expected):
    assert clean(raw).text == expected


@pytest.mark.parametrize(
    "piece",
    [" ", "\t", "\n", "\n ", "a-\n", "ab-\ncd", "\u00ad", "\u00ad ", "a\u00ad\n", "\x00", "\x1b[1",
     "&", "&amp;", "&amp", "&#38;", "www.", "http://a.b/)", "(http://a.b", "http://a.b?", "\u200b",
     "Ã¤", "Â", "\u0301", "\u0096", "\uf06f ", "- ", "Seite 1 von ", "©", "a.b", "\u200da"],
)  # fmt: skip
def test_time_is_linear(piece):
    # Thirty thousand of them: a rule that looks back over a run would take minutes.
    began = time.process_time()
    clean("a" + piece * 30_000 + "b")
    assert time.process_time() - began < 5


def test_counts_name_code_points_and_never_words():
    changes = clean("Maria\x1fMuster \u00adsiehe https://muster.example/maria, 5\u00a0mg").changes
    assert changes == {
        "control: U+001F to U+0020": 1,
        "soft_hyphen: U+00AD to nothing": 1,
        "space: U+00A0 to U+0020": 1,
        "url: url": 1,
    }


def test_the_block_counts_and_keeps_the_form_for_matching_as_it_came():
    raw = ["Kalium 3–5", "Kalium 3\x965\xad", "\x00\u200b ", "5\u00a0mg FÃ¤lle"]
    documents = [Document(f"d{n}", t, "s", "CC0-1.0", "de", f"s/a:{n}") for n, t in enumerate(raw)]
    block = Cleaning()
    plain, dash, mojibake = block.run(documents)
    assert plain is documents[0]
    assert [dash.text, mojibake.text] == ["Kalium 3–5", "5 mg Fälle"]
    assert [d.as_read for d in (plain, dash, mojibake)] == [None, raw[1], raw[3]]
    assert dash.form == canonical(raw[1]) == "kalium 3 5"
    assert dash.forms == ("kalium 3 5", "kalium 3 5")
    assert plain.forms == ("kalium 3 5",)
    assert (block.counts.read, block.counts.changed, dict(block.counts.dropped)) == (
        4,
        2,
        {"empty": 1},
    )
    assert block.counts.noted["windows_control: U+0096 to U+2013"] == 1
    assert block.counts.noted["mojibake: sequence to U+00E4"] == 1


@pytest.mark.parametrize("name", ["grascco/letters", "gnad/articles", "morfitt/abstracts"])
def test_real_texts_keep_their_signs_and_numbers(name):
    path = SHARED / f"{name}.jsonl"
    if not path.is_file():
        pytest.skip("no shared data")
    for line in path.read_text(encoding="utf-8").splitlines()[:400]:
        raw = unicodedata.normalize("NFC", json.loads(line)["text"])
        cleaned = clean(raw)
        if "url: url" in cleaned.changes:
            continue
        kept = [c for c in raw if c.isalnum() or c in SIGNS]
        if "reference: reference to U+003C" not in cleaned.changes:
            assert [c for c in cleaned.text if c.isalnum() or c in SIGNS] == kept
        assert Counter(cleaned.text.split()) == Counter(raw.split()) or cleaned.changes
