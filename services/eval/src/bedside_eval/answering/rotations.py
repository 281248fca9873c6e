"""The options of an item in every rotation, so that each stands once at every position.

A model that knows an answer gives it wherever it stands; one that likes a letter is right by chance
in one order and wrong in another (Zheng et al. 2024, arXiv:2309.03882). All orders of five options
would be 120 questions; the rotations are five.
"""

from __future__ import annotations

from collections.abc import Sequence

from bedside_core.kinds.exam import ChoiceItem, ExamItem


def rotated(items: Sequence[ExamItem]) -> list[ExamItem]:
    """Every rotation of every choice but the item's own order, item by item."""
    return [
        _rotation(item, by)
        for item in items
        if isinstance(item, ChoiceItem)
        for by in range(1, len(item.options))
    ]


def _rotation(item: ChoiceItem, by: int) -> ChoiceItem:
    count = len(item.options)

    def moved(place: int) -> int:
        return (place - by) % count

    answer = item.answer
    return item.model_copy(
        update={
            "id": f"{item.id}#{by}",
            "options": [*item.options[by:], *item.options[:by]],
            "answer": moved(answer) if isinstance(answer, int) else [moved(n) for n in answer],
            "abstain": None if item.abstain is None else moved(item.abstain),
        }
    )


def by_item(items: Sequence[ExamItem], right: Sequence[float]) -> list[bool]:
    """For each item, whether all its rotations are right.

    Args:
        items: the choices.
        right: of `rotated(items)`.
    """
    following = iter(right)
    return [
        all([next(following) == 1 for _ in item.options[1:]])
        for item in items
        if isinstance(item, ChoiceItem)
    ]
