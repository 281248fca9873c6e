"""Counts of parts add up, and survive being written."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from bedside_corpus.counts import MAX_PLACES, Counts

dropped = st.lists(st.none() | st.sampled_from(("empty", "heldout", "duplicate_text")), max_size=40)


def counted(outcomes: list[str | None], first: int = 1) -> Counts:
    counts = Counts()
    for line, reason in enumerate(outcomes, start=first):
        counts.read += 1
        if reason is None:
            counts.changed += line % 2
            if line % 2:
                counts.noted["odd"] += 1
        else:
            counts.drop(reason, f"s/f:{line}")
    return counts


@given(dropped, st.integers(0, 40))
def test_parts_add_up_to_the_whole_and_their_order_is_kept(
    outcomes: list[str | None], cut: int
) -> None:
    parts = counted(outcomes[:cut]), counted(outcomes[cut:], len(outcomes[:cut]) + 1)
    whole = counted(outcomes)
    assert (parts[0] + parts[1]).to_json() == whole.to_json()
    assert whole.kept == outcomes.count(None)
    for reason, places in whole.places.items():
        lines = [f"s/f:{n}" for n, one in enumerate(outcomes, start=1) if one == reason]
        assert places == lines[:MAX_PLACES]


@given(dropped)
def test_what_is_written_is_read_back(outcomes: list[str | None]) -> None:
    counts = counted(outcomes)
    assert Counts.from_json(json.loads(json.dumps(counts.to_json()))) == counts
