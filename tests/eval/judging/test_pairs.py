"""What is asked of two models' answers, and what the signs are worth."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.kinds.exam import ChoiceItem, OpenItem
from bedside_eval.answering.answers import Answer
from bedside_eval.judging.asking import Reply
from bedside_eval.judging.failures import look
from bedside_eval.judging.pairs import compare, enough, habits, is_judged, role_pairs, scores
from bedside_eval.judging.questions import MODES
from bedside_eval.judging.records import JudgedPair, Said

SIGNS: list[Said] = ["A", "B", "0", "!", "?"]
ASKED = st.lists(st.tuples(st.sampled_from(SIGNS), st.sampled_from(SIGNS)), min_size=1, max_size=30)


def item(number: int) -> OpenItem:
    return OpenItem(id=f"q{number}", type="open", language="de", question="?", reference="Ja.")


class Fake:
    """Gives the replies that it was given, in turn."""

    def __init__(self, name: str, *values: Any) -> None:
        self.identity = SimpleNamespace(name=name)
        self.values, self.asked = iter(values), []  # type: ignore[var-annotated]

    def ask(self, part: str, bodies: list[Any], read: Any) -> tuple[Reply, ...]:
        self.asked += bodies
        return tuple(
            Reply(became=value) if value in ("invalid", "unanswered")
            else Reply(became="verdict", value=value)
            for value in [next(self.values) for _ in bodies]
        )  # fmt: skip


def answers(*texts: str) -> dict[Any, Any]:
    made = tuple(Answer(id=f"q{n}", text=text, finish="stop") for n, text in enumerate(texts))
    return {("open", "generated"): made}


def judged(*judges: Fake, ours: list[str], theirs: list[str]) -> JudgedPair:
    return compare(
        judges, "open", [item(n) for n in range(len(ours))],  # type: ignore[arg-type]
        {"candidate": answers(*ours), "base": answers(*theirs)}, ("candidate", "base"),
    )  # fmt: skip


def pair(*both: tuple[Said, Said]) -> JudgedPair:
    forward, backward = (tuple(signs) for signs in zip(*both, strict=True))
    return JudgedPair(
        exam="open", first="candidate", second="base", forward={"j": forward},
        backward={"j": backward}, longer=(0,) * len(both),
    )  # fmt: skip


def test_each_answer_is_shown_first_once() -> None:
    judge = Fake("j", "A", "B", "A", "A")
    found = judged(judge, ours=["eins zwei", "drei"], theirs=["vier", "fünf"])
    shown = [body["messages"][1]["content"] for body in judge.asked]
    assert [text.index("eins zwei") < text.index("vier") for text in shown[:2]] == [True, False]
    assert found.forward == {"j": ("A", "A")} and found.backward == {"j": ("B", "A")}
    assert found.longer == (1, 0)
    assert scores(found) == [1, 0.5], "who always says A gives nobody anything"


def test_what_needs_no_judge_is_not_asked() -> None:
    judge = Fake("j")
    found = judged(
        judge, ours=["", "Ja", "<think>Hm</think>", "Ja", "<think>x</think>Ja"],
        theirs=["Ja", "", "", "Ja", "Ja"],
    )  # fmt: skip
    assert found.forward["j"] == ("2", "1", "=", "=", "=") and judge.asked == []
    assert scores(found) == [0, 1, 0.5, 0.5, 0.5]
    assert habits(found) == (0, 0, 0, None, None, {}) and enough(found)


def test_judges_and_orders_are_averaged_and_a_missing_verdict_is_half() -> None:
    one, two = Fake("one", "A", "B", "invalid", "B"), Fake("two", "0", "A", "unanswered", "invalid")
    found = judged(one, two, ours=["a", "b"], theirs=["c", "d"])
    assert scores(found) == [(1 + 1 + 0.5 + 0) / 4, (0.5 + 1 + 0.5 + 0.5) / 4]
    seen = habits(found)
    assert (seen.verdicts, seen.invalid, seen.unanswered) == (8, 2, 1)
    assert seen.order_consistent == 0.5 and seen.first_position == 2 / 4
    assert set(seen.kappa) == {"one and two"} and not enough(found)


def test_one_missing_verdict_in_twenty_is_borne() -> None:
    whole: list[tuple[Said, Said]] = [("A", "B")] * 9
    assert enough(pair(*whole, ("A", "!")))
    assert not enough(pair(*whole, ("?", "!")))


def test_two_judges_agree_on_items_not_on_orders() -> None:
    both = JudgedPair(
        exam="open", first="candidate", second="base", longer=(0,) * 4,
        forward={"one": ("A", "B", "A", "A"), "two": ("A", "B", "0", "!")},
        backward={"one": ("B", "A", "A", "B"), "two": ("B", "A", "0", "B")},
    )  # fmt: skip
    assert habits(both).kappa == {"one and two": pytest.approx(1)}


@given(ASKED)
def test_scores_are_shares_and_turn_with_the_pair(both: list[tuple[Said, Said]]) -> None:
    found = pair(*both)
    assert all(0 <= score <= 1 for score in scores(found))
    turned = pair(*[(backward, forward) for forward, backward in both])
    assert scores(turned) == [1 - score for score in scores(found)]


def test_who_always_says_the_first_prefers_no_model() -> None:
    found = pair(*[("A", "A")] * 5)
    assert scores(found) == [0.5] * 5
    seen = habits(found)
    assert (seen.order_consistent, seen.first_position) == (0, 1)


def test_the_candidate_is_first_of_its_pairs() -> None:
    assert list(role_pairs(["base", "checkpoint", "candidate"])) == [
        ("candidate", "base"), ("candidate", "checkpoint"), ("base", "checkpoint"),
    ]  # fmt: skip


def test_only_free_answers_are_judged() -> None:
    choice = ChoiceItem(id="c", language="de", question="?", options=["a", "b"], answer=0)
    assert is_judged([item(0)]) and not is_judged([choice])


def test_failures_are_shares_of_judges_and_an_empty_answer_has_all() -> None:
    none, all_ = [False] * len(MODES), [True] * len(MODES)
    one, two = Fake("one", none, "invalid"), Fake("two", all_, none)
    found = look(
        [one, two], "open", [item(n) for n in range(3)],  # type: ignore[list-item]
        {"base": answers("Ja", "Nein", " ")}, "base",
    )  # fmt: skip
    assert found.values["typo"] == (0.5, 0.25, 1.0)
    assert (found.unjudged, found.of, found.enough) == (1, 4, False)
