"""The split into development and sealed parts: whole clusters, repeatable, never taken back."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bedside_core.errors import InputError
from bedside_core.heldout import HeldoutText
from bedside_core.kinds.plan import IDENTITY_CHARS, PlannedSet
from bedside_core.parts import (
    Parts,
    as_planned,
    identities,
    part_digest,
    planned_set,
    split,
)

WORDS = [f"wort{letter * 2}" for letter in "abcdefghijklmnopqrstuvwxyz"]


def text(seed: int, cluster: str = "", name: str | None = None) -> HeldoutText:
    prose = " ".join(random.Random(seed).choices(WORDS, k=20))
    return HeldoutText(str(seed) if name is None else name, prose, cluster)


def planned(parts: Parts[HeldoutText]) -> PlannedSet:
    return planned_set("heldout", parts)


def ids(texts: list[HeldoutText]) -> set[str]:
    return {text.id for text in texts}


@pytest.mark.parametrize(("clusters", "development"), [(2, 1), (3, 1), (4, 1), (8, 3), (24, 8)])
def test_a_third_is_for_development(clusters: int, development: int) -> None:
    parts = split({"ward": [text(n) for n in range(clusters)]})["ward"]
    assert (len(parts.development), len(parts.sealed)) == (development, clusters - development)


def test_eight_copies_of_one_text_leave_nothing_to_seal() -> None:
    texts = [text(1, name=f"t{n}") for n in range(8)]
    with pytest.raises(InputError) as error:
        split({"heldout/ward": texts, "heldout/general": [text(n) for n in range(2, 5)]})
    [line] = str(error.value).splitlines()
    assert line.startswith("heldout/ward: nothing is left to seal, 8 text(s) or item(s) make 1 ")
    assert "wort" not in line


def test_a_patient_is_never_in_both_parts() -> None:
    texts = [text(n, f"patient {n % 5}") for n in range(20)]
    parts = split({"ward": texts})["ward"]
    one, other = ({t.cluster for t in part} for part in parts)
    assert (len(one), len(other), one & other) == (2, 3, set())


def test_the_order_of_the_set_is_kept_and_the_cluster_is_the_merged_one() -> None:
    texts = [text(n) for n in range(9)] + [text(3, name="copy")]
    for part in split({"ward": texts})["ward"]:
        assert part == sorted(part, key=lambda t: [x.id for x in texts].index(t.id))
        assert all(t.cluster == "3" for t in part if t.id == "copy")


def test_a_copy_in_another_set_is_in_the_same_part() -> None:
    ward = [text(n) for n in range(9)]
    general = [text(n, name=f"g{n}") for n in range(6, 15)]
    parts = split({"ward": ward, "general": general})
    developed = {t.text for name in parts for t in parts[name].development}
    assert developed.isdisjoint(t.text for name in parts for t in parts[name].sealed)
    assert all(part for name in parts for part in parts[name])


def test_a_set_within_the_sealed_part_of_another_gets_something_to_develop_on() -> None:
    ward = [text(n) for n in range(30)]
    inner = [text(int(t.id), name=f"i{t.id}") for t in split({"ward": ward})["ward"].sealed[:3]]
    parts = split({"a": ward, "b": inner})
    assert (len(parts["b"].development), len(parts["b"].sealed)) == (1, 2)
    assert len(parts["a"].development) == 11


def test_what_was_for_development_is_never_sealed() -> None:
    texts = [text(n) for n in range(12)]
    first = split({"ward": texts})["ward"]
    grown = split({"other": [*texts, *(text(n) for n in range(12, 24))]}, [planned(first)])["other"]
    assert ids(grown.development) > ids(first.development)
    assert ids(grown.sealed) > ids(first.sealed)
    assert len(grown.development) == 8
    shrunk = split({"ward": first.development + first.sealed[:2]}, [planned(first)])["ward"]
    assert shrunk == Parts(first.development, first.sealed[:2])


def test_a_saved_again_or_copied_text_for_development_is_never_sealed() -> None:
    texts = [text(n) for n in range(12)]
    first = split({"ward": texts})["ward"]
    again = [HeldoutText(f"x{t.id}", f" {t.text.upper()}.\n") for t in first.development]
    parts = split({"ward": [*again, *first.sealed]}, [planned(first)])["ward"]
    assert ids(parts.development) == ids(again)


def test_what_was_sealed_is_developed_on_only_if_nothing_else_is_left() -> None:
    texts = [text(n) for n in range(12)]
    first = split({"ward": texts})["ward"]
    more = split({"ward": [*first.sealed, text(99)]}, [planned(first)])["ward"]
    assert ids(more.development) == {"99"}
    none = split({"ward": first.sealed}, [planned(first)])["ward"]
    assert len(none.development) == 1


def test_a_set_that_was_all_for_development_has_nothing_to_seal() -> None:
    texts = [text(n) for n in range(12)]
    everything = planned(Parts(texts[1:], texts[:1]))
    with pytest.raises(InputError, match="11 cluster"):
        split({"ward": texts[1:]}, [everything])


def test_a_plan_of_a_set() -> None:
    texts = [text(n, f"p{n % 6}") for n in range(12)]
    parts = split({"ward": texts})["ward"]
    assert planned(parts) == PlannedSet(
        kind="heldout",
        sha256=part_digest(texts),
        sealed_sha256=part_digest(parts.sealed),
        development=identities(parts.development),
        sealed=identities(parts.sealed),
        clusters=4,
    )


def test_sets_as_they_were_planned() -> None:
    sets = {"ward": [text(n) for n in range(12)], "general": [text(n, "p") for n in range(20, 24)]}
    sets["general"] += [text(5, "q", "copy"), text(30)]
    parts = split(sets)
    plan = {name: planned(parts[name]) for name in sets}
    assert as_planned(sets, plan) == parts
    # Another split would be another one, but the plan holds.
    earlier = [planned(Parts(parts["ward"].sealed, parts["ward"].development))]
    assert split(sets, earlier) != parts


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda texts: texts[1:], "ward: its texts or their clusters were changed"),
        (lambda texts: [*texts, text(99)], "ward: its texts or their clusters were changed"),
        (lambda texts: [*texts, text(3, "3", "copy")], "ward: its texts or their clusters were ch"),
        (lambda texts: [*texts[:5], text(5, "4"), *texts[6:]], "ward: its texts or their clusters"),
        (
            lambda texts: [HeldoutText(t.id, t.text.upper()) for t in texts],
            "ward: its texts or their clusters were changed",
        ),
    ],
)
def test_a_set_that_is_not_as_it_was_planned(change: Any, words: str) -> None:
    texts = [text(n) for n in range(12)]
    plan = {"ward": planned(split({"ward": texts})["ward"])}
    with pytest.raises(InputError, match=re.escape(words)):
        as_planned({"ward": change(texts)}, plan)


def test_another_set_than_planned() -> None:
    texts = [text(n) for n in range(12)]
    plan = {"ward": planned(split({"ward": texts})["ward"])}
    with pytest.raises(InputError) as error:
        as_planned({"general": texts}, plan)
    lines = str(error.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["general", "ward"]


def test_the_digest_is_of_contents_and_clusters() -> None:
    texts = [text(n) for n in range(3)]
    digest = part_digest(texts)
    assert digest == part_digest([text(n, name=f"other {n}") for n in (2, 0, 1)])
    assert digest != part_digest(texts[:2])
    assert digest != part_digest([*texts, text(1, "1", "copy")])
    assert digest != part_digest([texts[0], text(1, "0"), texts[2]])
    assert digest != part_digest([*texts[:2], HeldoutText("2", texts[2].text + ".")])


def test_identities_are_short_sorted_and_of_what_is_said() -> None:
    texts = [text(2), text(1), text(1, name="copy")]
    assert identities(texts) == tuple(sorted({t.identity[:IDENTITY_CHARS] for t in texts}))
    assert len(identities(texts)) == 2


seeds = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 8)), min_size=2, max_size=20)


@given(seeds, seeds, st.randoms(use_true_random=False))
def test_split(
    ward: list[tuple[int, int]], general: list[tuple[int, int]], lot: random.Random
) -> None:
    sets = {
        name: [text(seed, f"p{c}", str(n)) for n, (seed, c) in enumerate(given_)]
        for name, given_ in (("ward", ward), ("general", general))
    }
    try:
        parts = split(sets)
    except InputError:
        assume(False)
    for name, texts in sets.items():
        assert ids(parts[name].development) | ids(parts[name].sealed) == ids(texts)
        assert parts[name].development
        assert parts[name].sealed
    developed = {t.text for name in sets for t in parts[name].development}
    assert developed.isdisjoint(t.text for name in sets for t in parts[name].sealed)
    # Neither order nor names decide.
    other = {f"{of}": [HeldoutText(f"n{t.id}", t.text, f"q{t.cluster}") for t in
                       lot.sample(texts, len(texts))] for of, texts in sets.items()}  # fmt: skip
    again = split(other)
    for name in sets:
        assert {f"n{i}" for i in ids(parts[name].sealed)} == ids(again[name].sealed)
        for part, same in zip(parts[name], again[name], strict=True):
            assert part_digest(part) == part_digest(same)
    # A plan made after this one changes nothing.
    assert split(sets, map(planned, parts.values())) == parts
