"""The training loop. It resumes exactly: everything that is not in the state follows from the step.

The rows of a step follow from seed and step (`data.order`), the learning rate from the step
(`schedule.py`), and dropout from a generator that is seeded anew for each step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from transformers import PreTrainedModel

from bedside_core.console import say
from bedside_core.progress import Progress
from bedside_models.likelihood import IGNORED, negative_log_likelihood
from bedside_models.scores import Scores
from bedside_trainer.config import TrainerConfig
from bedside_trainer.course import Course
from bedside_trainer.data.order import Order
from bedside_trainer.data.rows import Rows
from bedside_trainer.development import Development
from bedside_trainer.lora import Adapters
from bedside_trainer.state.record import Point, StateRecord
from bedside_trainer.state.states import States, World
from bedside_trainer.stopping import StopRequest

BETAS = (0.9, 0.95)
"""Of AdamW, as in Llama 2 and most continual pre-training since."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished training; the model was changed in place."""

    curve: tuple[Point, ...]
    seconds: float
    """Time spent in optimizer steps."""
    before: Scores
    after: Scores
    course: Course
    """What was left out on the way, and what milestones scored."""
    compute_dtype: str
    """Of the matrix products; weights and moments are float32."""

    @property
    def steps(self) -> list[int]:
        """Those whose updates are in the weights: a milestone that was chosen has none after it."""
        chosen = self.course.chosen
        steps = [point.step for point in self.curve]
        return [step for step in steps if chosen is None or step <= chosen.step]


def train(
    model: PreTrainedModel,
    rows: Rows,
    order: Order,
    development: Development,
    documents: Callable[[Sequence[int]], list[str]],
    config: TrainerConfig,
    work: Path,
) -> Outcome:
    """Train `model` on the rows in their order, from the newest state in `work` or from the start.

    Args:
        model: is changed.
        rows: what it is trained on.
        order: which of them each step takes.
        development: what it is scored on.
        documents: ids of the documents in rows.
        config: of the training.
        work: where states lie.

    Raises:
        InputError: too many losses or gradients are not finite, or far above those before.
        KeyboardInterrupt: a signal asked to stop; the state is saved.
    """
    # Mixed precision is the step's alone: held-out texts are measured in float32 everywhere.
    accelerator = Accelerator(mixed_precision="no")
    adapters = Adapters(model, config.lora, config.seed) if config.method == "lora" else None
    optimizer = build_optimizer(model, config)
    prepared, prepared_optimizer = accelerator.prepare(model, optimizer)
    score = partial(development.measure, model)
    world = World(rank=0, size=1, device=accelerator.device)
    stop = StopRequest()
    with States(work, config.states, world, stopped=lambda: stop.requested) as states:
        record = resume(states, model, optimizer)
        if record is None:
            record = StateRecord(
                step=0, seconds=0.0, curve=(), before=score(name="held-out before")
            )
        steps = order.steps
        course = Course(config, steps, development, documents)
        course.restore(record.extras)
        take_step = _Step(accelerator, prepared, prepared_optimizer, steps, rows, config)
        total = sum(int(rows.lengths[order.step_rows(step)].sum()) for step in range(steps))
        curve, seconds = list(record.curve), record.seconds
        seen = curve[-1].tokens if curve else 0
        prepared.train()
        with Progress("train", total=total, unit="tok", done=seen) as progress, stop:
            for step in range(record.step, steps):
                started = time.monotonic()
                point = take_step(step, order.step_rows(step), seen, course)
                seconds += time.monotonic() - started
                if point is None:
                    if course.goes_back:
                        record = go_back(states, model, optimizer, course, step + 1)
                        curve = list(record.curve)
                        seen = curve[-1].tokens if curve else 0
                    continue
                progress.update(point.tokens - seen, loss=round(point.loss, 4))
                seen = point.tokens
                curve.append(point)
                states.poll()
                milestone = course.is_milestone(point.step)
                if milestone:
                    course.score(model, point.step)
                    prepared.train()
                if stop.requested or milestone or states.due(point.step, steps):
                    now = record.model_copy(
                        update={
                            "step": point.step, "seconds": seconds, "curve": tuple(curve),
                            "extras": course.extras,
                        }
                    )  # fmt: skip
                    states.save(model, optimizer, now, milestone=milestone)
                if stop.requested:
                    states.wait()
                    raise KeyboardInterrupt
                if milestone and course.has_stalled(record.before):
                    break
        if not curve:
            raise course.lost(steps)
        states.wait()
        course.settle(model, partial(load_milestone, states, model))
        after = score(name="held-out after")
    if adapters is not None:
        adapters.merge()
    compute_dtype = "bfloat16" if take_step.mixed else "float32"
    return Outcome(tuple(curve), seconds, record.before, after, course, compute_dtype)


