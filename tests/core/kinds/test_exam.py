"""Exam items: what is read, what is refused with file and line, and how an item is looked up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedside_core.errors import InputError
from bedside_core.kinds.exam import ExamItem, read_exam

ITEM: dict[str, Any] = {
    "id": "q1",
    "question": "Geheimfrage µ ≥ 3?",
    "options": ["eins", "zwei", "drei", "vier"],
    "answer": 2,
    "topic": "kardiologie",
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
        (ITEM | {"options": ["a", "b", "c"]}, "options: "),
        (ITEM | {"options": ["a", "b", "c", "d", "e"]}, "options: "),
        (ITEM | {"options": ["a", "b", "c", " "]}, "four different, non-empty"),
        (ITEM | {"options": ["a", "b", "c", "a"]}, "four different, non-empty"),
        (ITEM | {"answer": 4}, "answer: "),
        (ITEM | {"answer": -1}, "answer: "),
        (ITEM | {"answer": "2"}, "answer: "),
        (ITEM | {"answer": True}, "answer: "),
        (ITEM | {"question": " "}, "question: "),
        (ITEM | {"id": ""}, "id: "),
        (ITEM | {"cluster": ""}, "cluster: "),
        (ITEM | {"Geheimfrage": "x"}, "unknown name - known are: "),
        ({k: v for k, v in ITEM.items() if k != "topic"}, "topic: "),
        (ITEM, "the id of line 1 again"),
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


def test_the_spellings_of_an_item() -> None:
    item = ExamItem(**ITEM)
    assert item.spellings == [
        "Geheimfrage µ ≥ 3?\neins\nzwei\ndrei\nvier",
        "Geheimfrage µ ≥ 3?\nA) eins\nB) zwei\nC) drei\nD) vier",
    ]
    longer = item.model_copy(update={"question": "Ein Patient hat Fieber " * 4})
    assert longer.spellings[2:] == [longer.question]
