"""Examples before a question, from another split than the one that is examined on.

lm-evaluation-harness draws those of MMMLU from the test split, and CLUE's scripts cut theirs from
the shuffled test file; here an example is never an item, nor a copy of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bedside_core.errors import InputError
from bedside_core.kinds.exam import ChoiceItem, DocumentItem, ExamItem, OpenItem, ShortItem
from bedside_core.kinds.exam.items import Shot
from bedside_core.matching import canonical


class Shown(NamedTuple):
    """Items with their examples."""

    items: list[ExamItem]
    unused: int
    """Examples that ask what an item asks, and so are none."""


def with_examples(
    items: Sequence[ExamItem],
    pool: Sequence[ExamItem],
    number: int,
    *,
    worked: Mapping[str, str] | None = None,
    by_specialty: bool = False,
) -> Shown:
    """Put the first of the pool before each item.

    Args:
        items: to be asked.
        pool: of another split, in the order of its files.
        number: of examples before each item.
        worked: by id, how an example's answer is given where it is more than the answer.
        by_specialty: whether an item's examples are of its own specialty.

    Raises:
        InputError: too few examples.
    """
    asked = {item.identity for item in items} | {
        canonical(item.question) for item in items if not item.context
    }
    usable: dict[str, list[Shot]] = {}
    unused = 0
    for item in pool:
        if item.identity in asked or (not item.context and canonical(item.question) in asked):
            unused += 1
        elif shot := _shot(item, (worked or {}).get(item.id)):
            usable.setdefault(item.specialty if by_specialty else "", []).append(shot)
    shown = [_with(item, usable.get(item.specialty if by_specialty else "", []), number)
             for item in items]  # fmt: skip
    missing = sum(one is None for one in shown)
    if missing:
        raise InputError(
            f"{missing} item(s) have fewer than {number} example(s) in the split that examples "
            "come from - lower --shots, or name another file or folder with --examples"
        )
    return Shown([one for one in shown if one is not None], unused)


def _with(item: ExamItem, shots: Sequence[Shot], number: int) -> ExamItem | None:
    if len(shots) < number:
        return None
    members = item.model_dump() | {"shots": [shot.model_dump() for shot in shots[:number]]}
    return type(item).model_validate(members)


def _shot(item: ExamItem, worked: str | None) -> Shot | None:
    """None of an item that one example cannot answer: several right options, checks of a form."""
    question = "\n\n".join(part for part in (item.context, item.question) if part)
    match item:
        case ChoiceItem() if not item.several:
            right = item.options[item.answers[0]]
            return Shot(question=question, options=item.options, answer=right)
        case ShortItem():
            return Shot(question=question, answer=worked or item.answers[0])
        case OpenItem():
            return Shot(question=question, answer=item.reference)
        case DocumentItem():
            return Shot(question=item.asked, answer=item.reference)
    return None
