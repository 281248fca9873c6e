"""Counting: every row is an item or has a reason."""

from __future__ import annotations

from pathlib import Path

from bedside_eval.importing.layouts import LAYOUTS
from bedside_eval.importing.reading import Wanted, read

SAMPLES = Path(__file__).parent / "samples"
MMLU = SAMPLES / "mmlu/test/anatomy_test.csv"


def test_a_file_twice_gives_no_item_twice() -> None:
    found = read("mmlu", LAYOUTS["mmlu"], [MMLU, MMLU], Wanted("en"))
    assert (found.rows, len(found.items)) == (8, 2)
    assert found.left_out["an id that came before"] == 2
    assert found.rows == len(found.items) + found.left_out.total()


def test_one_subject() -> None:
    files = sorted((SAMPLES / "mmlu/test").iterdir())
    found = read("mmlu", LAYOUTS["mmlu"], files, Wanted("en", subject="Astronomy"))
    assert [item.specialty for item in found.items] == ["astronomy"]
    assert found.left_out["another subject"] == 2


def test_rows_that_examples_come_from_are_no_items() -> None:
    file = SAMPLES / "casimedicos/cases.jsonl"
    found = read("casimedicos", LAYOUTS["casimedicos"], [file], Wanted("fr", without="dev"))
    assert [item.id for item in found.items] == ["casi-train-0000"]
    assert found.left_out["kept for examples"] == 1
