"""One optimizer step over all processes, and the optimizer that takes it.

Tested in tests/trainer/test_loop.py, tests/trainer/test_many.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed.fsdp import FSDPModule, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from bedside_trainer.config import TrainerConfig
from bedside_trainer.data.order import Order
from bedside_trainer.data.rows import Rows
from bedside_trainer.parallel.world import World
from bedside_trainer.state.record import Point
from bedside_trainer.step.attention import NAME, attention
from bedside_trainer.step.batch import NOTHING, Batch, joined_rows, micro_batches, targets_in
from bedside_trainer.step.loss import summed_nll
from bedside_trainer.step.moments import SmallAdamW
from bedside_trainer.step.precision import Compute

Admits = Callable[[int, float, float, list[int]], bool]
"""Whether an update may be made: step (from 1), loss, norm of the gradient, rows."""
BETAS = (0.9, 0.95)
"""Of AdamW, as in Llama 2 and most continual pre-training since."""


@dataclass(frozen=True, slots=True)
class OptimizerStep:
    """Takes steps, with all that stays the same from step to step."""

    model: PreTrainedModel
    optimizer: torch.optim.Optimizer
    rows: Rows
    order: Order
    config: TrainerConfig
    compute: Compute
    world: World
    nll: Callable[[Batch], Tensor]

    @classmethod
    def of(
        cls,
        model: PreTrainedModel,
        optimizer: torch.optim.Optimizer,
        rows: Rows,
        order: Order,
        config: TrainerConfig,
        compute: Compute,
        world: World,
    ) -> OptimizerStep:
        """Steps of a model, which may be sharded."""
        model.summed_nll = partial(summed_nll, model, chunk=config.step.loss_chunk_tokens)  # type: ignore[assignment]
        register_fsdp_forward_method(model, "summed_nll")  # no change where it is not sharded
        nll: Callable[[Batch], Tensor] = model.summed_nll  # type: ignore[assignment]
        return cls(model, optimizer, rows, order, config, compute, world, nll)

    def __call__(
        self, step: int, chosen: NDArray[np.int64], seen: int, admits: Admits
    ) -> Point | None:
        """Step (counted from 0) on the chosen rows, after `seen` tokens; None if it is left out.

        The loss is that of all tokens of the step, each counting alike, in whichever row,
        micro-batch and process it stands.
        """
        self.model.train()
        torch.manual_seed(step_seed(self.config.seed, step, self.world.rank))
        rate = self.config.learning_rate * self.config.schedule.rate(step, self.order.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        shares = self.order.shares(chosen, self.world.size)
        mine = [self.rows.read(row) for row in shares[self.world.rank].tolist()]
        (targets,) = self.world.summed(targets_in(mine))
        parts = [self._micro_batches(share) for share in shares]
        total = torch.zeros((), device=self.world.device)
        # Every process takes part in as many passes as the one with the most.
        passes = max(map(len, parts))
        with attention(self.model, NAME):
            for number in range(passes):
                part = parts[self.world.rank][number : number + 1]
                batch = joined_rows([mine[row] for row in part[0]] if part else [NOTHING])
                total += self._backward(batch, 1 / max(targets, 1), last=number == passes - 1)
        (nll,) = self.world.summed(total.item())
        point = Point(
            step=step + 1,
            # A step of single tokens predicts nothing.
            loss=nll / max(targets, 1),
            learning_rate=rate,
            grad_norm=self._clip(),
            tokens=seen + int(self.rows.lengths[chosen].sum(dtype=np.int64)),
        )
        admitted = admits(point.step, point.loss, point.grad_norm, chosen.tolist())
        if admitted:
            self.optimizer.step()
        self.optimizer.zero_grad()
        return point if admitted else None

    def _micro_batches(self, share: NDArray[np.int64]) -> list[range]:
        lengths = self.rows.lengths[share].tolist()
        return micro_batches(lengths, self.config.step.micro_batch_tokens)

    def _backward(self, batch: Batch, scale: float, *, last: bool) -> Tensor:
        device = self.world.device
        if isinstance(self.model, FSDPModule):
            # Copies of the model (HSDP) exchange gradients once per step.
            self.model.set_requires_all_reduce(last)
        with self.compute.autocast(device):
            nll = self.nll(batch.to(device))
        # The sharding takes the mean over processes.
        (nll * (scale * self.world.size)).backward()  # type: ignore[no-untyped-call]
        return nll.detach()

    def _clip(self) -> float:
        """Scale the gradient down to the setting's norm; the norm that it had."""
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm)
        return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)


def build_optimizer(model: torch.nn.Module, config: TrainerConfig) -> torch.optim.Optimizer:
    """AdamW that decays matrices only; vectors are norms and biases."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    moments = config.step.moments
    if moments != "float32":
        return SmallAdamW(groups, lr=config.learning_rate, betas=BETAS, moments=moments)
    # Fused: one pass over the moments, nearly five times as fast (bench/trainer/step.py).
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=BETAS, fused=True)


def step_seed(seed: int, step: int, rank: int) -> int:
    """The seed of what is random in a step: dropout, and the rounding of small moments."""
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1)[0])
