"""Fine-tuning an encoder on labelled documents, as appendix A.2 of DeFineMed.

AdamW, a linear warm-up and a linear decay; each window of a document has the document's label, and
a weight so that every document weighs the same. After each part of an epoch the documents of the
validation part are scored as the build will score them; the weights with the best F-beta at 0.5
stay, and training ends where it has not risen for a while. On a GPU in bfloat16.

Tested in tests/corpus/classifier/test_encoder.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bedside_core.console import say
from bedside_core.progress import Progress
from bedside_corpus.classifier.config import EncoderTraining
from bedside_corpus.classifier.encoder import Encoder, Window, import_torch, open_encoder
from bedside_corpus.classifier.labelled import Labelled

if TYPE_CHECKING:
    import torch

POOL = 50
"""Batches whose windows are sorted by length together."""


def f_beta(kept: NDArray[np.bool_], labels: NDArray[np.bool_], beta: float) -> float:
    """(1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP), over all classes; 0 where nothing is right."""
    right = int((kept & labels).sum())
    wrong, missed = int((kept & ~labels).sum()), int((labels & ~kept).sum())
    weight = 1 + beta * beta
    return weight * right / (weight * right + beta * beta * missed + wrong) if right else 0.0


def fine_tune(
    settings: EncoderTraining, train: Labelled, validation: Labelled, seed: int
) -> tuple[Encoder, float]:
    """Train from the encoder that the settings name.

    Returns:
        The encoder with the best F-beta on the validation part, and that F-beta.

    Raises:
        InputError: torch, transformers or a readable encoder is missing.
    """
    import_torch("corpus.train_classifier.encoder")
    import torch

    torch.manual_seed(seed)
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    encoder = open_encoder(settings.path, len(train.classes), device)
    windows = encoder.windows(train.texts)
    of = Counter(one.document for one in windows)
    steps = settings.epochs * -(-len(windows) // settings.batch_size)
    optimizer = torch.optim.AdamW(_groups(encoder.model, settings), lr=settings.learning_rate)
    warm = max(1, int(settings.warmup * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda n: min((n + 1) / warm, max(0.0, (steps - n) / max(1, steps - warm)))
    )
    every = max(1, steps // (settings.epochs * settings.looks))
    best = _Best(encoder, validation, settings)
    with Progress("fine-tune", total=steps, unit="step") as progress:
        for number, batch in enumerate(_shuffled(windows, settings, seed), start=1):
            _step(encoder, batch, train, of, optimizer)
            schedule.step()
            progress.update(1)
            if (number % every == 0 or number == steps) and best.look_and_stop(number):
                break
    best.restore()
    return encoder, best.value


def _step(
    encoder: Encoder,
    batch: Sequence[Window],
    train: Labelled,
    of: Counter[int],
    optimizer: torch.optim.Optimizer,
) -> None:
    import torch

    encoder.model.train()
    rows = [one.document for one in batch]
    target = torch.from_numpy(train.truth[rows]).to(encoder.device)
    weight = torch.tensor([[1 / of[row]] for row in rows], device=encoder.device)
    is_gpu = encoder.device != "cpu"
    with torch.autocast("cuda" if is_gpu else "cpu", torch.bfloat16, enabled=is_gpu):
        logits = encoder.model(**encoder.padded(batch)).logits
    losses = torch.nn.functional.binary_cross_entropy_with_logits(
        logits.float(), target, reduction="none"
    )
    loss = (losses * weight).sum() / (weight.sum() * target.shape[1])
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # torch
    torch.nn.utils.clip_grad_norm_(encoder.model.parameters(), 1.0)
    optimizer.step()


class _Best:
    """The weights of the best look so far."""

    def __init__(self, encoder: Encoder, validation: Labelled, settings: EncoderTraining) -> None:
        self.encoder, self.validation, self.settings = encoder, validation, settings
        self.value, self.worse = -1.0, 0
        self.weights: dict[str, torch.Tensor] = {}

    def look_and_stop(self, step: int) -> bool:
        """Score the validation part; whether it has not risen for long enough."""
        self.encoder.model.eval()
        kept = self.encoder.score(self.validation.texts) >= np.float32(0.5)
        value = f_beta(kept, self.validation.labels, self.settings.beta)
        say(f"step {step:,}: F-{self.settings.beta:g} {value:.4f} on the validation part")
        if value > self.value:
            state = self.encoder.model.state_dict()
            self.weights = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
            self.value, self.worse = value, 0
        else:
            self.worse += 1
        return self.worse >= self.settings.patience

    def restore(self) -> None:
        self.encoder.model.load_state_dict(self.weights)
        self.encoder.model.eval()


def _groups(model: torch.nn.Module, settings: EncoderTraining) -> list[dict[str, object]]:
    """Vectors (biases, norms) are not decayed."""
    named = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in named if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in named if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _shuffled(
    windows: Sequence[Window], settings: EncoderTraining, seed: int
) -> Iterator[list[Window]]:
    """All windows once in each epoch, neighbours in length together, the batches in any order."""
    random = np.random.default_rng(seed)
    size = settings.batch_size
    for _ in range(settings.epochs):
        order = random.permutation(len(windows)).tolist()
        batches = []
        for start in range(0, len(order), size * POOL):
            pool = sorted(order[start : start + size * POOL], key=lambda n: len(windows[n].ids))
            batches += [pool[at : at + size] for at in range(0, len(pool), size)]
        for number in random.permutation(len(batches)).tolist():
            yield [windows[n] for n in batches[number]]
