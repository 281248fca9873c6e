"""Time, energy, money and disk of a whole training: arithmetic on what was counted."""

from __future__ import annotations

import math
from typing import NamedTuple

from bedside_trainer.config import TrainerConfig
from bedside_trainer.hardware import PER_DOUBLING, PER_NODE, Hardware
from bedside_trainer.plan.settings import Prices
from bedside_trainer.plan.simulate import FLOAT32, STORED

AGAIN = 4 / 3
"""Operations of a step over those that are counted, where all activations are made again: the
forward pass is a third of them (Chen et al. 2016)."""


class Amount(NamedTuple):
    """What a training goes through."""

    tokens: int
    squares: int
    """Sum of the squared lengths of what sees itself."""
    steps: int
    longest: int
    """Tokens of the longest row."""
    stored: int
    """Tokens of the corpus, each once; 0 if it is not known."""
    origin: str
    """Where these numbers come from, for people."""


class Range(NamedTuple):
    """From the best to the worst."""

    low: float
    high: float

    def times(self, factor: float) -> Range:
        """Both ends, multiplied."""
        return Range(self.low * factor, self.high * factor)


def hours(
    flops: float, hardware: Hardware, devices: int, *, busy: float = 1.0, again: bool = False
) -> Range:
    """How long devices compute.

    Args:
        flops: of the whole training, as `watch.flops` counts them.
        hardware: what computes.
        devices: how many.
        busy: share of the devices that have rows (`busy`).
        again: whether all activations are made again.
    """
    doublings = max(0.0, math.log2(devices / PER_NODE))
    speed = hardware.flops * devices * busy * PER_DOUBLING**doublings * 3600
    work = flops * (AGAIN if again else 1)
    slow, fast = hardware.utilisation
    return Range(work / speed / fast, work / speed / slow)


def busy(rows: int, devices: int) -> float:
    """Share of the devices' time in which they have a row, when a step has so many rows."""
    return rows / (devices * math.ceil(rows / devices))


def energy(duration: Range, watts: float, devices: int, prices: Prices) -> Range:
    """Kilowatt-hours, the building's share included."""
    return duration.times(watts * devices / 1000 * prices.power_usage_effectiveness)


def money(duration: Range, kwh: Range, name: str, devices: int, prices: Prices) -> Range:
    """Electricity, or the rent of devices that have one: it includes electricity."""
    rent = prices.per_device_hour.get(name)
    return kwh.times(prices.per_kwh) if rent is None else duration.times(rent * devices)


def disk(config: TrainerConfig, parameters: int, trained: int, amount: Amount) -> dict[str, int]:
    """Bytes that a training writes, at their most, by what they are.

    Args:
        config: of the training.
        parameters: of the model.
        trained: those that have moments; a state holds no others.
        amount: what it goes through.
    """
    state = (FLOAT32 + STORED[config.step.moments]) * trained
    kept = 0 if config.milestones is None else math.ceil(amount.steps / config.milestones.every)
    return {
        # One state more while the newest is written.
        "states": (config.states.keep + 1) * state,
        "milestones": kept * FLOAT32 * trained,
        "tokens": amount.stored * 4,
        "checkpoint": FLOAT32 * parameters,
    }
