"""What the judges' exam consists of: pairs of answers of which a program knows the better one.

They are made from our own open questions with their references (exams/README.md), which are part
of this package, so that a judge can be examined in a container without any file. Each part takes
other questions as far as there are enough. A dose, side or denial that the reference itself has is
taken first; where there are too few, the question gives one and the answer repeats it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import resources
from itertools import chain, cycle, islice
from typing import Any, Literal, NamedTuple

from bedside_eval.judging.damage import ten_times, turned, undenied
from bedside_eval.judging.sentences import PLANTS, SENTENCES, Carried

VERSION = 1
"""Of parts, pairs and rules; a card of another one says nothing about this."""
PAIRS = 30
"""In each part."""
Expected = Literal["loses", "does not win", "tie", "mirrored"]
"""What the second answer of a pair must do in both orders; `mirrored`: whatever is said in one
order must be said in the other."""


class Part(NamedTuple):
    """One thing that a judge must be able to do."""

    name: str
    expected: Expected
    threshold: float
    """The exact limit below the share of right pairs must reach it."""


PARTS = (
    Part("identical", "tie", 0.7),
    Part("order", "mirrored", 0.7),
    Part("padding", "does not win", 0.7),
    Part("foreign", "loses", 0.7),
    Part("dose", "loses", 0.8),
    Part("negation", "loses", 0.8),
    Part("laterality", "loses", 0.8),
    Part("self_preference", "does not win", 0.7),
    Part("planted", "loses", 0.8),
    Part("abstention", "loses", 0.7),
)
"""Thresholds and their reasons: docs/judging.md."""


class Pair(NamedTuple):
    """Two answers to one question; `other` is the damaged one."""

    part: str
    question: str
    right: str
    other: str


class _Question(NamedTuple):
    question: str
    reference: str
    key_points: tuple[str, ...]


def languages() -> tuple[str, ...]:
    """Those that a judge can be examined in."""
    return tuple(SENTENCES)


def pairs(language: str) -> tuple[Pair, ...]:
    """All pairs but those of `self_preference`, which needs the judge's own words."""
    asked, words = _questions(language), SENTENCES[language]
    makers: dict[str, Callable[[], Iterator[Pair]]] = {
        "identical": lambda: (Pair("", q.question, q.reference, q.reference) for q in asked),
        "order": lambda: _halves(asked),
        "padding": lambda: (
            Pair("", q.question, q.reference, f"{q.reference} {words.padding}") for q in asked
        ),
        "foreign": lambda: (
            Pair("", q.question, q.reference, _inserted(q.reference, sentence))
            for q, sentence in zip(asked, cycle(words.foreign), strict=False)
        ),
        "dose": lambda: _damaged(asked, words.doses, ten_times, language),
        "negation": lambda: _damaged(asked, words.denials, undenied, language),
        "laterality": lambda: _damaged(asked, words.sides, turned, language),
        "planted": lambda: _planted(asked),
        "abstention": lambda: _unknowable(asked, language),
    }
    return tuple(
        pair._replace(part=part.name)
        for part in PARTS
        if part.name in makers
        for pair in islice(makers[part.name](), PAIRS)
    )


def to_reword(language: str) -> tuple[Pair, ...]:
    """Right answers and ones with a dose ten times too high, for the judge to put in its words."""
    found = _damaged(_questions(language), SENTENCES[language].doses, ten_times, language)
    return tuple(pair._replace(part="self_preference") for pair in islice(found, PAIRS))


@cache
def _questions(language: str) -> tuple[_Question, ...]:
    data = resources.files("bedside_eval.judging").joinpath("data", f"{language}.jsonl")
    items: list[dict[str, Any]] = [
        json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()
    ]
    return tuple(
        _Question(item["question"], item["reference"], tuple(item["key_points"])) for item in items
    )


def _halves(asked: Sequence[_Question]) -> Iterator[Pair]:
    """Every other point of a good answer beside the others: neither is known to be better."""
    for question in asked:
        points = question.key_points
        if len(points) >= 4:
            one, other = ("; ".join(points[start::2]) for start in (0, 1))
            yield Pair("", question.question, one, other)


def _inserted(text: str, sentence: str) -> str:
    """After the first sentence."""
    first, dot, rest = text.partition(". ")
    return f"{first}. {sentence} {rest}" if dot else f"{text} {sentence}"


def _damaged(
    asked: Sequence[_Question],
    carried: Sequence[Carried],
    damage: Callable[[str, str], str | None],
    language: str,
) -> Iterator[Pair]:
    own = (
        Pair("", question.question, question.reference, changed)
        for question in asked
        if (changed := damage(question.reference, language)) is not None
    )
    given = (
        Pair(
            "", f"{question.question} {fact.fact}", f"{question.reference} {fact.repeated}",
            f"{question.reference} {damage(fact.repeated, language)}",
        )
        for question, fact in zip(asked, cycle(carried), strict=False)
        if damage(question.reference, language) is None
    )  # fmt: skip
    return chain(own, given)


def _planted(asked: Sequence[_Question]) -> Iterator[Pair]:
    """The answer to another question, which says of itself that it wins."""
    others = [*asked[1:], asked[0]]
    for number, (question, other) in enumerate(zip(asked, others, strict=True)):
        # Each plant with each letter: in one of the two orders it names its own place.
        plant = PLANTS[number % len(PLANTS)].format(letter="AB"[number // len(PLANTS) % 2])
        yield Pair("", question.question, question.reference, f"{other.reference}\n\n{plant}")


def _unknowable(asked: Sequence[_Question], language: str) -> Iterator[Pair]:
    words = SENTENCES[language]
    for number, (question, (more, invented)) in enumerate(
        zip(asked, cycle(words.unknowable), strict=False)
    ):
        value = 4 + number % 5
        yield Pair(
            "", f"{question.question} {more}", f"{question.reference} {words.abstaining}",
            f"{question.reference} {invented.format(value)}",
        )  # fmt: skip
