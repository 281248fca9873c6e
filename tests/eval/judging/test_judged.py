"""All judges judge all models' answers, after their own exam; what a verdict may rest on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bedside_core.endpoint.config import EndpointConfig
from bedside_core.errors import InputError
from bedside_core.kinds.exam import ChoiceItem, OpenItem
from bedside_core.kinds.policy import Policy
from bedside_eval.answering.answers import Answer
from bedside_eval.judging import battery, card
from bedside_eval.judging.asking import Judge
from bedside_eval.judging.card import sit
from bedside_eval.judging.judged import Bench, check_others, judge_answers, seated
from bedside_eval.judging.records import Judged
from bedside_eval.judging.summary import summarise
from bedside_eval.measured import Grouping, Measured
from bedside_eval.records import ModelScores, Role
from bedside_eval.verdict import decide

SECRET = "Zyanose"
COUNT = 12
DIGESTS: dict[Role, str] = {"base": "b" * 64, "candidate": "c" * 64, "checkpoint": "d" * 64}
ITEMS = [
    OpenItem(id=f"q{n}", type="open", language="de", question=f"{SECRET} {n}?", reference="Ja.")
    for n in range(COUNT)
]
CHOICE = ChoiceItem(id="c", language="de", question="?", options=["a", "b"], answer=0)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(battery, "PAIRS", 2)
    monkeypatch.setattr(card, "PAIRS", 2)


def answered(good: int) -> dict[Any, Any]:
    """So many good answers, the others bad."""
    made = tuple(
        Answer(id=f"q{n}", text=f"{SECRET} {'gut' if n < good else 'schlecht'} {n}", finish="stop")
        for n in range(COUNT)
    )
    return {("open", "generated"): made}


@pytest.fixture
def judged(standin: Any, config: EndpointConfig, state: Any) -> Judged:
    right = standin.decide

    def decide(a: str, b: str) -> str:
        good = " gut " in a, " gut " in b
        return right(a, b) if good[0] == good[1] else "AB"[good[1]]

    standin.decide = decide
    judge = Judge("first", config, state)
    bench = Bench((judge,), (sit(judge, "de"),), {"open": ITEMS})
    three = {"base": answered(3), "checkpoint": answered(6), "candidate": answered(10)}
    return judge_answers(bench, three)


def passed(judged: Judged) -> Judged:
    """The same with a card of thirty pairs, all passed."""
    parts = tuple(p.model_copy(update={"limit": 0.9}) for p in judged.cards[0].parts)
    cards = tuple(one.model_copy(update={"parts": parts}) for one in judged.cards)
    return judged.model_copy(update={"cards": cards})


def measured(judged: Judged | None, excluded: tuple[int, ...] = ()) -> Measured:
    whole = Grouping(tuple(range(COUNT)), frozenset(excluded), "a" * 64)
    scores = ModelScores(heldout={}, exams={})
    roles: list[Role] = ["base", "checkpoint", "candidate"]
    return Measured(
        {role: scores for role in roles}, {}, {"open": whole}, confidence=0.95, judged=judged
    )


def policy(measure: str = "win_rate") -> Policy:
    return Policy.model_validate(
        {
            "name": "test",
            "target": {"measure": measure, "of": "open", "min_gain": 0.0, "max_loss": 0.02},
            "guards": [{"of": "general", "max_loss": 0.05}],
            "tail": {"delta": 0.1, "max_share": 0.2}, "min_clusters": 14, "confidence": 0.95,
        }
    )  # fmt: skip


def test_every_pair_is_judged_and_no_word_is_kept(judged: Judged, state: Any) -> None:
    assert [(pair.first, pair.second) for pair in judged.pairs] == [
        ("candidate", "base"), ("candidate", "checkpoint"), ("base", "checkpoint"),
    ]  # fmt: skip
    assert judged.languages == {"open": ("de",)}
    assert {found.role for found in judged.failures} == set(DIGESTS)
    kept = " ".join(path.read_text() for path in state.directory.rglob("*") if path.is_file())
    assert SECRET not in judged.model_dump_json() + kept


def test_a_summary_has_win_rates_ladder_and_failures(judged: Judged) -> None:
    found = summarise(measured(judged))
    assert found is not None
    rate = found.win_rates[0]
    assert (rate.wins, rate.ties, rate.losses) == (7, 5, 0)
    assert rate.raw.estimate == pytest.approx((7 + 2.5) / COUNT) and rate.raw.informative
    assert (rate.order_consistent, rate.first_position) == (1, 0.5)
    assert [rung.role for rung in found.ladders[0].rungs] == ["candidate", "checkpoint", "base"]
    assert {(f.first, f.second) for f in found.failures} == {
        ("candidate", "base"), ("candidate", "checkpoint"), ("checkpoint", "base"),
    }  # fmt: skip
    assert summarise(measured(None)) is None


def test_what_stands_in_a_corpus_is_left_out(judged: Judged) -> None:
    found = summarise(measured(judged, tuple(range(3, 10))))
    assert found is not None and (found.win_rates[0].wins, found.win_rates[0].ties) == (0, 5)
    nothing = summarise(measured(judged, tuple(range(COUNT))))
    assert nothing is not None and nothing.win_rates == () and nothing.ladders == ()


def test_without_a_passed_card_no_verdict_rests_on_judges(judged: Judged) -> None:
    found = summarise(measured(judged))
    assert found is not None and found.advisory == {"open": ("first (de)",)}
    for measure in ("win_rate", "failure_omission"):
        finding = decide(policy(measure), measured(judged)).findings[0]
        assert finding.outcome == "open" and "judges are advisory: first (de)" in finding.reason


def test_with_a_passed_card_the_verdict_rests_on_it(judged: Judged) -> None:
    ready = measured(passed(judged))
    finding = decide(policy(), ready).findings[0]
    assert (finding.measure, finding.outcome) == ("win_rate", "holds")
    assert finding.estimate is not None
    assert finding.estimate.estimate == pytest.approx(9.5 / COUNT - 0.5)
    assert "points of win_rate" in finding.reason
    assert "win_rate" not in ready.taken("open"), "no model has one alone"
    found = summarise(ready)
    assert found is not None and not found.advisory


def test_with_too_many_missing_verdicts_nothing_rests_on_judges(judged: Judged) -> None:
    pair = judged.pairs[0]
    holes = {"first": ("?", "!", *pair.forward["first"][2:])}
    pair = pair.model_copy(update={"forward": holes})
    broken = passed(judged).model_copy(update={"pairs": (pair, *judged.pairs[1:])})
    finding = decide(policy(), measured(broken)).findings[0]
    assert finding.outcome == "open" and "too many verdicts are missing" in finding.reason


def test_another_language_needs_its_own_card(judged: Judged) -> None:
    both = passed(judged).model_copy(update={"languages": {"open": ("de", "fr")}})
    assert both.advisory("open") == ("first (fr)",)


def test_where_nobody_judges_nothing_is_asked() -> None:
    without: Any = SimpleNamespace(judges={}, generation=object())
    choices: Any = SimpleNamespace(judges={"one": None}, generation=object())
    silent: Any = SimpleNamespace(judges={"one": None}, generation=None)
    for config, exams in ((without, {"open": ITEMS}), (choices, {"choice": [CHOICE]}),
                          (silent, {"open": ITEMS})):  # fmt: skip
        with seated(config, *[None] * 2, exams, DIGESTS, policy()) as bench:  # type: ignore[arg-type]
            assert bench is None
    finding = decide(policy(), measured(None)).findings[0]
    assert finding.outcome == "open" and "no judge was asked" in finding.reason


def test_no_model_judges_itself_and_no_judge_twice() -> None:
    judge = SimpleNamespace(name="one", digest="c" * 64)
    with pytest.raises(InputError, match="judge one is the candidate itself"):
        check_others([judge], DIGESTS)  # type: ignore[list-item]
    judge.digest = "e" * 64
    with pytest.raises(InputError, match="is judge one once more"):
        check_others([judge, judge], DIGESTS)  # type: ignore[list-item]


def test_a_win_rate_has_no_floor() -> None:
    with pytest.raises(ValueError, match="against another model"):
        Policy.model_validate(
            policy().model_dump()
            | {"guards": [{"measure": "win_rate", "of": "x", "max_loss": 0.1, "floor": 0.4}]}
        )
