"""One rung: a short training of its own, by the very step of the real one.

Nothing is saved on the way: a rung that is killed is trained again.

Tested in tests/trainer/pilot/test_verb.py.
"""

from __future__ import annotations

import math

from transformers import PreTrainedModel

from bedside_core.errors import InputError
from bedside_core.progress import Progress
from bedside_trainer.config import TrainerConfig
from bedside_trainer.data.order import Order
from bedside_trainer.data.rows import Rows
from bedside_trainer.parallel.world import World
from bedside_trainer.step.precision import Compute
from bedside_trainer.step.take import OptimizerStep, build_optimizer


def climb(
    model: PreTrainedModel,
    rows: Rows,
    order: Order,
    config: TrainerConfig,
    *,
    compute: Compute,
    world: World,
    progress: Progress,
) -> None:
    """Train `model` in place through all steps of `order`.

    Args:
        model: has the weights of the base.
        rows: what it is trained on.
        order: which rows each step takes; its number of steps is the rung's.
        config: of the training, with the schedule that belongs to so many steps.
        compute: what the matrix products are computed in.
        world: the process that trains.
        progress: counts the steps.

    Raises:
        InputError: the loss or its gradient is no number.
    """
    optimizer = build_optimizer(model, config)
    take_step = OptimizerStep.of(model, optimizer, rows, order, config, compute, world)

    def admits(step: int, loss: float, grad_norm: float, _: list[int]) -> bool:
        if not (math.isfinite(loss) and math.isfinite(grad_norm)):
            raise InputError(
                f"the loss or its gradient is not finite at step {step} of {order.steps} of the "
                f"pilot - lower trainer.learning_rate (now {config.learning_rate:g})"
            )
        return True

    tokens = 0
    for step in range(order.steps):
        point = take_step(step, order.step_rows(step), tokens, admits)
        if point is not None:
            tokens = point.tokens
            progress.update(1, loss=point.loss)
