"""The six clinical tasks, and that what CLUE's code does wrong is not done here."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedside_core.clusters import groups
from bedside_core.kinds.exam import ChoiceItem, DocumentItem
from bedside_eval.importing.clinical import ARRANGEMENTS, UNANSWERABLE
from bedside_eval.importing.examples import with_examples
from bedside_eval.importing.layouts import LAYOUTS
from bedside_eval.importing.reading import Read, Wanted, read

SAMPLES = Path(__file__).parent / "samples"


def of(name: str, file: str) -> Read:
    return read(name, LAYOUTS[name], [SAMPLES / file], Wanted("en"))


def choices(found: Read) -> list[ChoiceItem]:
    return [item for item in found.items if isinstance(item, ChoiceItem)]


def documents(found: Read) -> list[DocumentItem]:
    return [item for item in found.items if isinstance(item, DocumentItem)]


def test_mednli() -> None:
    found = of("mednli", "mednli/mli_test_v1.jsonl")
    assert [item.answer for item in choices(found)] == [1, 0, 2]
    assert found.left_out == {"no key that names an option": 1}
    # Two pairs on one sentence are one cluster.
    assert len({item.cluster for item in found.items}) == 2


def test_meqsum_from_a_spreadsheet_saved_as_csv() -> None:
    found = of("meqsum", "meqsum.csv")
    (item,) = documents(found)
    assert (item.id, item.task) == ("1-1.txt", "summarise")
    assert "\nand now" in item.context
    assert found.left_out == {"no Summary": 1}


def test_problem_list() -> None:
    found = of("problem-list", "problem-list/test.csv")
    assert [(item.id, item.reference) for item in documents(found)] == [("77", "Pneumonia, COPD")]


def test_medisumqa_and_medisumcode() -> None:
    asked = documents(of("medisumqa", "medisumqa.json"))
    assert [item.task for item in asked] == ["plain_language"] * 2
    assert asked[0].cluster == "n1"
    assert asked[1].cluster != asked[0].cluster
    (coded,) = documents(of("medisumcode", "medisumcode.json"))
    assert (coded.task, coded.facts, coded.reference) == ("codes", ["J189", "E119"], "J189, E119")


@pytest.mark.parametrize("task", [1, 2, 3])
def test_longhealth_is_the_same_exam_for_every_model(task: int) -> None:
    name = f"longhealth-{task}"
    once, again = (choices(of(name, "longhealth.json")) for _ in range(2))
    assert once == again
    assert len(once) == 2 * ARRANGEMENTS
    # Their shuffles are other orders, not one order five times.
    assert len({item.context for item in once if item.cluster == "patient_01"}) > 1


def test_longhealth_repeats_are_one_patient_and_no_more_evidence() -> None:
    for task in (1, 2, 3):
        items = choices(of(f"longhealth-{task}", "longhealth.json"))
        assert {item.cluster for item in items} == {"patient_01", "patient_02"}
        assert len(groups({"exam": items})) == 2, task


def test_longhealth_key_is_an_option_and_no_part_of_another() -> None:
    """CLUE looks for the key's text in the options: the last that holds it would be right."""
    found = of("longhealth-1", "longhealth.json")
    assert {item.answer for item in choices(found) if item.cluster == "patient_01"} == {0}
    assert found.left_out["a key that is none of the options, or several"] == ARRANGEMENTS
    assert found.left_out["no letters or questions"] == 1


def test_longhealth_letters_by_task() -> None:
    first, second, third = (choices(of(f"longhealth-{n}", "longhealth.json"))[0] for n in (1, 2, 3))
    assert all(f"Letter {n}" in first.context for n in ("one", "two", "three"))
    assert "Letter two" in second.context
    assert "Letter one" not in second.context
    assert "Letter A" in second.context
    assert not any(f"Letter {n}" in third.context for n in ("one", "two", "three"))
    assert first.abstain is None
    assert (second.abstain, second.answers) == (5, (0,))
    assert (third.abstain, third.answers, third.options[5]) == (5, (5,), UNANSWERABLE)


def test_no_item_counts_twice() -> None:
    """CLUE's `update_results` appends the first result twice."""
    for name, file in (
        ("mednli", "mednli/mli_test_v1.jsonl"), ("meqsum", "meqsum.csv"),
        ("medisumcode", "medisumcode.json"), ("longhealth-1", "longhealth.json"),
    ):  # fmt: skip
        ids = [item.id for item in of(name, file).items]
        assert len(set(ids)) == len(ids)


def test_examples_do_not_come_from_the_test_set() -> None:
    """CLUE cuts them from the shuffled test file."""
    items, pool = (of("mednli", f"mednli/mli_{s}_v1.jsonl").items for s in ("test", "dev"))
    shown = with_examples(items, pool, 1).items
    assert {item.shots[0].question.partition("\n")[0] for item in shown} == {"She takes insulin."}
    for name in ("longhealth-1", "meqsum", "medisumqa", "medisumcode"):
        assert not LAYOUTS[name].examples


def test_an_example_stands_before_a_document() -> None:
    (item,) = documents(of("medisumcode", "medisumcode.json"))
    other = item.model_copy(update={"context": "Another invented letter.", "id": "other"})
    (shown,) = with_examples([item], [other], 1).items
    assert (
        shown.asked.index("Another invented")
        < shown.asked.index("J189")
        < (shown.asked.index("Invented letter: pneumonia"))
    )
