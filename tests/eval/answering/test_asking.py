"""A model's answers come from its own engine, are kept as they come, and are never another's."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bedside_core.artifacts import Recipe
from bedside_core.errors import InputError
from bedside_core.kinds.exam import ChoiceItem, ExamItem, OpenItem
from bedside_core.signing import Keys
from bedside_eval.answering.asking import PIECE_ITEMS, Kept, ask, body_of, questions_of
from bedside_eval.answering.config import Generation
from bedside_eval.state import State

CONFIG = Generation(max_tokens=8, concurrency=4)
MODEL, OTHER = "ab" * 32, "cd" * 32
SECRET = "Zyanose der Lippen"


def written(text: str, finish: str = "stop") -> dict[str, Any]:
    """An answer of chat."""
    return {"choices": [{"message": {"content": text}, "finish_reason": finish}]}


def item(number: int) -> ChoiceItem:
    return ChoiceItem.model_validate(
        {
            "id": f"q{number}", "language": "de", "question": f"{SECRET}? ({number})",
            "options": ["Ja", "Nein", "Vielleicht"], "answer": 1,
        }
    )  # fmt: skip


ITEMS: list[ExamItem] = [item(number) for number in range(PIECE_ITEMS + 2)]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    made = Keys(tmp_path_factory.mktemp("keys"), stem="evidence", domain=b"bedside evidence v1\n")
    made.make()
    return made


@pytest.fixture
def state(keys: Keys, tmp_path: Path) -> State:
    recipe = Recipe(verb="eval run", version="1", config={}, parents={}, inputs={}, environment={})
    (tmp_path / "state").mkdir(mode=0o700)
    return State(tmp_path / "state", keys, recipe)


def kept(state: State, model: str = MODEL, items: list[ExamItem] = ITEMS) -> Kept:
    return Kept(SimpleNamespace(digest=model), questions_of({"letters": items}), state, "bfloat16")  # type: ignore[arg-type]


def test_each_item_is_asked_once_in_each_mode_and_answers_are_in_order(
    engine: Any, state: State
) -> None:
    engine.answer = lambda body: (200, written(body["messages"][0]["content"][:60]))
    found = kept(state)
    ask(CONFIG, found, "m", engine.path, chat=True)
    assert len(engine.asked) == 2 * len(ITEMS)
    for answers in found.answers.values():
        assert [answer.id for answer in answers] == [each.id for each in ITEMS]
        assert all(a.text == i.asked[:60] for a, i in zip(answers, ITEMS, strict=True))


def test_what_is_kept_is_not_asked_again(engine: Any, state: State) -> None:
    ask(CONFIG, kept(state), "m", engine.path, chat=True)
    before = len(engine.asked)
    again = kept(state)
    assert not list(again.missing)
    assert len(again.answers[("letters", "generated")]) == len(ITEMS)
    assert len(engine.asked) == before


def test_a_changed_file_is_asked_again_and_another_models_is_not_taken(
    engine: Any, state: State
) -> None:
    ask(CONFIG, kept(state), "m", engine.path, chat=True)
    changed = next(path for path in state.directory.iterdir() if path.is_file())
    changed.write_bytes(changed.read_bytes().replace(b"Ja.", b"Ne."))
    assert len(list(kept(state).missing)) == 1
    assert len(list(kept(state, OTHER).missing)) == 4


def test_an_engine_that_ends_costs_one_piece(engine: Any, state: State) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        return (200, written("Ja.")) if len(engine.asked) <= PIECE_ITEMS else (400, {})

    engine.answer = answer
    with pytest.raises(InputError, match="left 2 of 2 questions unanswered") as refused:
        ask(CONFIG, kept(state), "m", engine.path, chat=True)
    assert SECRET not in str(refused.value)
    assert len(list(kept(state).missing)) == 3
    engine.answer = lambda body: (200, written("Ja."))
    ask(CONFIG, kept(state), "m", engine.path, chat=True)
    assert not list(kept(state).missing)


def test_a_question_without_an_answer_is_asked_again_where_a_run_goes_on(
    engine: Any, state: State
) -> None:
    engine.answer = lambda body: (200, written("Ja.")) if len(engine.asked) != 2 else (400, {})
    found = kept(state)
    ask(CONFIG, found, "m", engine.path, chat=True)
    answers = [one for each in found.answers.values() for one in each]
    assert [one.finish for one in answers].count("none") == 1
    assert len(list(kept(state).missing)) == 1
    ask(CONFIG, again := kept(state), "m", engine.path, chat=True)
    assert all(one.finish == "stop" for each in again.answers.values() for one in each)


def test_other_weights_in_the_middle_are_refused(engine: Any, state: State) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        if len(engine.asked) > PIECE_ITEMS:
            engine.served = OTHER
        return 200, written("Ja.")

    engine.answer = answer
    with pytest.raises(InputError, match="answers come from model cdcdcdcdcdcd"):
        ask(CONFIG, kept(state), "m", engine.path, chat=True)
    assert len(list(kept(state).missing)) == 3


def test_other_weights_from_the_start_are_refused(engine: Any, state: State) -> None:
    engine.served = OTHER
    with pytest.raises(InputError, match=f"serves model {OTHER}"):
        ask(CONFIG, kept(state), "m", engine.path, chat=True)
    assert not engine.asked


def test_an_engine_that_names_no_weights_is_refused(engine: Any, state: State) -> None:
    engine.served = None
    with pytest.raises(InputError, match="does not say which weights"):
        ask(CONFIG, kept(state), "m", engine.path, chat=True)
    assert not engine.asked


def test_an_engine_that_is_gone(engine: Any, state: State, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nobody answers there"):
        ask(CONFIG, kept(state), "m", tmp_path / "no.sock", chat=True)


@pytest.mark.parametrize("choices", [[None], ["x"], [{"message": None}], [{"message": "x"}]])
def test_an_answer_of_another_shape_is_counted_and_not_a_crash(
    engine: Any, state: State, choices: list[Any]
) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        return 200, {"choices": choices} if len(engine.asked) == 1 else written("Ja.")

    engine.answer = answer
    found = kept(state)
    ask(CONFIG, found, "m", engine.path, chat=True)
    texts = [a.text for answers in found.answers.values() for a in answers]
    assert sorted(texts)[:2] == ["", "Ja."]


def test_nothing_readable_is_left_beside_what_is_kept(engine: Any, state: State) -> None:
    ask(CONFIG, kept(state), "m", engine.path, chat=True)
    assert {path.stat().st_mode & 0o777 for path in state.directory.iterdir()} == {0o600}


def test_a_truncated_answer_is_kept_as_such(engine: Any, state: State) -> None:
    engine.answer = lambda body: (200, written("Ja", "length"))
    found = kept(state)
    ask(CONFIG, found, "m", engine.path, chat=True)
    assert {a.finish for answers in found.answers.values() for a in answers} == {"length"}


def test_a_question_is_one_users_message_without_a_system_prompt() -> None:
    body = body_of(ITEMS[0], "generated", 8, chat=True)
    assert body == {
        "temperature": 0, "seed": 0, "max_tokens": 8,
        "messages": [{"role": "user", "content": ITEMS[0].asked}],
    }  # fmt: skip


def test_letters_are_those_of_the_options_and_several_where_several_are_right() -> None:
    one = body_of(ITEMS[0], "constrained", 8, chat=True)
    assert one["structured_outputs"] == {"choice": ["A", "B", "C"]}
    several = item(0).model_copy(update={"answer": [0, 1]})
    held = body_of(several, "constrained", 8, chat=True)["structured_outputs"]
    assert held == {"regex": "[ABC](, [ABC]){0,2}"}


def test_without_a_template_a_completion_ends_in_the_languages_cue() -> None:
    body = body_of(ITEMS[0], "generated", 8, chat=False)
    assert body["prompt"].endswith("\n\nAntwort:") and "messages" not in body


def test_only_choices_are_asked_in_letters() -> None:
    free = OpenItem(type="open", id="o", language="de", question="Warum?", reference="Darum.")
    found = questions_of({"a": ITEMS, "b": [free]})
    assert [(q.exam, q.mode) for q in found] == [
        ("a", "generated"), ("a", "constrained"), ("b", "generated"),
    ]  # fmt: skip


def test_texts_of_a_killed_run_do_not_stay_readable(engine: Any, state: State) -> None:
    left = state.directory / "asked-killed"
    left.mkdir()
    (left / "answer.json").write_text("{}")
    ask(CONFIG, kept(state), "m", engine.path, chat=True)
    assert not left.exists()
