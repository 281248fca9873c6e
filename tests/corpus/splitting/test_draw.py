from collections import Counter
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.errors import InputError
from bedside_corpus.splitting.config import HeldoutSet
from bedside_corpus.splitting.draw import Candidate, draw, quotas


def candidate(number, patient=None, document=None, source="letters", **values):
    digest = sha256(str(number).encode()).hexdigest()
    return Candidate(digest, source, patient, document, None, {"source": source, **values})


def patients(count, texts=3):
    """`texts` documents of each patient, in no order of the patients."""
    return [candidate(n, f"p{n % count}") for n in range(count * texts)]


def sides(candidates, sets, lot="0"):
    drawn = {
        one.candidate.sha256 for group in draw(candidates, sets, lot).values() for one in group
    }
    return [one for one in candidates if one.sha256 in drawn], [
        one for one in candidates if one.sha256 not in drawn
    ]


@given(st.integers(1, 40), st.text(max_size=3))
def test_all_texts_of_a_patient_are_on_one_side(size, lot):
    inside, outside = sides(patients(20), {"a": HeldoutSet(size=size)}, lot)
    assert size <= len(inside) < size + 3
    assert not {one.patient for one in inside} & {one.patient for one in outside}


def test_texts_that_share_a_patient_or_a_document_in_any_chain_are_together():
    chain = [
        candidate(1, "p"), candidate(2, "p", "d"), candidate(3, None, "d"), candidate(4, "q", "d"),
        candidate(5, "q"),
    ]  # fmt: skip
    for lot in range(20):
        inside, _ = sides([*chain, candidate(6), candidate(7)], {"a": HeldoutSet(size=1)}, str(lot))
        assert sum(one in chain for one in inside) in (0, 5)


def test_clusters_are_patients_and_else_the_documents_themselves():
    found = draw([*patients(3), candidate(99)], {"a": HeldoutSet(size=5)}, "0")["a"]
    named = {one.candidate.patient: one.cluster for one in found}
    assert len(set(named.values())) == len(named) > 1
    assert named.get(None, found[0].candidate.sha256[:16]) in {
        one.candidate.sha256[:16] for one in found
    }
    assert {f"patient-{patient}" for patient in named if patient} <= set(named.values())


def test_the_draw_depends_on_texts_and_lot_and_not_on_their_order_or_names():
    there = patients(30)
    asked = {"a": HeldoutSet(size=9), "b": HeldoutSet(size=0.2)}
    first = draw(there, asked, "0")
    again = draw([one._replace(patient=f"other {one.patient}") for one in there[::-1]], asked, "0")
    for name in asked:
        assert {one.candidate.sha256 for one in first[name]} == {
            one.candidate.sha256 for one in again[name]
        }
    other = draw(there, asked, "1")
    assert first["a"] != other["a"]
    assert not {one.candidate.patient for one in first["a"]} & {
        one.candidate.patient for one in first["b"]
    }


def test_proportions_are_kept():
    there = [candidate(n, source="letters" if n % 4 else "findings") for n in range(400)]
    found = draw(there, {"a": HeldoutSet(size=40)}, "0")["a"]
    assert Counter(one.candidate.source for one in found) == {"letters": 30, "findings": 10}
    assert quotas({"a": 1, "b": 1, "c": 1}, 2) == {"a": 1, "b": 1, "c": 0}


def test_patients_with_texts_in_several_strata_fill_a_set_all_the_same():
    there = [candidate(n, f"p{n // 3}", source="letters" if n % 3 else "labs") for n in range(60)]
    there += [candidate(100 + n, source="labs") for n in range(40)]
    found = draw(there, {"a": HeldoutSet(size=50)}, "0")["a"]
    assert 50 <= len(found) < 50 + 3
    assert 15 < sum(one.candidate.patient is None for one in found) < 25


def test_a_set_of_some_sources_takes_whole_patients_all_the_same():
    there = [candidate(n, f"p{n // 2}", source="letters" if n % 2 else "labs") for n in range(40)]
    inside, _ = sides(there, {"a": HeldoutSet(size=5, sources=("letters",))})
    assert {one.source for one in inside} == {"letters"}
    both = {"a": HeldoutSet(size=5, sources=("letters",)), "b": HeldoutSet(size=5)}
    found = draw(there, both, "0")
    assert not {one.candidate.patient for one in found["a"]} & {
        one.candidate.patient for one in found["b"]
    }


@pytest.mark.parametrize(
    ("size", "words"), [(99, "99 documents are asked for"), (9, "every patient")]
)
def test_what_cannot_be_drawn_is_said(size, words):
    with pytest.raises(InputError, match=words):
        draw(patients(3), {"a": HeldoutSet(size=size)}, "0")
