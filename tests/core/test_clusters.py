"""Clusters: what shares a source or is a near copy counts once, in whatever order it comes."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.clusters import WINDOW, Member, group_digest, groups, is_name, merged
from bedside_core.heldout import HeldoutText
from bedside_core.kinds.exam import ChoiceItem
from bedside_core.matching import canonical
from bedside_core.overlap import OverlapIndex

WORDS = [f"wort{letter * 2}" for letter in "abcdefghijklmnopqrstuvwxyz"]


def prose(seed: int, words: int = 40) -> str:
    """A text that shares no run of words with that of another seed."""
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def item(name: str, question: str, **changes: object) -> ChoiceItem:
    options = ["Natrium", "Kalium", "Chlorid", "Eisen"]
    return ChoiceItem.model_validate(
        {"id": name, "question": question, "options": options, "answer": 0, "language": "de"}
        | changes
    )


def clusters(sets: Mapping[str, Sequence[Member]]) -> dict[str, list[str]]:
    return {name: [member.cluster for member in group] for name, group in merged(sets).items()}


def test_different_texts_stay_apart() -> None:
    texts = [HeldoutText(str(n), prose(n)) for n in range(4)]
    assert clusters({"ward": texts}) == {"ward": ["0", "1", "2", "3"]}
    assert merged({"ward": texts}) == {"ward": texts}


def test_eight_copies_of_one_text_are_one_cluster() -> None:
    """The case `copies_of_one_text.txt` of the review: no certainty comes of them."""
    texts = [HeldoutText(f"t{n}", prose(1)) for n in range(8)]
    assert clusters({"ward": texts}) == {"ward": ["t0"] * 8}


@pytest.mark.parametrize("sign", ["", ".", " Ende", "\n\n"])
def test_a_near_copy_belongs_to_its_original(sign: str) -> None:
    copy = prose(1).replace("wortb", "WORTB ", 1) + sign
    texts = [HeldoutText("a", copy), HeldoutText("b", prose(2)), HeldoutText("c", prose(1))]
    assert clusters({"ward": texts}) == {"ward": ["a", "b", "a"]}


def test_a_text_within_a_longer_one_belongs_to_it_from_either_side() -> None:
    short, long = HeldoutText("s", prose(1)), HeldoutText("l", f"{prose(2, 400)} {prose(1)}")
    assert clusters({"ward": [short, long]}) == {"ward": ["l", "l"]}
    assert clusters({"ward": [long, short]}) == {"ward": ["l", "l"]}


def test_copies_of_copies_and_patients_hang_together() -> None:
    half = " ".join(prose(1).split()[:35])
    texts = [
        HeldoutText("a", prose(1)),
        HeldoutText("b", half, "patient"),
        HeldoutText("c", prose(3), "patient"),
        HeldoutText("d", prose(4)),
    ]
    assert clusters({"ward": texts}) == {"ward": ["a", "a", "a", "d"]}


def test_texts_that_are_all_signs_are_compared_too() -> None:
    texts = [HeldoutText("a", "???"), HeldoutText("b", "!"), HeldoutText("c", "eins")]
    assert clusters({"ward": texts}) == {"ward": ["a", "a", "c"]}


def test_the_name_of_a_cluster_can_be_read_again() -> None:
    texts = [HeldoutText("na", prose(1)), HeldoutText("nb", prose(2))]
    assert clusters({"ward": texts}) == {"ward": ["cluster na", "nb"]}


def test_names_are_of_their_set_and_copies_are_found_across_sets() -> None:
    sets = {
        "ward": [HeldoutText("0", prose(1)), HeldoutText("1", prose(2))],
        "general": [HeldoutText("0", prose(3)), HeldoutText("1", prose(1)), HeldoutText("2", "x")],
    }
    found = [{of: [m.id for m in ms] for of, ms in group.items()} for group in groups(sets)]
    assert sorted(found, key=str) == [
        {"general": ["0"]},
        {"general": ["2"]},
        {"ward": ["0"], "general": ["1"]},
        {"ward": ["1"]},
    ]
    assert merged(sets) == sets


def test_two_texts_with_copies_in_another_cluster_are_one() -> None:
    sets = {
        "ward": [HeldoutText("0", prose(1)), HeldoutText("1", prose(2))],
        "general": [HeldoutText("a", prose(2), "p"), HeldoutText("b", prose(1), "p")],
    }
    assert clusters(sets) == {"ward": ["0", "0"], "general": ["p", "p"]}


def test_exam_items_by_their_wordings() -> None:
    long = prose(1, 20)
    other = ["Blei", "Zink", "Gold", "Zinn"]
    items = [
        item("a", "Was fehlt?"),
        item("b", "Was fehlt?", options=["Kalium", "Natrium", "Eisen", "Chlorid"], answer=1),
        item("c", "Was fehlt?", options=other),
        item("d", long),
        item("e", long, options=other),
        item("f", "Wer?", cluster="c"),
    ]
    assert clusters({"exam": items}) == {"exam": ["a", "a", "c", "d", "d", "c"]}
    text = HeldoutText("letter", f"{prose(7)} {long}")
    assert clusters({"exam": items[3:4], "ward": [text]}) == {"exam": ["d"], "ward": ["letter"]}
    assert len(groups({"exam": items[3:4], "ward": [text]})) == 1


def test_groups_come_in_the_order_of_what_they_hold() -> None:
    texts = [HeldoutText(str(n), prose(n)) for n in range(9)]
    renamed = [HeldoutText(f"x{9 - n}", prose(n)) for n in range(9)]
    assert [group_digest(g) for g in groups({"a": texts})] == sorted(
        group_digest(g) for g in groups({"b": renamed})
    )


@pytest.mark.parametrize("text", ["", " ", "nan", "NaN", " None ", "NULL", "n/a", "#N/A", "-", "?"])
def test_no_name(text: str) -> None:
    assert not is_name(text)


@pytest.mark.parametrize("text", ["0", "patient 7", "Nana", "n"])
def test_a_name(text: str) -> None:
    assert is_name(text)


members = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), max_size=12)


@given(members, members, st.randoms(use_true_random=False))
def test_the_order_of_members_and_sets_does_not_matter(
    ward: list[tuple[int, int]], general: list[tuple[int, int]], lot: random.Random
) -> None:
    sets = {
        name: [HeldoutText(f"{n}", prose(seed), f"p{c}") for n, (seed, c) in enumerate(given_)]
        for name, given_ in (("ward", ward), ("general", general))
    }
    shuffled = {name: lot.sample(texts, len(texts)) for name, texts in reversed(list(sets.items()))}
    first = {(of, m.id): m.cluster for of, ms in merged(sets).items() for m in ms}
    assert first == {(of, m.id): m.cluster for of, ms in merged(shuffled).items() for m in ms}
    # One cluster is one group, and what shares a source or a text shares a cluster.
    found = groups(sets)
    assert sum(len(ms) for group in found for ms in group.values()) == len(ward) + len(general)
    for of, texts in sets.items():
        for one in texts:
            for other in texts:
                if one.cluster == other.cluster or one.text == other.text:
                    assert first[of, one.id] == first[of, other.id]


phrases = st.lists(st.integers(0, 9), min_size=1, max_size=6)


@given(st.lists(phrases, min_size=2, max_size=WINDOW))
def test_near_copies_are_those_of_the_index(choices: list[list[int]]) -> None:
    """Texts of phrases of 1 to 12 words, against every pair looked up in the overlap index."""
    texts = [
        HeldoutText(str(n), " ".join(prose(seed, 1 + seed * 5 % 13) for seed in seeds))
        for n, seeds in enumerate(choices)
    ]
    labels = list(range(len(texts)))
    for n, one in enumerate(texts):
        for m, other in enumerate(texts):
            [overlap] = OverlapIndex([one.text]).count([canonical(other.text)])
            if overlap.is_near:
                labels = [labels[n] if label == labels[m] else label for label in labels]
    found = [member.cluster for member in merged({"ward": texts})["ward"]]
    assert [found.index(cluster) for cluster in found] == [labels.index(x) for x in labels]


def test_a_phrase_of_every_question_makes_no_copies_and_costs_no_time() -> None:
    """`WINDOW` pairs for each question and run, not each with each."""
    phrase = "Welche der folgenden Aussagen zur Behandlung des genannten Patienten ist richtig"
    items = [item(str(n), f"{phrase}? {prose(n)}") for n in range(400)]
    items += [item(f"copy {n}", f"{phrase}? {prose(n)}.", answer=0) for n in range(0, 400, 100)]
    found = merged({"exam": items})["exam"]
    assert [m.cluster for m in found] == [m.id.removeprefix("copy ") for m in items]
