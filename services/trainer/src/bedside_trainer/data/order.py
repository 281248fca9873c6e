"""Which rows an optimizer step takes: a function of seed and step, whatever was interrupted.

Every stream of rows has a number of rows that an epoch takes from it. It is read in permutations,
one after another, so no row is taken twice before all were taken once, and what an epoch leaves is
first in the next. Within an epoch the streams are mixed evenly: each run of steps has their shares.
The last step alone may be short. None of it depends on the number of processes: `shares` parts the
rows of a step among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Stream(NamedTuple):
    """Rows that are taken at one rate."""

    rows: range
    """Their numbers."""
    per_epoch: int
    """How many of them an epoch takes, on average over the epochs each equally often."""


class Order:
    """The rows of every step of a training."""

    def __init__(
        self,
        streams: Sequence[Stream],
        cost: NDArray[np.int64],
        *,
        batch_size: int,
        num_epochs: int,
        max_steps: int | None,
        seed: int,
    ) -> None:
        """Fix the order.

        Args:
            streams: at least one row in all.
            cost: of every row; `shares` balances it.
            batch_size: rows of a step; no more than an epoch has.
            num_epochs: how often the streams give their rows of an epoch.
            max_steps: an upper bound of the steps.
            seed: of all permutations.
        """
        self.streams, self.cost, self.seed = tuple(streams), cost, seed
        self.per_epoch = sum(stream.per_epoch for stream in self.streams)
        self.batch_size = min(batch_size, self.per_epoch)
        self.taken = num_epochs * self.per_epoch
        """Rows of the whole training, those counted each time that are taken more than once."""
        steps = -(-self.taken // self.batch_size)
        self.steps = steps if max_steps is None else min(steps, max_steps)
        self._epoch = lru_cache(maxsize=2)(self._mixed)

    def step_rows(self, step: int) -> NDArray[np.int64]:
        """The rows of a step, which is counted from 0."""
        first = step * self.batch_size
        end = min(first + self.batch_size, self.taken)
        epochs = range(first // self.per_epoch, (end - 1) // self.per_epoch + 1)
        rows = np.concatenate([self._epoch(epoch) for epoch in epochs])
        return rows[first - epochs[0] * self.per_epoch : end - epochs[0] * self.per_epoch]

    def shares(self, rows: NDArray[np.int64], world: int) -> list[NDArray[np.int64]]:
        """Part a step's rows among so many processes.

        Their numbers differ by one at most, so that all processes take part in the same number of
        forward passes, and their costs by little: of each `world` rows, from dear to cheap, every
        process gets one, the dearest the one with the least so far (Graham's rule, with the
        numbers kept equal).
        """
        dear_first = rows[np.argsort(-self.cost[rows], kind="stable")]
        load = np.zeros(world, np.int64)
        parts: list[list[int]] = [[] for _ in range(world)]
        for start in range(0, len(rows), world):
            group = dear_first[start : start + world]
            for rank, row in zip(
                np.argsort(load, kind="stable").tolist(), group.tolist(), strict=False
            ):
                parts[rank].append(row)
                load[rank] += self.cost[row]
        return [np.array(part, np.int64) for part in parts]

    def _mixed(self, epoch: int) -> NDArray[np.int64]:
        """The rows of an epoch in order."""
        taken = [self._drawn(number, epoch) for number in range(len(self.streams))]
        if len(taken) == 1:
            return taken[0]
        # Row i of n stands somewhere in the i-th of n equal parts of the epoch.
        generator = np.random.default_rng((self.seed, epoch, len(self.streams)))
        places = [(np.arange(len(t)) + generator.random(len(t))) / max(1, len(t)) for t in taken]
        return np.concatenate(taken)[np.argsort(np.concatenate(places), kind="stable")]

    def _drawn(self, number: int, epoch: int) -> NDArray[np.int64]:
        """The rows that an epoch takes from a stream."""
        rows, count = self.streams[number].rows, self.streams[number].per_epoch
        if not count:
            return np.zeros(0, np.int64)
        first, end = epoch * count, (epoch + 1) * count
        rounds = range(first // len(rows), (end - 1) // len(rows) + 1)
        drawn = np.concatenate(
            [np.random.default_rng((self.seed, r, number)).permutation(len(rows)) for r in rounds]
        )
        since = rounds[0] * len(rows)
        return rows.start + drawn[first - since : end - since]
