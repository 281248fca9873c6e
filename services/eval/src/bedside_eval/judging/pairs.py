"""Two models' answers beside each other: who is asked what, and what the signs are worth.

A verdict that is missing counts as a tie and is counted apart: to drop it would choose the items by
the judge's faults, to give it to one model would judge that model by them. An answer that is empty
or missing loses to one that is there, and nobody is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, compress
from typing import NamedTuple

from bedside_core.kinds.exam import DocumentItem, ExamItem, OpenItem
from bedside_eval.answering.answers import Answer, Answered
from bedside_eval.answering.extraction import THINKING
from bedside_eval.answering.scoring import is_empty
from bedside_eval.judging.agreement import cohen_kappa
from bedside_eval.judging.asking import Judge
from bedside_eval.judging.card import winners
from bedside_eval.judging.questions import Body, pair_body, read_winner
from bedside_eval.judging.records import MAX_UNJUDGED, UNJUDGED, JudgedPair, Said
from bedside_eval.records import LABELS, Role

FORWARD: Mapping[Said, float] = {"A": 1, "B": 0, "1": 1, "2": 0}
"""What the first model gets; a tie and everything else is half."""
BACKWARD: Mapping[Said, float] = {"A": 0, "B": 1, "1": 1, "2": 0}
TURNED: Mapping[Said, Said] = {"A": "B", "B": "A"}


def is_judged(items: Sequence[ExamItem]) -> bool:
    """Whether the answers to an exam are compared by judges."""
    return isinstance(items[0], OpenItem | DocumentItem)


def role_pairs(roles: Iterable[Role]) -> Iterator[tuple[Role, Role]]:
    """Every model with every other one; the candidate is the first of its pairs."""
    present = set(roles)
    order: list[Role] = ["candidate", *(role for role in LABELS if role != "candidate")]
    return combinations([role for role in order if role in present], 2)


class _Two(NamedTuple):
    item: ExamItem
    first: str
    second: str

    @property
    def settled(self) -> Said | None:
        """What needs no judge."""
        if self.first == self.second:
            return "="
        if not self.second:
            return "1"
        return None if self.first else "2"


def compare(
    judges: Sequence[Judge],
    exam: str,
    items: Sequence[ExamItem],
    answered: Mapping[Role, Answered],
    roles: tuple[Role, Role],
) -> JudgedPair:
    """Let every judge compare two models' answers to an exam, in both orders.

    Raises:
        InputError: a judge is gone, or is another one now.
    """
    first, second = ([text_of(a) for a in answered[role][exam, "generated"]] for role in roles)
    twos = [_Two(*two) for two in zip(items, first, second, strict=True)]
    forward, backward = {}, {}
    for judge in judges:
        said = iter(
            winners(judge.ask(f"pairs/{exam}/{roles[0]}/{roles[1]}", _bodies(twos), read_winner))
        )
        both = [(two.settled, two.settled) if two.settled else (next(said), next(said))
                for two in twos]  # fmt: skip
        name = judge.identity.name
        forward[name], backward[name] = (tuple(sign) for sign in zip(*both, strict=True))
    return JudgedPair(
        exam=exam, first=roles[0], second=roles[1], forward=forward, backward=backward,
        longer=tuple(len(two.first.split()) - len(two.second.split()) for two in twos),
    )  # fmt: skip


def text_of(answer: Answer) -> str:
    """What a judge sees of an answer: what a clinician would see, as far as there is anything."""
    return "" if is_empty(answer) else THINKING.sub("", answer.text).strip()


def _bodies(twos: Sequence[_Two]) -> list[Body]:
    return [
        pair_body(two.item.question, two.item.context, *shown)
        for two in twos
        if two.settled is None
        for shown in ((two.first, two.second), (two.second, two.first))
    ]


def restricted(pair: JudgedPair, kept: Sequence[bool]) -> JudgedPair:
    """The same on some of the items."""
    return pair.model_copy(
        update={
            "forward": {name: tuple(compress(said, kept)) for name, said in pair.forward.items()},
            "backward": {name: tuple(compress(said, kept)) for name, said in pair.backward.items()},
            "longer": tuple(compress(pair.longer, kept)),
        }
    )


def scores(pair: JudgedPair) -> list[float]:
    """Of the first model, for each item: mean over judges and orders, from 0 to 1."""
    signs = [
        [worth.get(sign, 0.5) for sign in said]
        for worth, by_judge in ((FORWARD, pair.forward), (BACKWARD, pair.backward))
        for said in by_judge.values()
    ]
    return [sum(each) / len(each) for each in zip(*signs, strict=True)]


class Habits(NamedTuple):
    """How the judges judged, whoever won."""

    verdicts: int
    """Asked for."""
    invalid: int
    unanswered: int
    order_consistent: float | None
    first_position: float | None
    kappa: dict[str, float | None]


def habits(pair: JudgedPair) -> Habits:
    """Of all judges together; agreement of two by item, with what depends on the order as a tie."""
    asked = [
        (ahead, behind)
        for name in pair.forward
        for ahead, behind in zip(pair.forward[name], pair.backward[name], strict=True)
        if ahead not in "12="
    ]
    every = [sign for both in asked for sign in both]
    whole = [both for both in asked if not set(both) & set(UNJUDGED)]
    won = [sign for sign in every if sign in "AB"]
    return Habits(
        verdicts=len(every),
        invalid=every.count("!"),
        unanswered=every.count("?"),
        order_consistent=_share([_turned(ahead) == behind for ahead, behind in whole]),
        first_position=_share([sign == "A" for sign in won]),
        kappa={
            f"{one} and {other}": cohen_kappa(*_common(pair, one, other))
            for one, other in combinations(pair.forward, 2)
        },
    )


def enough(pair: JudgedPair) -> bool:
    """Whether so few verdicts are missing that something may rest on the pair."""
    found = habits(pair)
    return found.invalid + found.unanswered <= MAX_UNJUDGED * found.verdicts


def _common(pair: JudgedPair, one: str, other: str) -> tuple[list[Said], list[Said]]:
    """Two judges' verdicts on the items on which both gave two."""
    signs = [pair.forward[one], pair.backward[one], pair.forward[other], pair.backward[other]]
    whole = [each for each in zip(*signs, strict=True) if not set(each) & set(f"{UNJUDGED}12=")]
    ours = [_settled(ahead, behind) for ahead, behind, _, _ in whole]
    theirs = [_settled(ahead, behind) for _, _, ahead, behind in whole]
    return ours, theirs


def _settled(ahead: Said, behind: Said) -> Said:
    return ahead if _turned(ahead) == behind else "0"


def _turned(sign: Said) -> Said:
    return TURNED.get(sign, sign)


def _share(found: Sequence[bool]) -> float | None:
    return sum(found) / len(found) if found else None
