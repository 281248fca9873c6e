"""A training on some hardware: whether it fits, and what it costs there.

Tested in tests/trainer/plan/test_verb.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from transformers import PretrainedConfig

from bedside_core.errors import ConfigError
from bedside_models import footprint
from bedside_models.device import choose_device
from bedside_trainer.config import TrainerConfig
from bedside_trainer.hardware import HARDWARE, PER_NODE, Hardware
from bedside_trainer.parallel.world import alone
from bedside_trainer.plan import cost
from bedside_trainer.plan.cost import Amount, Range
from bedside_trainer.plan.need import Need
from bedside_trainer.plan.simulate import build
from bedside_trainer.plan.speed import seconds_per_step
from bedside_trainer.step.precision import compute_in
from bedside_trainer.watch.flops import Flops, count

RESERVE = 0.92
"""Share of a device's memory above which a plan says `tight`: CUDA's context, what kernels take and
what an allocator cannot use again are not counted. Ours; no GPU has measured it yet."""
HERE_ERROR = 0.25
"""Of a time that follows from fewer layers: the largest that bench/trainer/plan.py has found, on a
machine that others kept busy."""
MOST_DEVICES = 1024
HERE = "here"


@dataclass(frozen=True)
class Model:
    """What is trained."""

    config: PretrainedConfig
    flops: Flops
    parameters: int
    trained: int

    @classmethod
    def of(cls, need: Need) -> Model:
        """Count a model that is built without storage."""
        with torch.device("meta"):
            model = build(need.model, need.work)
        sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
        return cls(
            need.model,
            count(model, need.model),
            sum(size for size, _ in sizes),
            sum(size for size, trained in sizes if trained),
        )


@dataclass(frozen=True)
class Outlook:
    """The training on one kind of hardware."""

    name: str
    devices: int
    need: Need
    room: int | None
    """Bytes of a device; None if nobody knows."""
    duration: Range | None
    """Hours; None where it does not fit."""
    kwh: Range | None
    money: Range | None
    advice: str
    """What to change where it does not fit; else empty."""

    @property
    def verdict(self) -> Literal["fits", "tight", "does not fit"]:
        """Whether the lower bound fits, and whether with a reserve."""
        total = self.need.memory.total
        if self.room is None or total <= RESERVE * self.room:
            return "fits"
        return "tight" if total <= self.room else "does not fit"


def on_paper(
    model: Model, config: TrainerConfig, amount: Amount, hardware: Hardware, devices: int | None
) -> Outlook:
    """Plan for hardware by its table; without a number of devices for the fewest that it fits on.

    Raises:
        ConfigError: the devices cannot share the model.
    """
    numbers = [devices] if devices else list(_numbers(config))
    for number in numbers:
        need = need_on(model.config, config, amount.longest, number)
        if need.memory.total <= hardware.memory:
            break
    found = Outlook(hardware.name, number, need, hardware.memory, None, None, None, "")
    if found.verdict == "does not fit":
        return _with_advice(found, hardware.memory)
    busy = cost.busy(min(config.batch_size, 10**9), number)
    again = config.step.activation_checkpointing == "full"
    flops = model.flops.of(amount.tokens, amount.squares)
    duration = cost.hours(flops, hardware, number, busy=busy, again=again)
    return _priced(found, config, duration, config.prices.watts or hardware.watts)


def on_this_machine(model: Model, config: TrainerConfig, amount: Amount) -> Outlook:
    """Plan for one device of this machine: its speed is measured.

    Raises:
        ConfigError: a GPU was asked for, and there is none.
    """
    device = choose_device(config.device, name="trainer.device")
    world = alone(device)
    dtype = compute_in(config.step.compute, device, sharded=False).dtype
    need = Need(model.config, config, amount.longest, dtype, gpu=device.type == "cuda")
    found = Outlook(HERE, world.size, need, footprint.room(), None, None, None, "")
    if found.verdict == "does not fit":
        return _with_advice(found, found.room or 0)
    hours = seconds_per_step(need, device) * amount.steps / 3600
    duration = Range(hours * (1 - HERE_ERROR), hours * (1 + HERE_ERROR))
    return _priced(found, config, duration, config.prices.watts)


def need_on(model: PretrainedConfig, config: TrainerConfig, longest: int, devices: int) -> Need:
    """What each of so many GPUs takes.

    Raises:
        ConfigError: they cannot share the model.
    """
    if config.method == "lora" and devices > 1:
        raise ConfigError("trainer.method lora trains in one process - plan it for one device")
    local, shard = min(devices, PER_NODE), config.parallel.shard
    shards = local if shard == "auto" else shard
    if devices > 1 and devices % shards:
        raise ConfigError(
            f"trainer.parallel.shard: {devices} devices cannot hold copies of {shards} devices "
            "each - plan a number that it divides"
        )
    dtype = torch.float32 if config.step.compute == "float32" else torch.bfloat16
    return Need(
        model, config, longest, dtype, gpu=True, shards=shards if devices > 1 else None,
        processes=devices,
    )  # fmt: skip


def _numbers(config: TrainerConfig) -> Iterator[int]:
    """Of devices on which memory differs, from few to many."""
    if config.method == "lora":
        yield 1
        return
    number, shard = 1, config.parallel.shard
    while number <= (PER_NODE if shard == "auto" else max(1, shard)):
        if number == 1 or shard == "auto" or number % shard == 0:
            yield number
        number += 1 if isinstance(shard, int) else number


def _with_advice(found: Outlook, room: int) -> Outlook:
    advice = found.need.advice(room)
    for shards in _doubled(found.devices) if found.need.gpu and found.name != HERE else ():
        wider = found.need.changed({"parallel.shard": shards})
        wide = Need(
            wider.model, wider.config, wider.longest, wider.dtype, gpu=True, shards=shards,
            processes=shards,
        )  # fmt: skip
        if wide.config.method == "full" and wide.memory.total <= room:
            advice += f"; or share the model among {shards} devices"
            advice += f" (trainer.parallel.shard {shards})" if shards > PER_NODE else ""
            break
    return Outlook(found.name, found.devices, found.need, found.room, None, None, None, advice)


def _doubled(devices: int) -> Iterable[int]:
    number = devices
    while (number := number * 2) <= MOST_DEVICES:
        yield number


def _priced(found: Outlook, config: TrainerConfig, duration: Range, watts: float | None) -> Outlook:
    kwh = None if watts is None else cost.energy(duration, watts, found.devices, config.prices)
    rent = found.name in config.prices.per_device_hour
    price = None
    if kwh is not None or rent:
        used = kwh or Range(0, 0)
        price = cost.money(duration, used, found.name, found.devices, config.prices)
    return Outlook(found.name, found.devices, found.need, found.room, duration, kwh, price, "")


def outlooks(
    model: Model, config: TrainerConfig, amount: Amount, name: str | None, devices: int | None
) -> list[Outlook]:
    """Of the hardware that was asked for, or of all kinds."""
    if name == HERE:
        if devices not in (None, 1):
            raise ConfigError("--hardware here is measured on one device - leave --devices away")
        return [on_this_machine(model, config, amount)]
    kinds = HARDWARE.values() if name is None else [HARDWARE[name]]
    return [on_paper(model, config, amount, kind, devices) for kind in kinds]


def as_json(found: Outlook) -> dict[str, Any]:
    """Plain numbers: bytes, hours, kWh, and money in the currency of the settings."""
    return {
        "hardware": found.name,
        "devices": found.devices,
        "memory": found.need.memory._asdict() | {"total": found.need.memory.total},
        "room": found.room,
        "verdict": found.verdict,
        "advice": found.advice,
        "hours": found.duration,
        "kwh": found.kwh,
        "money": found.money,
    }
