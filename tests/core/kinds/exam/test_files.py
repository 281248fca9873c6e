"""Exam items: what is read, what is refused with file and line, and how an item is looked up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedside_core.errors import InputError
from bedside_core.kinds.exam import ChoiceItem, read_exam

ITEM: dict[str, Any] = {
    "id": "q1",
    "question": "Geheimfrage µ ≥ 3?",
    "options": ["eins", "zwei", "drei", "vier"],
    "answer": 2,
    "language": "de",
}


def write(path: Path, *lines: object) -> Path:
    texts = [x if isinstance(x, str) else json.dumps(x, ensure_ascii=False) for x in lines]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def test_items_in_order_and_their_prompt(tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl", ITEM, "", ITEM | {"id": "q2"})
    items = read_exam(path)
    assert [item.id for item in items] == ["q1", "q2"]
    assert items[0].prompt == "Frage: Geheimfrage µ ≥ 3?\nAntwort:"


def test_a_line_separator_inside_a_question_does_not_end_the_line(tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl", ITEM | {"question": "eins\u2028zwei\u0085drei?"})
    assert len(read_exam(path)) == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("{", "not valid JSON"),
        ("[1]", "must be a mapping of names to values"),
        (ITEM | {"options": ["a"]}, "options: "),
        (ITEM | {"options": list("abcdefghijk")}, "options: "),
        (ITEM | {"options": ["a", "b", "c", " "]}, "different, non-empty"),
        (ITEM | {"options": ["a", "b", "c", "a"]}, "different, non-empty"),
        (ITEM | {"answer": 4}, "answer must be the index"),
        (ITEM | {"answer": -1}, "answer must be the index"),
        (ITEM | {"answer": [0, 0]}, "answer must be the index"),
        (ITEM | {"answer": []}, "answer: "),
        (ITEM | {"abstain": 4}, "abstain must be the index"),
        (ITEM | {"language": "Deutsch"}, "language: "),
        (ITEM | {"template": "Frage ohne Platz"}, "template: must have {question} once"),
        (
            ITEM | {"shots": [{"question": " geheimfrage µ ≥ 3", "answer": "x"}]},
            "one is the question itself",
        ),
        (
            ITEM | {"shots": [{"question": "Wo?", "options": ["a", "b"], "answer": "c"}]},
            "must be one of the options",
        ),
        (ITEM | {"type": "chioce"}, "type: no type of item - did you mean choice?"),
        (ITEM | {"type": 3}, "type: no type of item"),
        (
            {"type": "short", "id": "s", "language": "de", "question": "Was?", "answers": ["x"]},
            "of type short, and the first is of type choice",
        ),
        ({"type": "open", "id": "s", "language": "de", "question": "Was?"}, "reference: "),
        (ITEM | {"answer": "2"}, "answer: "),
        (ITEM | {"answer": True}, "answer: "),
        (ITEM | {"question": " "}, "question: "),
        (ITEM | {"id": ""}, "id: "),
        (ITEM | {"cluster": ""}, "cluster: "),
        (ITEM | {"cluster": "NaN"}, "cluster: must name a source"),
        (ITEM | {"cluster": "#N/A"}, "cluster: must name a source"),
        (ITEM | {"Geheimfrage": "x"}, "unknown name - known are: "),
        ({k: v for k, v in ITEM.items() if k != "language"}, "language: "),
        (ITEM, "the id of line 1 again"),
        (ITEM | {"id": "q2", "answer": 0}, "the question of line 1 again, with another right"),
        (
            ITEM | {"id": "q2", "options": ["Vier", "drei!", "zwei", "eins"], "answer": 2},
            "the question of line 1 again, with another right answer",
        ),
    ],
)
def test_bad_line_is_named_and_not_quoted(tmp_path: Path, bad: object, reason: str) -> None:
    path = write(tmp_path / "e.jsonl", ITEM, "", bad)
    with pytest.raises(InputError) as caught:
        read_exam(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line 3: ")
    assert reason in message
    assert "Geheimfrage" not in message


def test_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_bytes(
        json.dumps(ITEM, ensure_ascii=False).encode("latin-1", "replace")
    )
    with pytest.raises(InputError, match=r"e\.jsonl: not UTF-8"):
        read_exam(tmp_path / "e.jsonl")


def test_empty_and_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no items"):
        read_exam(write(tmp_path / "e.jsonl", ""))
    with pytest.raises(InputError, match="cannot be read"):
        read_exam(tmp_path / "none.jsonl")


def test_an_item_is_its_own_cluster_unless_it_names_one(tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl", ITEM, ITEM | {"id": "q2", "cluster": "letter-7"})
    assert [item.cluster for item in read_exam(path)] == ["q1", "letter-7"]


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (["eins", "zwei", "drei", "vier"], 2),
        (["drei", "vier", "eins", "zwei"], 0),
        (["eins", "zwei", "Drei.", "vier"], 2),
        (["eins", "zwei", "fünf", "vier"], 0),
    ],
)
def test_a_question_may_come_again_with_the_same_key_or_other_options(
    tmp_path: Path, options: list[str], answer: int
) -> None:
    again = ITEM | {"id": "q2", "options": options, "answer": answer}
    assert len(read_exam(write(tmp_path / "e.jsonl", ITEM, again))) == 2


def test_a_key_between_options_that_differ_in_their_signs_alone() -> None:
    options = ["< 5 mg", "> 5 mg", "5 mg", "50 mg"]
    item = ChoiceItem(**ITEM | {"options": options, "answer": 0})
    assert item.contradicts(ChoiceItem(**ITEM | {"options": options, "answer": 1}))
    assert not item.contradicts(ChoiceItem(**ITEM | {"options": options[::-1], "answer": 3}))


def test_eight_copies_of_a_question_with_four_keys_are_refused(tmp_path: Path) -> None:
    """The case `duplicates.jsonl` of the review."""
    lines = [ITEM | {"id": str(n), "answer": n % 4} for n in range(8)]
    with pytest.raises(InputError, match="line 2: the question of line 1 again"):
        read_exam(write(tmp_path / "e.jsonl", *lines))


def test_what_an_item_is_known_by() -> None:
    item = ChoiceItem(**ITEM)
    again = ITEM | {
        "question": " geheimfrage µ \u2265 3 ",
        "options": ["Vier", *ITEM["options"][:3]],
    }
    assert ChoiceItem(**again).identity == item.identity
    assert ChoiceItem(**again).content != item.content
    assert ChoiceItem(**ITEM | {"answer": 1}).identity == item.identity
    assert ChoiceItem(**ITEM | {"answer": 1}).content != item.content
    assert ChoiceItem(**ITEM | {"id": "q9", "specialty": "t"}).content == item.content
    assert item.of_cluster("letter-7").cluster == "letter-7"


def test_the_spellings_of_an_item() -> None:
    item = ChoiceItem(**ITEM)
    assert item.spellings == [
        "Geheimfrage µ ≥ 3?\neins\nzwei\ndrei\nvier",
        "Geheimfrage µ ≥ 3?\nA) eins\nB) zwei\nC) drei\nD) vier",
    ]
    assert item.wordings == item.spellings[:1]
    longer = item.model_copy(update={"question": "Ein Patient hat Fieber " * 4})
    assert longer.wordings[1:] == [longer.question]
    assert set(longer.wordings) < set(longer.spellings)
    assert len(longer.spellings) == 3
