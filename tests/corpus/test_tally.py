"""What is counted of a pass over the sources adds up, and is shown without a word of any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_corpus.counts import MAX_PLACES
from bedside_corpus.document import Document
from bedside_corpus.tally import Tally

LICENCES = ("CC-BY-4.0", "CC0-1.0")
outcomes = st.one_of(
    st.tuples(st.just("keep"), st.sampled_from(("a", "b")), st.sampled_from(LICENCES)),
    st.tuples(st.just("drop"), st.sampled_from(("heldout", "empty")), st.just("")),
)


def document(source: str, licence: str, text: str = "eins zwei") -> Document:
    return Document(id="x", text=text, source=source, licence=licence, language="de", place="s/f")


@given(st.lists(outcomes, max_size=40))
def test_every_record_is_counted_once(records: list[tuple[str, str, str]]) -> None:
    tally = Tally()
    for number, (outcome, name, licence) in enumerate(records, start=1):
        tally.read += 1
        if outcome == "keep":
            tally.keep(document(name, licence))
        else:
            tally.drop(name, f"s/f:{number}")
    assert tally.read == tally.kept + tally.dropped.total() == len(records)
    facts, stats = tally.facts(), tally.stats()
    assert facts["documents"] == stats["kept"] == sum(s["documents"] for s in facts["sources"])
    assert facts["words"] == stats["words"] == 2 * tally.kept
    assert facts["dropped"] == {reason: d["count"] for reason, d in stats["dropped"].items()}
    assert tally.licence_ids() == sorted({li for kept, _, li in records if kept == "keep"})
    for reason, dropped in stats["dropped"].items():
        places = [f"s/f:{n}" for n, r in enumerate(records, start=1) if r[1] == reason]
        assert dropped["first"] == places[:MAX_PLACES]


def test_a_source_of_which_nothing_is_kept_is_not_named() -> None:
    tally = Tally()
    tally.drop("empty", "letters/a.txt:1")
    assert (tally.facts()["sources"], tally.licence_ids()) == ([], [])


def test_the_report_says_what_became_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally(read=1203)
    for _ in range(1200):
        tally.keep(document("letters", "CC0-1.0", "Geheimnis des Patienten"))
    for place in ("letters/a:1", "letters/a:2"):
        tally.drop("empty", place)
    tally.drop("heldout", "letters/a:3")
    tally.report()
    said = capsys.readouterr().out
    assert "read 1,203 records, kept 1,200 documents of 3,600 words" in said
    assert tally.reasons() == "empty 2 (first: letters/a:1), heldout 1 (first: letters/a:3)"
    assert "letters/a:1" in said and "letters/a:2" not in said
    assert "Geheimnis" not in said
