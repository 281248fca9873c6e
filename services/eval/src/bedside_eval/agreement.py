"""lm-eval's numbers against a plain computation: one sequence at a time, nothing shared or padded.

Computed before the examination, where it also tells how fast the model is, and compared after it.

Tested in tests/eval/test_sittings.py.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from typing import NamedTuple

import torch
from transformers import PreTrainedModel

from bedside_core.errors import PolicyError
from bedside_eval.exam import Part
from bedside_eval.preflight import Encoded
from bedside_eval.records import Answers
from bedside_models.likelihood import log_likelihood, windows
from bedside_models.scores import Dtype

AGREEMENT: dict[Dtype, float] = {"float32": 1e-4, "float16": 0.02, "bfloat16": 0.05}
"""How far two likelihoods may be apart, relative, or in nats per token. In float32, padding and the
order of sums cost about a millionth; the 16-bit types keep 11 and 8 binary digits."""
WARM_UP = 8
"""Tokens that are read before the clock starts: libraries set themselves up in their first pass."""


class Question(NamedTuple):
    """A text or an item as the sequences that a model reads."""

    place: int
    """In its part."""
    sequences: list[list[tuple[list[int], int]]]
    """Per likelihood (a text has one, an item one for each option) its windows: token ids, and how
    many of the last are scored."""


class Sample(NamedTuple):
    """The longest text and each exam's first item, computed plainly."""

    expected: dict[Part, tuple[int, int, list[float]]]
    """Place in the part, tokens scored for the first likelihood, likelihoods."""
    seconds_per_token: float


@torch.no_grad()
def compute_sample(
    model: PreTrainedModel, encoded: Encoded, parts: Collection[Part], max_length: int
) -> Sample:
    """Compute a sample of these parts with a model that is in evaluation mode, and time it."""
    questions = dict(_choose(encoded, parts, max_length))
    first, _ = next(iter(questions.values())).sequences[0][0]
    log_likelihood(model, first[:WARM_UP], 1)
    started = time.monotonic()
    expected = {
        part: (
            question.place,
            sum(scored for _, scored in question.sequences[0]),
            [sum(log_likelihood(model, *row) for row in rows) for rows in question.sequences],
        )
        for part, question in questions.items()
    }
    seconds = time.monotonic() - started
    read = [ids for q in questions.values() for rows in q.sequences for ids, _ in rows]
    return Sample(expected, seconds / sum(len(ids) - 1 for ids in read))


def _choose(
    encoded: Encoded, parts: Collection[Part], max_length: int
) -> list[tuple[Part, Question]]:
    texts = [
        (len(text.ids), place, part)
        for part in parts
        if part.kind == "heldout"
        for place, text in enumerate(encoded.heldout[part.name].texts)
    ]
    chosen = []
    if texts:
        _, place, part = max(texts)
        found = encoded.heldout[part.name]
        cut = windows(found.texts[place].ids, found.prefix_id, max_length)
        rows = [(list(window.ids), window.scored) for window in cut]
        chosen.append((part, Question(place, [rows])))
    for part in parts:
        if part.kind == "exam":
            context, endings = encoded.exams[part.name][0]
            sequences = [[([*context, *ending], len(ending))] for ending in endings]
            chosen.append((part, Question(0, sequences)))
    return chosen


def check_agreement(sample: Sample, part: Part, answers: Answers, dtype: Dtype) -> None:
    """Compare lm-eval's numbers of a part with the sample's; those that are none are reported.

    Raises:
        PolicyError: they disagree, so the numbers are not what the evidence says they are.
    """
    if part not in sample.expected or answers.without:
        return
    place, tokens, expected = sample.expected[part]
    text = answers.texts[place] if part.kind == "heldout" else None
    identifier = text.id if text else answers.items[place].id
    found = (-text.nll,) if text else answers.items[place].loglikelihoods
    limit = AGREEMENT[dtype]
    for theirs, ours in zip(found, expected, strict=True):
        if not math.isclose(theirs, ours, rel_tol=limit, abs_tol=limit * tokens):
            raise PolicyError(
                f"lm-eval gives {identifier} a likelihood of {theirs:.6f} nats, our own "
                f"computation {ours:.6f} - no evidence is written; make the eval environment anew "
                "from its lock"
            )
