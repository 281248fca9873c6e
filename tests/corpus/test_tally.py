"""What is counted of all shards adds up, and is shown without a word of any text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_corpus.counts import MAX_PLACES, Counts
from bedside_corpus.engine.records import Record
from bedside_corpus.tally import Tally

LICENCES = ("CC-BY-4.0", "CC0-1.0")
outcomes = st.one_of(
    st.tuples(st.just("keep"), st.sampled_from(("a", "b")), st.sampled_from(LICENCES)),
    st.tuples(st.just("drop"), st.sampled_from(("heldout", "empty")), st.just("")),
)
Outcomes = list[tuple[str, str, str]]


def records(shard: Outcomes, first: int) -> tuple[Record, Record]:
    """Of the two stages of a shard whose kept documents have two words each."""
    reading, licences = Counts(), dict[str, dict[str, int]]()
    for number, (outcome, name, licence) in enumerate(shard, start=first):
        reading.read += 1
        if outcome == "drop":
            reading.drop(name, f"s/f:{number}")
        else:
            found = licences.setdefault(name, {})
            found[licence] = found.get(licence, 0) + 1
    kept = reading.kept
    last = Counts(read=kept).to_json()
    return Record(documents=kept, steps={"reading": reading.to_json()}), Record(
        documents=kept, words=2 * kept, licences=licences, steps={"deduplicating": last}
    )


def tally_of(*shards: Outcomes) -> Tally:
    firsts = [1 + sum(map(len, shards[:number])) for number in range(len(shards))]
    pairs = [records(shard, first) for shard, first in zip(shards, firsts, strict=True)]
    return Tally.of([pair[0] for pair in pairs], [pair[1] for pair in pairs])


@given(st.lists(st.lists(outcomes, max_size=15), min_size=1, max_size=4))
def test_every_record_is_counted_once(shards: list[Outcomes]) -> None:
    tally = tally_of(*shards)
    found = [record for shard in shards for record in shard]
    assert tally.read == tally.kept + tally.dropped.total() == len(found)
    facts, stats = tally.facts(), tally.stats()
    assert facts["documents"] == stats["kept"] == sum(s["documents"] for s in facts["sources"])
    assert facts["words"] == stats["words"] == 2 * tally.kept
    assert facts["dropped"] == {reason: d["count"] for reason, d in stats["dropped"].items()}
    assert tally.licence_ids() == sorted({li for kept, _, li in found if kept == "keep"})
    for reason, dropped in stats["dropped"].items():
        places = [f"s/f:{n}" for n, r in enumerate(found, start=1) if r[1] == reason]
        assert dropped["first"] == places[:MAX_PLACES]
    funnel: list[dict[str, Any]] = stats["steps"]
    assert [(step["name"], step["read"], step["kept"]) for step in funnel] == [
        ("reading", tally.read, tally.kept),
        ("deduplicating", tally.kept, tally.kept),
    ]


def test_a_source_of_which_nothing_is_kept_is_not_named() -> None:
    tally = tally_of([("drop", "empty", "")])
    assert (tally.facts()["sources"], tally.licence_ids()) == ([], [])


def test_the_report_says_what_became_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    kept = [("keep", "letters", "CC0-1.0")] * 600
    drops = [("drop", "empty", "")] * 2 + [("drop", "heldout", "")]
    tally = tally_of(kept, drops, kept)
    tally.report()
    said = capsys.readouterr().out
    assert "read 1,203 records, kept 1,200 documents of 2,400 words" in said
    assert tally.reasons() == "empty 2 (first: s/f:601), heldout 1 (first: s/f:603)"
    assert "empty    2        has nothing left after cleaning" in said and "s/f" not in said
