"""How well a model predicts development texts and answers exams, and what that says of a merge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from scipy import stats
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bedside_core.errors import InputError
from bedside_core.heldout import HeldoutText
from bedside_core.kinds.exam import ChoiceItem
from bedside_core.progress import Progress
from bedside_models.likelihood import EncodedSet, Window, windows
from bedside_models.options import answer

Numbers = np.ndarray[tuple[int], np.dtype[np.float32]]
Predicted = dict[str, dict[str, Numbers]]
"""By set and text the log-likelihood of each token in nats; by exam and item one number, which is 1
if the answer was right, else 0."""
Half = dict[str, list[Any]]
"""Texts by set, items by exam."""
FEWEST = 2
"""Clusters of a half, below which there is no interval."""


class Halves(NamedTuple):
    """Texts and items that choose a merge, and others that say what the choice is worth."""

    choose: Half
    check: Half


class Interval(NamedTuple):
    """A mean over clusters with its confidence interval by Student's t."""

    mean: float
    low: float | None
    """None, as is `high`, where all clusters have one value: they say nothing of its spread."""
    high: float | None
    clusters: int


def halve(sets: Mapping[str, Sequence[HeldoutText | ChoiceItem]], seed: int) -> Halves:
    """Part every set and exam by its clusters, in an order that the seed decides.

    Raises:
        InputError: a set has too few clusters.
    """
    halves = Halves({}, {})
    for name, texts in sets.items():
        clusters = sorted(
            {text.cluster for text in texts}, key=lambda c: sha256(f"{seed}:{c}".encode()).digest()
        )
        if len(clusters) < 2 * FEWEST:
            raise InputError(
                f"the development part of {name} has {len(clusters)} independent text(s) or "
                f"item(s), the search needs {2 * FEWEST} - add some and plan anew"
            )
        chosen = set(clusters[::2])
        halves.choose[name] = [text for text in texts if text.cluster in chosen]
        halves.check[name] = [text for text in texts if text.cluster not in chosen]
    return halves


def predict(
    model: PreTrainedModel,
    sets: Mapping[str, EncodedSet],
    exams: Mapping[str, Sequence[ChoiceItem]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    length: int,
    name: str,
) -> Predicted:
    """Score every token once, in the windows of `bedside_models.likelihood`, and every answer.

    Args:
        model: is put into evaluation mode.
        sets: texts to predict.
        exams: items to answer, by option scoring as in the evaluation.
        tokenizer: of the model.
        length: tokens that the model sees at once.
        name: is shown.

    Raises:
        InputError: the model gives a likelihood that is no number.
    """
    model.train(mode=False)
    found: Predicted = {}
    total = sum(len(one.texts) for one in sets.values()) + sum(map(len, exams.values()))
    with Progress(name, total=total, unit="text") as progress:
        for key, one in sets.items():
            found[key] = {}
            for text in one.texts:
                parts = [
                    _tokens(model, window) for window in windows(text.ids, one.prefix_id, length)
                ]
                scores = np.concatenate(parts)
                if not np.isfinite(scores).all():
                    raise InputError(
                        f"a merge gives {text.id} a likelihood that is no number - its weights are "
                        "broken; train again"
                    )
                found[key][text.id] = scores
                progress.update()
        for key, items in exams.items():
            found[key] = {}
            for item in items:
                right = answer(model, tokenizer, item) in item.answers
                found[key][item.id] = np.array([right], dtype=np.float32)
                progress.update()
    return found


@torch.no_grad()
def _tokens(model: PreTrainedModel, window: Window) -> Numbers:
    row = torch.tensor([window.ids], device=model.device)
    logits = model(input_ids=row[:, :-1], use_cache=False).logits[0, -window.scored :].float()
    found = F.cross_entropy(logits, row[0, -window.scored :], reduction="none")
    return -found.cpu().numpy()


def gains(base: Predicted, other: Predicted, name: str) -> dict[str, float]:
    """By text or item: mean of its numbers above the base's."""
    return {text: float(np.mean(other[name][text] - scores)) for text, scores in base[name].items()}


def gain(base: Predicted, other: Predicted, name: str) -> float:
    """Mean over the texts of a set or the items of an exam."""
    return float(np.mean(list(gains(base, other, name).values())))


def drift(base: Predicted, other: Predicted, names: Sequence[str]) -> float:
    """How far predictions of general text have moved, in either direction, in nats per token.

    Mean over tokens of |log p - log p of the base|, in the set where it is largest. A model that
    only became better at everything has drifted, too: what it did not lose here it may have lost
    where nobody looks.
    """
    return max(
        float(
            np.mean(
                np.abs(
                    np.concatenate(
                        [other[name][text] - scores for text, scores in base[name].items()]
                    )
                )
            )
        )
        for name in names
    )


def interval(
    differences: Mapping[str, float], texts: Sequence[HeldoutText | ChoiceItem], confidence: float
) -> Interval:
    """Of the mean over clusters of the means over their texts.

    Args:
        differences: by text or item.
        texts: of the set or exam, with their clusters.
        confidence: of the two-sided interval.
    """
    clusters: dict[str, list[float]] = {}
    for text in texts:
        clusters.setdefault(text.cluster, []).append(differences[text.id])
    means = np.array([np.mean(values) for values in clusters.values()])
    count, mean = len(means), float(means.mean())
    if np.all(means == means[0]):
        return Interval(mean, None, None, count)
    half = float(stats.t.ppf((1 + confidence) / 2, count - 1) * means.std(ddof=1) / count**0.5)
    return Interval(mean, mean - half, mean + half, count)
