"""The overlap index: what is found of a text in documents, and what is not."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside_core.matching import canonical
from bedside_core.overlap import NEAR, NGRAM, RUN, Overlap, OverlapIndex

VOCABULARY = [f"{first}{second}" for first in "bdfghklmnprstw" for second in ("ama", "eli", "oru")]


def text(seed: int, count: int = 60) -> str:
    return " ".join(random.Random(seed).choices(VOCABULARY, k=count))


def count(texts: Sequence[str], documents: Sequence[str]) -> list[Overlap]:
    return OverlapIndex(texts).count(map(canonical, documents))


def test_a_copy_is_exact_whatever_its_dirt() -> None:
    known = text(1)
    dirty = "\ufeff" + known.upper().replace(" ", "\u00a0\r\n", 9)
    assert count([known], [text(2), dirty]) == [Overlap(True, 1.0, 1.0)]


def test_a_text_inside_a_longer_document_is_near_and_not_exact() -> None:
    (found,) = count([text(1)], [f"{text(2)} {text(1)}. {text(3)}"])
    assert found == Overlap(False, 1.0, 1.0)
    assert found.is_near
    assert found.is_found


def test_other_texts_share_nothing() -> None:
    assert count([text(1), text(2)], [text(3), text(4, 500)]) == [Overlap(), Overlap()]
    assert not Overlap().is_found


def test_a_changed_word_costs_itself_alone_where_both_sides_of_it_are_runs() -> None:
    changed = text(1).split()
    changed[20] = "anders"
    assert count([text(1)], [" ".join(changed)]) == [Overlap(False, 59 / 60, 59 / 60)]


def test_a_text_spread_over_documents_is_found_in_all_of_them_together() -> None:
    known = text(1).split()
    parts = [" ".join(known[start : start + 15]) for start in (0, 15, 30, 45)]
    (found,) = count([" ".join(known)], parts)
    assert found == Overlap(False, 0.25, 1.0)
    assert not found.is_near
    assert found.is_found


def test_a_word_that_two_runs_share_counts_once() -> None:
    words = text(1, 20).split()
    hit = OverlapIndex([" ".join(words)]).look_up(" ".join(["neu", *words[:10], "neu"]))
    assert hit.shares == {0: 10 / 20}
    assert hit.covered == 10 / 12


def test_a_fragment_of_a_text_is_covered_by_it() -> None:
    hit = OverlapIndex([text(1, 400)]).look_up(canonical(" ".join(text(1, 400).split()[50:80])))
    assert hit.covered == 1.0
    assert hit.shares == {0: 30 / 400}
    assert hit.exact == ()


@pytest.mark.parametrize("length", range(1, RUN))
def test_a_text_shorter_than_a_run_is_found_as_a_whole(length: int) -> None:
    short = text(1, length)
    longer = f"vorher {short} nachher"
    cut = f"vorher {' '.join(short.split()[1:])} nachher"
    assert count([short, text(2)], [longer]) == [Overlap(False, 1.0, 1.0), Overlap()]
    assert count([short], [cut]) == [Overlap()]
    assert count([short], [short.upper()]) == [Overlap(True, 1.0, 1.0)]


def test_texts_without_a_word_and_no_texts_are_not_found() -> None:
    assert count(["→", ""], ["??", "", text(1)]) == [Overlap(), Overlap()]
    assert count([], [text(1)]) == []
    hit = OverlapIndex([text(1)]).look_up("")
    assert (hit.exact, hit.shares, hit.covered) == ((), {}, 0.0)


def test_equal_texts_and_repeated_runs_are_all_found() -> None:
    refrain = f"{text(1, 9)} {text(2, 3)} " * 3
    index = OverlapIndex([refrain, text(3), refrain])
    assert index.look_up(canonical(refrain)).exact == (0, 2)
    assert index.look_up(canonical(text(1, 9))).shares == {0: 27 / 36, 2: 27 / 36}


def test_the_thresholds_are_inclusive() -> None:
    assert Overlap(near=NEAR, ngram=NEAR).is_near
    assert not Overlap(near=NEAR - 0.01, ngram=NEAR).is_near
    assert Overlap(ngram=NGRAM).is_found
    assert not Overlap(ngram=NGRAM - 0.01).is_found


def shares_by_definition(known: list[str], documents: list[list[str]]) -> Overlap:
    """The three measures as the module's first lines say them, without an index."""
    run = min(RUN, len(known))

    def marks(document: list[str]) -> list[bool]:
        runs = {tuple(document[i : i + run]) for i in range(len(document) - run + 1)}
        starts = [i for i in range(len(known) - run + 1) if tuple(known[i : i + run]) in runs]
        return [any(i <= place < i + run for i in starts) for place in range(len(known))]

    each = [marks(document) for document in documents] or [[False] * len(known)]
    return Overlap(
        known in documents,
        max(sum(one) / len(known) for one in each),
        sum(map(any, zip(*each, strict=True))) / len(known),
    )


few = st.lists(st.sampled_from("abc"), min_size=1, max_size=24)


@settings(max_examples=300)
@given(few, few, st.lists(few, max_size=4), st.booleans())
def test_is_what_its_definition_says(
    known: list[str], other: list[str], documents: list[list[str]], copy: bool
) -> None:
    # Three words make runs that repeat, lie over each other and stand in both texts.
    if copy:
        documents = [*documents, known[:16], [*other, *known[4:], *known]]
    got = count([" ".join(known), " ".join(other)], [" ".join(d) for d in documents])
    assert got == [shares_by_definition(x, documents) for x in (known, other)]


@given(st.lists(few, max_size=4), st.lists(few, max_size=4))
def test_each_measure_is_at_least_the_one_before(
    texts: list[list[str]], documents: list[list[str]]
) -> None:
    for found in count([" ".join(x) for x in texts], [" ".join(d) for d in documents]):
        assert found.ngram >= found.near >= float(found.exact)
