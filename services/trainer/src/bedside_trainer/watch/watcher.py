"""One training, watched: the loop says what each step was, the rest happens here.

In the first process of several; the others are silent, but measure held-out texts with it.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import torch
from transformers import PreTrainedModel

from bedside_core.progress import Progress
from bedside_models.likelihood import EncodedSet
from bedside_models.scores import Scores
from bedside_trainer.config import TrainerConfig
from bedside_trainer.state.record import Point
from bedside_trainer.watch import domains, events, flops, metrics
from bedside_trainer.watch.energy import Meter
from bedside_trainer.watch.metrics import METRICS, Line, ScoreLine, StepLine
from bedside_trainer.watch.prometheus import Textfile


class Watcher:
    """Follows a training in the work folder of its recipe.

    >>> watcher.before(model, scores)  # of the base
    >>> with watcher.training(model, total=tokens, done=0) as watch:
    ...     watch.observe(point, seconds=1.5, squares=1024 * 1024)
    >>> watcher.after(model, scores)
    """

    def __init__(
        self,
        config: TrainerConfig,
        *,
        run: str,
        work: Path,
        others: Mapping[str, EncodedSet],
        first: bool = True,
        devices: int = 1,
    ) -> None:
        """Nothing is written yet.

        Args:
            config: its `watch` says where to.
            run: its name.
            work: where it keeps what is unfinished.
            others: the sets besides `trainer.heldout`.
            first: whether this is the process that writes.
            devices: how many train.
        """
        self._config, self.work, self._first, self._devices = config, work, first, devices
        self.heldout, self._others = config.heldout, others
        folder = config.watch.prometheus
        self._textfile = Textfile(folder, run) if folder else None
        self._events: Path | None = None
        self._scored: set[int] = set()
        self._newest: StepLine | None = None

    def before(self, model: PreTrainedModel, scores: Scores) -> None:
        """Measure the base on the other sets; `scores` are those of `trainer.heldout`."""
        found = domains.measured(
            model, self._others, length=self._config.heldout_max_length, when="before"
        )
        if self._first:
            domains.keep(self.work, {self.heldout: scores, **found})

    @contextmanager
    def training(
        self, model: torch.nn.Module, *, total: int, done: int, seen: int = 0
    ) -> Iterator[Self]:
        """Show progress and write lines while the block runs.

        Args:
            model: what is trained; its `config` and parameters say what a step computes.
            total: tokens of the whole training.
            done: finished steps; lines of later ones are dropped.
            seen: tokens of the finished steps.
        """
        self._flops = flops.count(model, model.config)  # type: ignore[arg-type]
        peak = flops.peak_here()
        self._peak = None if peak is None else peak * self._devices
        self._meter = Meter()
        self._total, self._seen, self._seen_before = total, seen, seen
        if not self._first:
            yield self
            return
        known = metrics.resume(self.work / METRICS, done=done)
        steps = metrics.steps_of(known)
        self._newest = steps[-1] if steps else None
        self._seconds = self._newest.seconds if self._newest else 0.0
        self._joules = (self._newest and self._newest.energy_joules) or 0.0
        self._joules_begin = self._meter.joules()
        self._scored = {line.step for line in known if isinstance(line, ScoreLine)}
        if self._config.watch.tensorboard:
            self._events = events.begin(self.work / events.FOLDER, known)
        self._score(0, domains.kept(self.work))
        self._began = time.monotonic()
        with Progress("train", total=total, unit="tok", done=seen) as self._bar:
            yield self
        if self._textfile and self._newest:
            self._textfile.show(self._newest, last=True)

    def observe(self, point: Point, *, seconds: float, squares: int) -> None:
        """Take note of a step.

        Args:
            point: what it was.
            seconds: spent in steps up to and with it.
            squares: sum of the squared lengths of what attended to each other in it.
        """
        if not self._first:
            return
        line = self._line(point, seconds, squares)
        self._write(line)
        if self._textfile:
            self._textfile.show(line)
        shown = {
            "loss": round(line.loss, 4),
            "grad_norm": round(line.grad_norm, 3),
            "learning_rate": line.learning_rate,
            "memory_gib": round(line.memory_bytes / 2**30, 1),
        }
        if line.mfu is not None:
            shown["mfu_percent"] = round(100 * line.mfu, 1)
        if line.energy_joules is not None:
            shown["energy_kwh"] = round(line.energy_joules / 3.6e6, 3)
        self._bar.update(line.tokens - self._seen, **shown)
        self._seen, self._seconds, self._newest = line.tokens, seconds, line

    def go_back(self, step: int, seen: int) -> None:
        """Take out the steps after `step`: the weights are what they were before them."""
        self._seen = seen
        if self._first:
            known = metrics.resume(self.work / METRICS, done=step)
            if self._events:
                events.begin(self._events.parent, known)

    def after(self, model: PreTrainedModel, scores: Scores) -> dict[str, tuple[Scores, Scores]]:
        """Measure the trained model on the other sets, too; every set before and after."""
        found = domains.measured(
            model, self._others, length=self._config.heldout_max_length, when="after"
        )
        found = {self.heldout: scores, **found}
        if self._first and self._newest:
            self._score(self._newest.step, found)
        before = domains.kept(self.work)
        return {name: (before[name], found[name]) for name in found if name in before}

    def _line(self, point: Point, seconds: float, squares: int) -> StepLine:
        tokens, taken = point.tokens - self._seen, max(seconds - self._seconds, 1e-9)
        now = time.monotonic()
        trained = point.tokens - self._seen_before
        joules = self._meter.joules()
        energy = None
        if joules is not None and self._joules_begin is not None:
            energy = self._joules + joules - self._joules_begin
        return StepLine(
            step=point.step,
            time=time.time(),
            loss=point.loss,
            grad_norm=point.grad_norm,
            learning_rate=point.learning_rate,
            tokens=point.tokens,
            seconds=round(seconds, 3),
            tokens_per_second=round(tokens / taken, 2),
            mfu=self._share(self._flops.of(tokens, 0), taken),
            mfu_with_attention=self._share(self._flops.of(tokens, squares), taken),
            memory_bytes=peak_bytes(),
            energy_joules=energy,
            eta_seconds=round(
                max(0, self._total - point.tokens) * (now - self._began) / max(trained, 1), 1
            ),
        )

    def _share(self, operations: float, seconds: float) -> float | None:
        return None if self._peak is None else round(operations / seconds / self._peak, 4)

    def _score(self, step: int, scores: Mapping[str, Scores]) -> None:
        """Write held-out likelihoods, once for each step: a run that goes on may measure again."""
        if step in self._scored:
            return
        self._scored.add(step)
        heldout = {name: one.nll_per_token for name, one in scores.items()}
        self._write(ScoreLine(step=step, time=time.time(), heldout=heldout))

    def _write(self, line: Line) -> None:
        metrics.append(self.work / METRICS, line)
        if self._events:
            events.append(self._events, line)


def peak_bytes() -> int:
    """The most that this process has held so far: on its GPU, else in memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