def resume(
    states: States, model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> StateRecord | None:
    """Load the newest whole state, if there is one."""
    saved = states.newest()
    if saved is None:
        return None
    states.load(saved, model, optimizer)
    say(f"resumed after step {saved.record.step}")
    return saved.record


def go_back(
    states: States,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    course: Course,
    step: int,
) -> StateRecord:
    """Load the newest state from before the spikes that end with `step`, and keep that decision.

    Raises:
        InputError: there is none.
    """
    states.wait()
    saved = states.newest()
    if saved is None:
        raise course.lost(step)
    states.load(saved, model, optimizer)
    course.go_back(saved.record.step, saved.record.extras)
    record = saved.record.model_copy(update={"step": step, "extras": course.extras})
    states.save(model, optimizer, record)
    return record


def load_milestone(states: States, model: torch.nn.Module, step: int) -> None:
    """Put the weights of a milestone into the model."""
    (saved,) = (saved for saved in states.milestones() if saved.record.step == step)
    states.load(saved, model)


@dataclass(frozen=True, slots=True)
class _Step:
    """One optimizer step, with all that stays the same from step to step."""

    accelerator: Accelerator
    model: Any
    optimizer: Any
    steps: int
    """Of the whole training."""
    rows: Rows
    config: TrainerConfig

    def __call__(
        self, step: int, chosen: NDArray[np.int64], seen: int, course: Course
    ) -> Point | None:
        """Step (counted from 0) on the chosen rows, after `seen` tokens; None if it is left out."""
        torch.manual_seed(step_seed(self.config.seed, step))
        rate = self.config.learning_rate * self.config.schedule.rate(step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        read = [self.rows.read(row) for row in chosen.tolist()]
        count = max(1, sum(int((row.labels[1:] != IGNORED).sum()) for row in read))
        loss = torch.zeros((), device=self.accelerator.device)
        for row in read:
            with torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=self.mixed):
                total, _ = negative_log_likelihood(
                    self.model,
                    self._tensor(row.input_ids),
                    self._tensor(row.labels),
                    # Without a mask, transformers keeps apart what restarts its positions.
                    position_ids=self._tensor(row.position_ids),
                )
            # The steps' tokens count alike, in whichever row they stand.
            self.accelerator.backward(total / count)
            loss += total.detach() / count
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm)
        point = Point(
            step=step + 1,
            loss=loss.item(),
            learning_rate=rate,
            grad_norm=float(norm),
            tokens=seen + int(self.rows.lengths[chosen].sum()),
        )
        admitted = course.admits(point.step, point.loss, point.grad_norm, chosen.tolist())
        if admitted:
            self.optimizer.step()
        self.optimizer.zero_grad()
        return point if admitted else None

    @property
    def mixed(self) -> bool:
        """Whether the matrix products run in bfloat16: on a GPU."""
        return bool(self.accelerator.device.type == "cuda")

    def _tensor(self, row: NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(row)[None].to(self.accelerator.device)


def build_optimizer(model: torch.nn.Module, config: TrainerConfig) -> torch.optim.AdamW:
    """AdamW that decays matrices only; vectors are norms and biases."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    # Fused: one pass over the moments, nearly five times as fast (bench/trainer_step.py).
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=BETAS, fused=True)


def step_seed(seed: int, step: int) -> int:
    """The seed of a step's dropout."""
    return int(np.random.SeedSequence((seed, step)).generate_state(1)[0])
