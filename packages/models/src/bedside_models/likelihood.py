"""Negative log-likelihood of held-out texts, once for all services.

`measure` computes what `scores.Estimand` describes; the evaluation's lm-eval computes the same
(`loglikelihood_rolling`) and is compared with it on a sample of every examination.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bedside_core.errors import InputError
from bedside_core.heldout import HeldoutText
from bedside_core.progress import Progress
from bedside_models.load import dtype_of
from bedside_models.scores import Estimand, Scores, TextScore
from bedside_models.texts import TextTokenizer

IGNORED = -100
"""The label of what is not scored: PyTorch's cross-entropy leaves it out."""


class EncodedText(NamedTuple):
    """A held-out text as token ids, without anything that a tokenizer puts around it."""

    id: str
    ids: Sequence[int]
    bytes: int
    """Of the text in UTF-8."""


class EncodedSet(NamedTuple):
    """Held-out texts, ready to be measured."""

    texts: tuple[EncodedText, ...]
    prefix_id: int
    prefix_token: str


class Window(NamedTuple):
    """A piece of a text that the model sees at once."""

    ids: Sequence[int]
    """What goes in, and the last target: one more than the model sees."""
    scored: int
    """How many of the last ids are targets; those before are context."""


def encode(texts: Sequence[HeldoutText], tokenizer: PreTrainedTokenizerBase) -> EncodedSet:
    """Tokenise held-out texts; a control token that one spells is text (`TextTokenizer`).

    Raises:
        InputError: a text has no token at all; the message names it.
    """
    prefix_token, prefix_id = first_token(tokenizer)
    encoded = []
    each = TextTokenizer(tokenizer).ids([text.text for text in texts])
    for text, ids in zip(texts, each, strict=True):
        if not ids:
            raise InputError(f"held-out text {text.id} has no token - remove it")
        encoded.append(EncodedText(text.id, ids, len(text.text.encode())))
    return EncodedSet(tuple(encoded), prefix_id, prefix_token)


def first_token(tokenizer: PreTrainedTokenizerBase) -> tuple[str, int]:
    """What stands before every text, and its id: the bos_token, else the eos_token."""
    name = "eos_token" if tokenizer.bos_token is None else "bos_token"
    return getattr(tokenizer, name), getattr(tokenizer, f"{name}_id")


def windows(ids: Sequence[int], prefix_id: int, length: int) -> Iterator[Window]:
    """Cut a text so that every token is a target exactly once and the model sees `length` at most.

    Every window begins with the prefix; in a later one follows as much of what stands before it as
    fits (one token, more in the last).

    Args:
        ids: the text's.
        prefix_id: of the prefix token.
        length: at least 2.
    """
    yield Window([prefix_id, *ids[:length]], scored=len(ids[:length]))
    for done in range(length, len(ids), length - 1):
        end = min(done + length - 1, len(ids))
        yield Window([prefix_id, *ids[end - length : end]], scored=end - done)


def log_likelihood(model: PreTrainedModel, ids: Sequence[int], scored: int) -> float:
    """Of the last `scored` ids given all before them, in nats.

    The last id goes in as no input: the model sees one token less than there are.
    """
    row = torch.tensor([ids], device=model.device)
    logits = model(input_ids=row[:, :-1], use_cache=False).logits[0, -scored:].float()
    targets = row[0, -scored:].to(logits.device)
    return -float(F.cross_entropy(logits, targets, reduction="sum"))


def measure(model: PreTrainedModel, texts: EncodedSet, *, length: int, name: str) -> Scores:
    """Score every held-out text in windows of `length`; leaves the model in evaluation mode.

    Raises:
        InputError: the model gives a likelihood that is no number.
    """
    model.train(mode=False)
    scores = []
    with Progress(name, total=len(texts.texts), unit="text") as progress:
        for text in texts.texts:
            scores.append(score(model, text, texts.prefix_id, length))
            progress.update(1)
    estimand = Estimand(prefix_token=texts.prefix_token, max_length=length, dtype=dtype_of(model))
    return Scores(estimand=estimand, texts=tuple(scores))


@torch.no_grad()
def score(model: PreTrainedModel, text: EncodedText, prefix_id: int, length: int) -> TextScore:
    """Score one text with a model that is in evaluation mode.

    Raises:
        InputError: the model gives a likelihood that is no number.
    """
    cut = windows(text.ids, prefix_id, length)
    nll = -sum(log_likelihood(model, window.ids, window.scored) for window in cut)
    return TextScore(id=text.id, tokens=len(text.ids), bytes=text.bytes, nll=finite(nll, text.id))


def finite(value: float, identifier: str) -> float:
    """Pass a likelihood on, if it is a number.

    Raises:
        InputError: it is none; names the text or item.
    """
    if not math.isfinite(value):
        raise InputError(
            f"a model gives {identifier} a likelihood that is no number ({value}) - its weights "
            "are broken; train or merge again"
        )
    return value
