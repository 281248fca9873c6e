"""Labelled pairs are whole or refused, and no message quotes one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bedside_core.errors import InputError
from bedside_eval.judging.clinicians import MIN_PAIRS, read_clinicians

SECRET = "Zyanose der Lippen"


def line(number: int, **changes: object) -> str:
    pair = {"id": f"p{number}", "language": "de", "question": SECRET, "a": "Ja", "b": "Nein",
            "winner": "A"}  # fmt: skip
    return json.dumps(pair | changes)


def test_pairs_come_by_language(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    lines = [line(n, language="fr" if n % 2 else "de") for n in range(2 * MIN_PAIRS)]
    path.write_text("\n".join([*lines, ""]), "utf-8")
    assert {name: len(found) for name, found in read_clinicians(path).items()} == {
        "de": MIN_PAIRS, "fr": MIN_PAIRS,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (line(99, winner="C"), "line 21: wrong or missing: winner"),
        (line(99, name="x"), "line 21: wrong or missing: name"),
        ("{", "line 21: wrong or missing: JSON"),
        (line(3), "line 21: id p3 is there twice"),
        (line(99, language="fr"), "1 pairs in fr - label 20"),
    ],
)
def test_what_is_no_pair_is_refused_without_a_word_of_it(
    tmp_path: Path, last: str, message: str
) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join([*map(line, range(MIN_PAIRS)), last]), "utf-8")
    with pytest.raises(InputError, match=message) as error:
        read_clinicians(path)
    assert SECRET not in str(error.value)


def test_a_missing_file_and_bytes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    for name in ("x", "y"):
        with pytest.raises(InputError, match="cannot be read"):
            read_clinicians(tmp_path / name)
