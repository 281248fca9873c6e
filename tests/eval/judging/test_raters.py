"""Filled forms are read whole or refused; sides are undone; agreement is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.errors import InputError
from bedside_eval.judging.blind import Blinding
from bedside_eval.judging.raters import (
    COLUMNS,
    MAX_BYTES,
    Filled,
    Place,
    rate,
    read_filled,
    unblinded,
)

BLINDING = Blinding.of(b"s" * 32, "e" * 64, "base")
PLACES = [Place("open", f"q{n}", f"{n // 2}") for n in range(40)]


def name(place: Place) -> str:
    return BLINDING.pair(place.exam, place.item)


def side(place: Place, *, candidate: bool) -> str:
    return "left" if BLINDING.candidate_left(place.exam, place.item) == candidate else "right"


def filled(rater: str, choices: dict[str, Any]) -> Filled:
    return Filled(form=BLINDING.form, rater=rater, choices=choices)


def test_json_and_csv_say_the_same(tmp_path: Path) -> None:
    one = filled("A1", {name(PLACES[0]): "left", name(PLACES[1]): "none"})
    (tmp_path / "x.json").write_text(one.model_dump_json())
    rows = [",".join(COLUMNS), *(f"{one.form},A1,{p},{c}" for p, c in one.choices.items())]
    (tmp_path / "x.csv").write_text("\n".join(rows) + "\n")
    assert read_filled(tmp_path / "x.json") == read_filled(tmp_path / "x.csv") == one


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("x.json", b"{"), ("x.json", b"\xff"), ("x.json", b"[]"), ("x.json", b"[" * 9000),
        ("x.json", json.dumps({"form": "f", "rater": "A", "choices": {}}).encode()),
        ("x.json", json.dumps({"form": "0" * 16, "rater": "Dr. A", "choices": {}}).encode()),
        ("x.json", json.dumps({"form": "0" * 16, "rater": "A", "choices": {"p": "A"}}).encode()),
        ("x.json", b" " * (MAX_BYTES + 1)),
        ("x.csv", b""), ("x.csv", b"a,b\n1,2\n"), ("x.csv", b"form,rater,pair,choice\n"),
        ("x.csv", b"form,rater,pair,choice\n0000000000000000,A,p,left\n0000000000000000,A,p,left"),
        ("x.csv", b"form,rater,pair,choice\n0000000000000000,A,p,left\n0000000000000000,B,q,left"),
        ("x.csv", b"form,rater,pair,choice\n0000000000000000,A,p,left,more\n"),
        ("x.csv", b"form,rater,pair,choice\n0000000000000000,A\n"),
        ("x.csv", b'form,rater,pair,choice\n"'),
    ],
)  # fmt: skip
def test_what_is_no_form_is_refused(tmp_path: Path, file: str, content: bytes) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(InputError, match=r"no result of a blind form|cannot be read"):
        read_filled(tmp_path / file)


@given(st.binary(max_size=80))
def test_garbage_is_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("x")
    for file in ("x.json", "x.csv"):
        (folder / file).write_bytes(content)
        with pytest.raises(InputError):
            read_filled(folder / file)


def test_sides_are_undone() -> None:
    choices = {name(p): side(p, candidate=n % 2 == 0) for n, p in enumerate(PLACES[:4])}
    choices |= {name(PLACES[4]): "equal", name(PLACES[5]): "none"}
    found = unblinded(BLINDING, PLACES, [filled("A", choices)])["A"]
    assert [found[place] for place in PLACES[:5]] == ["A", "B", "A", "B", "0"]
    assert PLACES[5] not in found


def test_other_forms_unknown_pairs_and_a_person_twice_are_refused() -> None:
    other = Blinding.of(b"t" * 32, "e" * 64, "base")
    one = filled("A", {name(PLACES[0]): "left"})
    for given_, message in (
        ([one, one], "rater A is there twice"),
        ([one.model_copy(update={"form": other.form})], "is not .*that of this evidence"),
        ([filled("A", {"zz": "left"})], "1 pair.s. are not of this form, as 'zz'"),
    ):
        with pytest.raises(InputError, match=message):
            unblinded(BLINDING, PLACES, given_)


def test_people_win_rate_and_agreement() -> None:
    said: Any = {
        "A": {place: "A" if n % 4 else "B" for n, place in enumerate(PLACES)},
        "B": {place: "A" for place in PLACES[:20]},
    }
    judges: Any = {place: "A" if n % 4 else "0" for n, place in enumerate(PLACES)}
    found = rate(said, judges, 44, confidence=0.95, seed="a" * 64)
    assert found.raters == {"A": 40, "B": 20} and (found.pairs, found.of) == (40, 44)
    assert (found.wins, found.ties, found.losses) == (30, 5, 5)
    assert found.win_rate.estimate == pytest.approx(32.5 / 40) and found.win_rate.clusters == 20
    people, judged = found.agreement
    assert (people.one, people.other, people.pairs, people.same) == ("A", "B", 20, 15)
    assert (judged.other, judged.pairs, judged.same) == ("judges", 40, 35)
    assert judged.kappa is not None and 0 < judged.kappa < 1


def test_forms_without_a_judgement_are_refused() -> None:
    said: Any = {"A": {}}
    with pytest.raises(InputError, match="no pair was judged"):
        rate(said, {}, 5, confidence=0.95, seed="a" * 64)
