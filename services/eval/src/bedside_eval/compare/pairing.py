"""Answers of several models to the same items of one task, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bedside_core.errors import InputError
from bedside_eval.compare.log import Answer, Log, shown
from bedside_eval.compare.sources import Model


class Paired(NamedTuple):
    """One task as every model answered it."""

    task: str
    metric: str
    items: tuple[str, ...]
    """Hashes, sorted."""
    clusters: tuple[str, ...]
    """One per item; an item without a cluster of its own is one."""
    scores: NDArray[np.float64]
    """Shape (models, items); the mean where an item was asked several times."""
    repeats: int
    """Answers of a model beyond one per item."""
    unmeasured: tuple[int, ...]
    """Per model: answers without a score, which count as 0."""
    unread: tuple[int, ...]
    """Per model: answers in which none of the choices was found."""
    other_prompts: int
    """Items that not all models were asked in the same words."""

    @property
    def is_binary(self) -> bool:
        """Whether every answer is right or wrong and nothing between."""
        return bool(np.isin(self.scores, (0.0, 1.0)).all())

    @property
    def is_clustered(self) -> bool:
        return len(set(self.clusters)) < len(self.items)


def pair(models: Sequence[Model]) -> list[Paired]:
    """Every task of the models.

    Raises:
        InputError: two models were not asked the same items, or were scored in another way.
    """
    return [_pair(task, models) for task in models[0].logs]


def _pair(task: str, models: Sequence[Model]) -> Paired:
    logs = [model.logs[task] for model in models]
    first = Counter(answer.item for answer in logs[0].answers)
    for model, log in zip(models[1:], logs[1:], strict=True):
        _check_same(task, model.label, first, Counter(answer.item for answer in log.answers))
        if log.metric != logs[0].metric:
            raise InputError(
                f"{shown(task)}: A is scored by {shown(logs[0].metric)}, {model.label} by "
                f"{shown(log.metric)} - name one metric that both have with --metric"
            )
    items = tuple(sorted(first))
    answers = [_by_item(log) for log in logs]
    return Paired(
        task=task,
        metric=logs[0].metric,
        items=items,
        clusters=_clusters(task, models, answers, items),
        scores=np.array([[_score(found[item]) for item in items] for found in answers]),
        repeats=len(logs[0].answers) - len(items),
        unmeasured=tuple(sum(a.score is None for a in log.answers) for log in logs),
        unread=tuple(sum(a.unread for a in log.answers) for log in logs),
        other_prompts=sum(
            len({answer.prompt for found in answers for answer in found[item]}) > 1
            for item in items
        ),
    )


def _check_same(task: str, label: str, first: Counter[str], other: Counter[str]) -> None:
    if first == other:
        return
    shared = (first & other).total()
    if set(first) == set(other):
        raise InputError(
            f"{shown(task)}: the same items, but A has {first.total()} answers and {label} "
            f"{other.total()} - evaluate both with as many repeats"
        )
    raise InputError(
        f"{shown(task)}: A and {label} were not asked the same: {shared} answer(s) belong to the "
        f"same items, {first.total() - shared} are only in A, {other.total() - shared} only in "
        f"{label} - evaluate both with the same version of the task, the same data and --limit"
    )


def _by_item(log: Log) -> dict[str, list[Answer]]:
    found: dict[str, list[Answer]] = {}
    for answer in log.answers:
        found.setdefault(answer.item, []).append(answer)
    return found


def _score(answers: Sequence[Answer]) -> float:
    # What nobody measured is not right: left out, it would raise the score of who fails to answer.
    return sum(answer.score or 0.0 for answer in answers) / len(answers)


def _clusters(
    task: str,
    models: Sequence[Model],
    answers: Sequence[dict[str, list[Answer]]],
    items: Sequence[str],
) -> tuple[str, ...]:
    named = [{a.cluster for found in answers for a in found[item]} for item in items]
    without = sum(names == {None} for names in named)
    if without == len(items):
        return tuple(items)
    if any(len(names) > 1 for names in named) or without:
        labels = " and ".join(model.label for model in models)
        raise InputError(
            f"{shown(task)}: {without} item(s) have no cluster, and "
            f"{sum(len(names) > 1 for names in named)} are in different ones in {labels} - name "
            "with --cluster a field that every item has"
        )
    return tuple(name for names in named for name in names if name is not None)
