"""What a training asks of a process's memory, and which settings would make it fit.

`trainer plan` and `trainer run` ask the same function, so that the run refuses what the plan says
cannot fit.

Tested in tests/trainer/plan/test_need.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import PretrainedConfig

from bedside_core import memory
from bedside_core.memory import gib
from bedside_models import footprint
from bedside_models.load import read_config
from bedside_trainer.config import TrainerConfig
from bedside_trainer.parallel.mesh import sharers
from bedside_trainer.parallel.world import World
from bedside_trainer.plan.simulate import Memory, Work, memory_of
from bedside_trainer.step.precision import compute_in

SHORTEST = 256
"""Tokens of a row that are still advised."""
LESS = 0.9
"""Of the need that ran out all the same: what is advised next takes no more."""
Change = tuple[str, Any]
"""A setting below `trainer`, by its dotted name, and its new value."""


@dataclass(frozen=True)
class Need:
    """What one process of a training takes; at least, as allocators and kernels take more."""

    model: PretrainedConfig
    config: TrainerConfig
    longest: int
    """Tokens of the longest row."""
    dtype: torch.dtype
    """Of matrix products."""
    gpu: bool
    shards: int | None = None
    """Processes that hold one copy of the model between them; None if nothing is sharded."""
    processes: int = 1
    """That share the rows of a step."""

    @property
    def rows(self) -> int:
        """That go through the model at once."""
        fitting = max(1, (self.config.step.micro_batch_tokens or 0) // self.longest)
        return min(fitting, self.of_each)

    @property
    def of_each(self) -> int:
        """Rows of a step that one process has, at most."""
        return -(-self.config.batch_size // self.processes)

    @property
    def work(self) -> Work:
        """A micro-batch."""
        return Work(
            tokens=self.rows * self.longest,
            accumulated=self.of_each > self.rows,
            dtype=self.dtype,
            gpu=self.gpu,
            settings=self.config.step,
            lora=self.config.lora if self.config.method == "lora" else None,
            shards=self.shards,
        )

    @cached_property
    def memory(self) -> Memory:
        """Bytes at the fullest moment."""
        return memory_of(self.model, self.work)

    @property
    def what(self) -> str:
        """The work, as a sentence begins."""
        return f"training with {self.rows} sequence(s) of {self.longest} tokens at once"

    @contextmanager
    def granted(self, available: int | None) -> Iterator[None]:
        """Train in this block only if it can fit; name what fits if memory runs out.

        Args:
            available: bytes for this process; None if nobody knows.

        Raises:
            InputError: there is too little memory.
        """
        need = self.memory.total
        if available is not None and need > available:
            memory.require(need, available, what=self.what, advice=self.advice(available))
        with memory.refusing(self.what, lambda: self.advice(int(need * LESS)), need=need):
            yield

    def advice(self, available: int) -> str:
        """Which settings fit, as an instruction."""
        changes = self.remedy(available)
        if changes is not None:
            return "set " + " and ".join(f"trainer.{name} to {value}" for name, value in changes)
        alone = self.memory.total - self.memory.working
        more = "a machine with more memory"
        if self.gpu:
            whole = alone * (self.shards or 1)
            more = f"{footprint.devices_needed(whole, max(1, available))} such GPUs or more"
        return (
            "no setting makes it fit, weights, gradients and moments alone take "
            f"{gib(alone)}: use {more}, or a smaller model"
        )

    def remedy(self, available: int) -> list[Change] | None:
        """The first settings that fit, from those that change least of what is learned.

        Returns:
            None if none does.
        """
        done: dict[str, Any] = {}
        for changes in self._changes():
            # The same setting once more takes the place of its first value.
            done |= dict(changes)
            if self.changed(done).memory.total <= available:
                return [(name, value) for name, value in done.items() if value != self._now(name)]
        return None

    def changed(self, changes: Mapping[str, Any]) -> Need:
        """The same with other settings below `trainer`, by their dotted names."""
        document = self.config.model_dump(mode="json")
        for name, value in changes.items():
            section, _, field = name.rpartition(".")
            (document[section] if section else document)[field] = value
        config = TrainerConfig.model_validate(document)
        return replace(self, config=config, longest=min(self.longest, config.sequence_length))

    def _now(self, name: str) -> object:
        found: Any = self.config
        for part in name.split("."):
            found = getattr(found, part)
        return found

    def _changes(self) -> Iterator[list[Change]]:
        step = self.config.step
        rows = self.rows
        while rows > 1:
            rows //= 2
            yield [("step.micro_batch_tokens", rows * self.longest if rows > 1 else None)]
        kinds = ("none", "selective", "full")
        for kind in kinds[kinds.index(step.activation_checkpointing) + 1 :]:
            yield [("step.activation_checkpointing", kind)]
        sizes = ("float32", "bfloat16", "int8")
        for size in sizes[sizes.index(step.moments) + 1 :]:
            yield [("step.moments", size)]
        lengths: list[int] = []
        while (length := self.longest >> len(lengths) + 1) >= SHORTEST:
            lengths.append(length)
            yield [("sequence_length", length)]
        if self.config.method == "full" and self.shards is None:
            for length in (self.config.sequence_length, *lengths):
                yield [("method", "lora"), ("sequence_length", length)]


def need_here(base: Path, config: TrainerConfig, *, longest: int, world: World) -> Need:
    """What each of the processes that are about to train takes."""
    sharded = world.size > 1
    return Need(
        read_config(base),
        config,
        longest=longest,
        dtype=compute_in(config.step.compute, world.device, sharded=sharded).dtype,
        gpu=world.device.type == "cuda",
        shards=sharers(world, config.parallel.shard) if sharded else None,
        processes=world.size,
    )


def room_here(world: World) -> int | None:
    """Bytes that this process can have: of its GPU, or its part of the machine's memory."""
    room = footprint.room()
    return room if room is None or world.device.type == "cuda" else room // world.local_size
