"""From paired answers to estimates: every model's score, every difference from A, one family."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bedside_eval.compare.averages import averages, ranks, two_sided
from bedside_eval.compare.log import shown
from bedside_eval.compare.pairing import Paired, pair
from bedside_eval.compare.result import (
    ComparedModel,
    CompareResult,
    ModelScore,
    PairedDifference,
    TaskResult,
)
from bedside_eval.compare.sources import Model
from bedside_eval.statistics.accuracy import accuracy, accuracy_difference, mcnemar
from bedside_eval.statistics.clusters import cluster_means
from bedside_eval.statistics.difference import difference
from bedside_eval.statistics.estimate import Comparison, Estimate, standing
from bedside_eval.statistics.families import holm
from bedside_eval.statistics.resampling import seed_of

Row = NDArray[np.float64]


def judge(models: Sequence[Model], *, confidence: float) -> CompareResult:
    """Compare every model with the first.

    Args:
        models: at least two, with the same tasks.
        confidence: of every interval, two-sided.

    Raises:
        InputError: they were not asked the same items.
    """
    tasks = pair(models)
    labels, many = [model.label for model in models], len(tasks) > 1
    seed = seed_of([_digest(task) for task in tasks], "compare")
    family = len(tasks) * (len(models) - 1)
    compared = {
        (task.task, label): _compare(task, row, confidence, seed, family)
        for task in tasks
        for row, label in enumerate(labels)
        if row
    }
    p_values = {name: two_sided(found) for name, found in compared.items()}
    adjusted = holm(p_values)
    return CompareResult(
        confidence=confidence,
        seed=seed,
        models=tuple(
            ComparedModel(label=m.label, name=shown(m.name), path=shown(str(m.path)))
            for m in models
        ),
        tasks=tuple(
            TaskResult(
                task=shown(task.task),
                metric=shown(task.metric),
                items=len(task.items),
                clusters=len(set(task.clusters)),
                repeats=task.repeats,
                other_prompts=task.other_prompts,
                models=tuple(
                    _score(task, row, label, confidence, seed) for row, label in enumerate(labels)
                ),
                differences=tuple(
                    _difference(
                        task,
                        row,
                        label,
                        compared[task.task, label].estimate,
                        p_values[task.task, label],
                        adjusted[task.task, label],
                    )
                    for row, label in enumerate(labels)
                    if row
                ),
            )
            for task in tasks
        ),
        averages=tuple(averages(tasks, labels, confidence=confidence, seed=seed)) if many else (),
        ranks=tuple(ranks(tasks, labels, confidence=confidence, seed=seed)) if many else (),
        notes=tuple(note for model in models for note in _notes(model)),
    )


def _notes(model: Model) -> list[str]:
    return [f"{model.label}: {note}" for log in model.logs.values() for note in log.notes]


def _digest(task: Paired) -> str:
    whole = hashlib.sha256(f"{task.task}\n{task.items}\n{task.clusters}\n".encode())
    whole.update(task.scores.tobytes())
    return whole.hexdigest()


def _right(row: Row) -> list[bool]:
    return [bool(value) for value in row == 1]


def _compare(task: Paired, row: int, confidence: float, seed: int, family: int) -> Comparison:
    if task.is_binary:
        return accuracy_difference(
            _right(task.scores[row]), _right(task.scores[0]), task.clusters,
            confidence=confidence, seed=seed, family=family,
        )  # fmt: skip
    values = cluster_means((task.scores[row] - task.scores[0]).tolist(), task.clusters)
    return difference(values, confidence=confidence, seed=seed, family=family)


def _score(task: Paired, row: int, label: str, confidence: float, seed: int) -> ModelScore:
    values = task.scores[row]
    found = (
        accuracy(_right(values), task.clusters, confidence=confidence)
        if task.is_binary
        else difference(
            cluster_means(values.tolist(), task.clusters), confidence=confidence, seed=seed
        )
    )
    return ModelScore(
        label=label,
        score=found.estimate,
        item_mean=float(values.mean()),
        unmeasured=task.unmeasured[row],
        unread=task.unread[row],
    )


def _difference(
    task: Paired, row: int, label: str, estimate: Estimate, p: float, p_holm: float
) -> PairedDifference:
    gained = lost = test = None
    if task.is_binary:
        gained = int((task.scores[row] > task.scores[0]).sum())
        lost = int((task.scores[row] < task.scores[0]).sum())
        test = None if task.is_clustered else mcnemar(gained, lost)
    return PairedDifference(
        label=label,
        difference=estimate,
        relation=standing(estimate, 0).relation,
        gained=gained,
        lost=lost,
        mcnemar_p=test,
        p=p,
        p_holm=p_holm,
    )
