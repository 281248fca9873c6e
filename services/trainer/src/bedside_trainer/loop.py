"""The training loop. It resumes exactly: everything that is not in the state follows from the step.

The rows of a step follow from seed and step (`data.order`), the learning rate from the step
(`schedule`), and dropout from a generator that is seeded anew for each step (`step.take`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from transformers import PreTrainedModel

from bedside_core.console import say
from bedside_models.scores import Scores
from bedside_trainer.config import TrainerConfig
from bedside_trainer.course import Course
from bedside_trainer.data.prepare import Data
from bedside_trainer.development import Development
from bedside_trainer.lora import Adapters
from bedside_trainer.parallel.mesh import give_back
from bedside_trainer.parallel.world import World
from bedside_trainer.state.record import Point, StateRecord
from bedside_trainer.state.states import States
from bedside_trainer.step.checkpointing import checkpoint_activations
from bedside_trainer.step.kernels import use_kernels
from bedside_trainer.step.precision import Compute
from bedside_trainer.step.proof import prove_isolation
from bedside_trainer.step.take import OptimizerStep, build_optimizer
from bedside_trainer.stopping import StopRequest
from bedside_trainer.watch.watcher import Watcher


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
    """Of the matrix products; weights are float32."""
    domains: dict[str, tuple[Scores, Scores]]
    """Every set before and after, `trainer.heldout` among them."""

    @property
    def steps(self) -> list[int]:
        """Those whose updates are in the weights: a milestone that was chosen has none after it."""
        chosen = self.course.chosen
        steps = [point.step for point in self.curve]
        return [step for step in steps if chosen is None or step <= chosen.step]


def train(
    model: PreTrainedModel,
    data: Data,
    development: Development,
    documents: Callable[[Sequence[int]], list[str]],
    config: TrainerConfig,
    work: Path,
    *,
    compute: Compute,
    world: World,
    watcher: Watcher,
    publish: Callable[[int], None],
) -> Outcome:
    """Train `model` on the rows in their order, from the newest state in `work` or from the start.

    Args:
        model: is changed; every process of several has its part.
        data: what it is trained on, and which rows each step takes.
        development: what it is scored on.
        documents: ids of the documents in rows.
        config: of the training.
        work: where states lie.
        compute: what the matrix products are computed in.
        world: the processes that train.
        watcher: is told of every step.
        publish: writes what the model holds as the milestone of a step.

    Raises:
        InputError: documents in a row see each other in this model; too many losses or gradients
            are not finite, or far above those before.
        KeyboardInterrupt: a signal asked to stop; the state is saved.
    """
    adapters = fitted_out(model, config, compute)
    optimizer = build_optimizer(model, config)
    rows, order, steps = data.rows, data.order, data.order.steps
    score = partial(measured, model, development, compute)
    stop = StopRequest()
    with States(work, config.states, world, stopped=lambda: stop.requested) as states:
        record = resume(states, model, optimizer)
        if record is None:
            record = StateRecord(step=0, seconds=0.0, curve=(), before=score("held-out before"))
            watcher.before(model, record.before)
            give_back(model)
        course = Course(config, steps, development, documents)
        course.restore(record.extras)
        take_step = OptimizerStep.of(model, optimizer, rows, order, config, compute, world)
        total = sum(int(rows.lengths[order.step_rows(step)].sum()) for step in range(steps))
        curve, seconds = list(record.curve), record.seconds
        seen = curve[-1].tokens if curve else 0
        watching = watcher.training(model, total=total, done=record.step, seen=seen)
        with watching as watch, stop:
            for step in range(record.step, steps):
                started, chosen = time.monotonic(), order.step_rows(step)
                point = take_step(step, chosen, seen, course.admits)
                seconds += time.monotonic() - started
                if point is None:
                    if course.goes_back:
                        record = go_back(states, model, optimizer, course, step + 1)
                        curve = list(record.curve)
                        seen = curve[-1].tokens if curve else 0
                        watch.go_back(curve[-1].step if curve else 0, seen)
                    continue
                watch.observe(point, seconds=seconds, squares=int(rows.cost[chosen].sum()))
                seen = point.tokens
                curve.append(point)
                states.poll()
                stopping = world.any(stop.requested)
                milestone = course.is_milestone(point.step)
                if milestone:
                    course.score(model, point.step)
                    give_back(model)
                if stopping or milestone or states.due(point.step, steps):
                    now = record.model_copy(
                        update={
                            "step": point.step, "seconds": seconds, "curve": tuple(curve),
                            "extras": course.extras,
                        }
                    )  # fmt: skip
                    states.save(model, optimizer, now, milestone=milestone)
                if stopping:
                    states.wait()
                    raise KeyboardInterrupt
                if milestone and course.has_stalled(record.before):
                    break
        if not curve:
            raise course.lost(steps)
        states.wait()
        course.settle(model, partial(load_milestone, states, model), publish)
        after = score("held-out after")
        domains = watcher.after(model, after)
        give_back(model)
    if adapters is not None:
        adapters.merge()
    return Outcome(tuple(curve), seconds, record.before, after, course, compute.name, domains)


def fitted_out(model: PreTrainedModel, config: TrainerConfig, compute: Compute) -> Adapters | None:
    """Prove that documents are isolated, and put into the model what the settings ask for.

    Raises:
        InputError: documents in a row see each other in this model.
    """
    adapters = Adapters(model, config.lora, config.seed) if config.method == "lora" else None
    prove_isolation(model, compute)
    checkpoint_activations(model, config.step.activation_checkpointing)
    use_kernels(model, config.step)
    return adapters


def measured(
    model: PreTrainedModel, development: Development, compute: Compute, name: str
) -> Scores:
    """The development texts, by all processes together; leaves the model in evaluation mode.

    In float32, but for weights that are cast as they are gathered.
    """
    scores = development.measure(model, name)
    give_back(model)
    if not compute.sharded:
        return scores
    estimand = scores.estimand.model_copy(update={"dtype": compute.name})
    return scores.model_copy(update={"estimand": estimand})


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
