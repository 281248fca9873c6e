"""How fast this machine trains: a few layers of the model are trained for a moment.

Layers cost alike, so that one and three tell of all; an update costs by parameters, so by layers
too. Weights and tokens are random, which costs the same.

Tested in tests/trainer/plan/test_speed.py.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from transformers import PretrainedConfig, PreTrainedModel

from bedside_trainer.plan.need import Need
from bedside_trainer.plan.simulate import Work, build, with_layers
from bedside_trainer.step.attention import NAME, attention
from bedside_trainer.step.batch import pieces
from bedside_trainer.step.loss import summed_nll
from bedside_trainer.step.precision import Compute
from bedside_trainer.step.take import build_optimizer
from bedside_trainer.watch.flops import count

MOST = {"cpu": 2e11, "cuda": 1e15}
"""Operations of a pass that is measured; of longer ones the time follows from their operations."""
FEW = (1, 3)
REPEATS = 5


class Seconds(NamedTuple):
    """What a step is made of."""

    forward_backward: float
    """Of one micro-batch."""
    update: float


def seconds_per_step(need: Need, device: torch.device) -> float:
    """Measure how long a step of one process takes here."""
    layers = int(need.model.get_text_config(decoder=True).num_hidden_layers)
    if layers <= max(FEW):
        found = _measured(need.model, need, device)
    else:
        less, more = (_measured(with_layers(need.model, n), need, device) for n in FEW)
        share = (layers - FEW[0]) / (FEW[1] - FEW[0])
        found = Seconds(*(a + share * (b - a) for a, b in zip(less, more, strict=True)))
    return -(-need.of_each // need.rows) * found.forward_backward + found.update


def _measured(config: PretrainedConfig, need: Need, device: torch.device) -> Seconds:
    work = need.work
    torch.manual_seed(0)
    with device:
        model = build(config, work)
    flops = count(model, config)
    tokens = work.tokens
    while tokens > 64 and flops.of(tokens, tokens**2) > MOST[device.type]:
        tokens //= 2
    scale = flops.of(work.tokens, work.tokens * need.longest)
    scale /= flops.of(tokens, tokens * min(tokens, need.longest))
    optimizer = build_optimizer(model, need.config)
    step = _step(model, work._replace(tokens=tokens), need.longest, device)

    def update() -> None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), need.config.max_grad_norm)
        optimizer.step()

    return Seconds(_median(step, device) * scale, _median(update, device))


def _step(
    model: PreTrainedModel, work: Work, longest: int, device: torch.device
) -> Callable[[], None]:
    length = min(work.tokens, longest)
    batch = pieces([[0] * length] * (work.tokens // length), device)
    batch = replace(batch, targets=torch.zeros_like(batch.targets))
    compute = Compute(work.dtype, sharded=False)

    def step() -> None:
        with attention(model, NAME):
            with compute.autocast(device):
                total = summed_nll(model, batch, work.settings.loss_chunk_tokens)
            total.backward()  # type: ignore[no-untyped-call]

    return step


def _median(action: Callable[[], None], device: torch.device) -> float:
    """Seconds of an action that was done once before."""
    action()
    seconds = []
    for _ in range(REPEATS):
        _wait(device)
        started = time.perf_counter()
        action()
        _wait(device)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
