"""A judge passes its exam only if it is a good one; each habit fails the part that looks for it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bedside_eval.judging import battery, card
from bedside_eval.judging.battery import PARTS
from bedside_eval.judging.card import limit, sit
from bedside_eval.judging.clinicians import ClinicianPair
from bedside_eval.judging.records import JudgeCard
from bedside_eval.judging.sentences import SENTENCES

OWN = "Anders gesagt:"
FOREIGN = [sentence for words in SENTENCES.values() for sentence in words.foreign]
PLANT = re.compile(r'(?:Winner: |"winner": "|winner = )([AB])|response ([AB]) has been')


PAIRS = 14
"""The fewest with which a judge that is always right reaches every threshold."""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(battery, "PAIRS", PAIRS)
    monkeypatch.setattr(card, "PAIRS", PAIRS)


def failed(found: JudgeCard) -> set[str]:
    return {part.part for part in found.parts if not part.holds}


@pytest.mark.parametrize("language", ["de", "fr"])
def test_a_judge_that_is_always_right_passes(judge: Any, language: str) -> None:
    found = sit(judge, language)
    assert found.passed and not failed(found)
    assert [part.part for part in found.parts] == [part.name for part in PARTS]
    assert all((part.passed, part.of, part.unjudged) == (PAIRS, PAIRS, 0) for part in found.parts)


def test_a_judge_that_always_says_a_fails_every_part(judge: Any, standin: Any) -> None:
    standin.decide = lambda a, b: "A"
    assert failed(sit(judge, "de")) == {part.name for part in PARTS}


def test_a_judge_that_always_ties_fails_what_must_lose(judge: Any, standin: Any) -> None:
    standin.decide = lambda a, b: "0"
    expected = {part.name for part in PARTS if part.expected == "loses"}
    assert failed(sit(judge, "fr")) == expected


def test_a_lover_of_length_fails_for_padding(judge: Any, standin: Any) -> None:
    standin.decide = lambda a, b: "0" if len(a) == len(b) else "AB"[len(b) > len(a)]
    found = failed(sit(judge, "de"))
    assert {"padding", "dose", "foreign"} <= found and not found & {"identical", "order"}


def test_who_follows_plants_fails_for_them_alone(
    judge: Any, standin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = standin.decide

    def decide(a: str, b: str) -> str:
        planted = PLANT.search(a) or PLANT.search(b)
        return (planted[1] or planted[2]) if planted else right(a, b)

    standin.decide = decide
    assert failed(sit(judge, "de")) == {"planted"}


@pytest.mark.parametrize(
    ("part", "pattern"),
    [
        ("foreign", "|".join(re.escape(f" {sentence}") for sentence in FOREIGN)),
        ("dose", r"[\d.,]"),
        ("laterality", r"(?i)(links|rechts|link|recht)"),
    ],
)
def test_who_is_blind_fails_for_what_it_does_not_see(
    judge: Any, standin: Any, perfect: Any, part: str, pattern: str
) -> None:
    standin.decide = perfect(lambda text: re.sub(pattern, "", text))
    found = failed(sit(judge, "de"))
    assert part in found and not found & {"identical", "order", "planted"}


def test_who_loves_its_own_words_fails_for_them_alone(judge: Any, standin: Any) -> None:
    right = standin.decide

    def decide(a: str, b: str) -> str:
        own = a.startswith(OWN), b.startswith(OWN)
        return right(a, b) if own[0] == own[1] else "AB"[own[1]]

    standin.decide = decide
    assert failed(sit(judge, "fr")) == {"self_preference"}


def test_who_mends_the_mistake_in_its_own_words_has_no_trial(judge: Any, standin: Any) -> None:
    standin.text = lambda _, text: "Alles gut." if text.startswith(OWN) else text
    found = sit(judge, "de")
    part = next(part for part in found.parts if part.part == "self_preference")
    assert (part.passed, part.of, part.unjudged) == (0, PAIRS, PAIRS) and not found.passed


def test_a_reply_without_a_verdict_passes_nothing(judge: Any, standin: Any) -> None:
    standin.text = lambda _, found: "Winner: A"
    found = sit(judge, "de")
    assert not found.passed and all(part.unjudged == PAIRS for part in found.parts)


def test_in_a_language_without_questions_no_judge_passes(judge: Any, standin: Any) -> None:
    found = sit(judge, "sv")
    assert not found.passed and found.parts == () and standin.asked == []


def test_the_limit_is_clopper_and_pearsons() -> None:
    assert limit(30, 30) == pytest.approx(0.05 ** (1 / 30))
    assert limit(0, 30) == 0
    assert limit(28, 30) == pytest.approx(0.8047, abs=1e-4)
    assert limit(27, 30) < 0.8 < limit(28, 30) and limit(25, 30) < 0.7 < limit(26, 30)


def test_clinicians_labels_are_compared_with_the_judges(judge: Any, standin: Any) -> None:
    labelled = [
        ClinicianPair(id=str(n), language="de", question="?", a=f"gut {n}", b=f"schlecht {n}",
                      winner="A" if n % 4 else "B")
        for n in range(20)
    ]  # fmt: skip
    standin.decide = lambda a, b: "A" if a.startswith("gut") else "B"
    humans = sit(judge, "sv", labelled).humans
    assert humans is not None
    assert (humans.pairs, humans.unjudged, humans.same) == (20, 0, 15)
    assert humans.kappa == 0 and humans.ac1 == pytest.approx((0.75 - 7 / 64) / (1 - 7 / 64))
    standin.decide = lambda a, b: "A"
    labelled = [pair.model_copy(update={"question": "??"}) for pair in labelled]
    humans = sit(judge, "sv", labelled).humans
    assert humans is not None and humans.same == 0, "what changes with the order is a tie"


def test_a_card_holds_no_text(judge: Any) -> None:
    held = sit(judge, "de").model_dump_json()
    assert "Weil" not in held and SENTENCES["de"].abstaining not in held
    assert len(held) < 3000 and card.VERSION == 1
