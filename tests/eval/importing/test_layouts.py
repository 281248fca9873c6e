"""Every layout on a sample that we wrote in the form in which it is published."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside_core.kinds.exam import ExamItem
from bedside_eval.importing.layout import LeftOutError, Origin, exactly
from bedside_eval.importing.layouts import LAYOUTS
from bedside_eval.importing.reading import Read, Wanted, read
from bedside_eval.importing.selection import chosen

SAMPLES = Path(__file__).parent / "samples"
CASIMEDICOS = Path(__file__).parents[4] / "shared/data/casimedicos"
DOCUMENTATION = Path(__file__).parents[3] / "docs/importing-exams.md"


def imported(name: str, path: Path, language: str = "en", split: str | None = None) -> Read:
    layout = LAYOUTS[name]
    split = layout.split if split is None else split
    files = chosen(path, layout, split=split, language=language)
    return read(name, layout, files, Wanted(language, split))


def left_out(found: Read) -> list[int]:
    assert found.rows == len(found.items) + found.left_out.total()
    return sorted(found.left_out.values())


def keys(found: Read) -> list[Any]:
    return [item.answer for item in found.items if item.type == "choice"]


def one(found: Read) -> ExamItem:
    return found.items[0]


def test_mmlu_in_the_authors_files() -> None:
    found = imported("mmlu", SAMPLES / "mmlu")
    assert [item.id for item in found.items] == ["anatomy-1", "anatomy-2", "astronomy-1"]
    assert keys(found) == [1, 1, 1]
    assert [item.domain for item in found.items] == ["medical", "medical", "general"]
    assert found.left_out == {
        "options must be 2 to 10 different, non-empty texts": 1,
        "no key that names an option": 1,
    }
    assert {item.licence for item in found.items} == {"MIT"}


def test_mmlu_as_the_hub_has_it(tmp_path: Path) -> None:
    folder = tmp_path / "anatomy"
    folder.mkdir()
    row = {"question": "Which organ makes bile?", "subject": "anatomy",
           "choices": ["Liver", "Spleen", "Heart", "Lung"], "answer": 0}  # fmt: skip
    for split in ("test", "dev", "validation"):
        table = pa.Table.from_pylist([row | {"question": f"{split}: {row['question']}"}])
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    assert one(imported("mmlu", tmp_path)).question.startswith("test: ")
    # Examples are of `dev`: `validation` is another split of MMLU.
    assert one(imported("mmlu", tmp_path, split="dev")).question.startswith("dev: ")


@pytest.mark.parametrize(("language", "count"), [("de", 2), ("fr", 1)])
def test_mmmlu_by_the_language_in_a_files_name(language: str, count: int) -> None:
    found = imported("mmmlu", SAMPLES / "mmmlu", language)
    assert (len(found.items), one(found).language, one(found).specialty) == (
        count, language, "anatomy",
    )  # fmt: skip
    assert left_out(found) == ([1] if language == "de" else [])


def test_global_mmlu() -> None:
    found = imported("global-mmlu", SAMPLES / "global-mmlu", "de")
    assert [item.id for item in found.items] == ["anatomy-test-0", "virology-test-0"]
    assert keys(found) == [1, 0]


def test_mmlu_prox_has_up_to_ten_options() -> None:
    found = imported("mmlu-prox", SAMPLES / "mmlu-prox", "de")
    assert [len(getattr(item, "options", ())) for item in found.items] == [10, 3]
    assert [item.domain for item in found.items] == ["medical", "general"]
    assert found.left_out == {
        "letter and index of the key differ": 1,
        "an option is missing before others": 1,
    }


def test_medqa_in_three_layouts() -> None:
    found = imported("medqa", SAMPLES / "medqa")
    assert keys(found) == [1, 2, 0]
    assert [len(getattr(item, "options", ())) for item in found.items] == [5, 4, 4]
    assert left_out(found) == [1, 1]
    assert one(imported("medqade", SAMPLES / "medqa", "de")).language == "de"


def test_medmcqa_counts_from_where_its_file_says(tmp_path: Path) -> None:
    found = imported("medmcqa", SAMPLES / "medmcqa")
    assert keys(found) == [2, 3]
    rows = [json.loads(line) for line in (SAMPLES / "medmcqa/dev.json").read_text().splitlines()]
    for counted, expected in (([0, 3], [0, 3]), ([1, 4], [0, 3]), ([-1, 0], [0])):
        table = [row | {"cop": n} for row, n in zip(rows, counted, strict=True)]
        pq.write_table(pa.Table.from_pylist(table), tmp_path / "validation-0.parquet")
        assert keys(imported("medmcqa", tmp_path)) == expected
    for counted in ([1, 2], [0, 4]):  # cannot be told, or is both
        table = [row | {"cop": n} for row, n in zip(rows, counted, strict=True)]
        pq.write_table(pa.Table.from_pylist(table), tmp_path / "validation-0.parquet")
        assert not imported("medmcqa", tmp_path).items


def test_pubmedqa_takes_the_test_split_that_is_named_beside_it() -> None:
    found = imported("pubmedqa", SAMPLES / "pubmedqa")
    assert [(item.id, item.cluster) for item in found.items] == [("pmid-11", "pmid-11")]
    assert one(found).context.count("\n") == 1
    assert getattr(one(found), "options", None) == ["yes", "no", "maybe"]
    assert found.left_out == {
        "another split": 1, "no key that names an option": 1, "no abstract": 1,
    }  # fmt: skip
    assert [item.id for item in imported("pubmedqa", SAMPLES / "pubmedqa", split="dev").items] == [
        "pmid-12"
    ]


def test_pubmedqa_as_the_hub_has_it(tmp_path: Path) -> None:
    row = {"pubid": 21, "question": "Is it so?", "context": {"contexts": ["a", "b"]},
           "final_decision": "maybe"}  # fmt: skip
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "train-0.parquet")
    assert keys(imported("pubmedqa", tmp_path / "train-0.parquet")) == [2]


def test_frenchmedmcqa_has_several_right_options(tmp_path: Path) -> None:
    found = imported("frenchmedmcqa", SAMPLES / "frenchmedmcqa", "fr")
    assert keys(found) == [[0, 3, 4], 0, 0, [0, 3, 4]]
    assert left_out(found) == [1]
    (tmp_path / "test.csv").write_text(
        "id,question,answers.a,answers.b,answers.c,answers.d,answers.e,correct_answers,type\n"
        "g1,Lesquelles ?,un,deux,trois,quatre,cinq,b;a,multiple\n"
    )
    assert keys(imported("frenchmedmcqa", tmp_path, "fr")) == [[0, 1]]
    row = {"id": "h", "question": "Laquelle ?", "correct_answers": [2],
           **{f"answer_{name}": name * 2 for name in "abcde"}}  # fmt: skip
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "test.parquet")
    assert keys(imported("frenchmedmcqa", tmp_path / "test.parquet", "fr")) == [2]


def test_casimedicos_as_tokens_with_labels() -> None:
    found = imported("casimedicos", SAMPLES / "casimedicos/FR", "fr")
    (item,) = found.items
    assert item.question == "Un homme de 50 ans a un calcul. Que faites-vous ?"
    # What is numbered in the explanation is no option.
    assert getattr(item, "options", None) == [
        "Un scanner.", "Rien.", "Un sirop.", "Du repos.", "Une radio.",
    ]  # fmt: skip
    assert (item.id, item.specialty, keys(found)) == ("casi-test-0000", "néphrologie", [0])
    assert found.left_out == {"no key": 1}


def test_casimedicos_as_json_lines() -> None:
    found = imported("casimedicos", SAMPLES / "casimedicos/cases.jsonl", "fr")
    assert [item.id for item in found.items] == ["casi-train-0000", "casi-dev-0000"]
    assert found.left_out == {"another language": 1}
    assert "réponse" not in found.items[0].model_dump_json()


@pytest.mark.skipif(not CASIMEDICOS.is_dir(), reason="no shared data here")
@pytest.mark.parametrize(("language", "rows", "items"), [("en", 435, 434), ("fr", 434, 433)])
def test_the_whole_of_casimedicos(language: str, rows: int, items: int) -> None:
    found = imported("casimedicos", CASIMEDICOS, language)
    assert (found.rows, len(found.items)) == (rows, items)
    # One case in each language has an option twice, so that it has no right answer.
    assert found.left_out == {"options must be 2 to 10 different, non-empty texts": 1}
    assert {len(getattr(item, "options", ())) for item in found.items} == {5}
    assert Counter(item.id.split("-")[1] for item in found.items)["dev"] == 55


def test_medalpaca() -> None:
    (item,) = imported("medalpaca", SAMPLES / "medalpaca.json").items
    assert item.question == "Answer this question truthfully\n\nWhat is a fever?"
    assert item.type == "open"


def test_arc_with_letters_and_numbers() -> None:
    found = imported("arc", SAMPLES / "arc")
    assert keys(found) == [0, 1]
    assert {item.domain for item in found.items} == {"general"}


def test_hellaswag_is_put_as_its_beginning() -> None:
    found = imported("hellaswag", SAMPLES / "hellaswag")
    assert one(found).prompt == "Bandaging: A nurse takes a roll of gauze. She"
    assert getattr(one(found), "options", [""])[0] == "wraps it around the ankle. Then she cuts it."
    assert found.items[1].question == "Bandaging: How to hold gauze. Wash your hands."
    assert len({item.cluster for item in found.items}) == 1
    assert found.left_out == {"no key that names an option": 1}


def test_gsm8k_has_a_number_and_a_worked_example() -> None:
    found = imported("gsm8k", SAMPLES / "gsm8k")
    assert [getattr(item, "answers", None) for item in found.items] == [["12"], ["2000"]]
    assert found.worked[one(found).id] == "There are 6*2=12 beds.\n#### 12"


def test_ifeval_without_arguments_that_do_not_count() -> None:
    found = imported("ifeval", SAMPLES / "ifeval.jsonl")
    assert [getattr(item, "kwargs", None) for item in found.items] == [
        [{}], [{"num_words": 20, "relation": "at most"}],
    ]  # fmt: skip
    assert left_out(found) == [1]


def test_a_key_is_an_option_and_no_part_of_one() -> None:
    assert exactly("salbutamol.", ["Salbutamol and cortisone", "Salbutamol"]) == 1
    for answer in ("sal", "", "six"):
        with pytest.raises(LeftOutError):
            exactly(answer, ["Salbutamol and cortisone", "Salbutamol"])
    with pytest.raises(LeftOutError):
        exactly("a", ["a", "A."])
    with pytest.raises(LeftOutError):  # signs count
        exactly("< 5", ["> 5", "= 5"])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
NAMES = (
    "question options answer answer_idx correct_answers answers context CONTEXTS QUESTION choices "
    "answerKey endings ctx_a kwargs instruction_id_list key prompt icd_codes text id cop opa opb "
    "opc opd label sent1 ending0 final_decision _key lang parts"
).split()


@settings(max_examples=60, deadline=None)
@given(row=st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_no_row_of_strangers_is_a_bug(row: dict[str, Any]) -> None:
    for name, layout in LAYOUTS.items():
        whole = list(layout.expand([row])) if layout.expand else [row]
        for one_row in whole:
            try:
                layout.item(one_row, Origin(Path("x.jsonl"), 1, "en"))
            except LeftOutError as reason:
                assert len(str(reason)) < 100, name


def test_the_documentation_has_every_layout_with_its_licence_and_what_it_burns() -> None:
    page = DOCUMENTATION.read_text()
    for name, layout in LAYOUTS.items():
        row = f"| `{name}` | {layout.help} | {layout.licence or 'none published'} |"
        assert row in page, row
