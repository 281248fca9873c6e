"""`bedside trainer plan`: what a training takes, before it is begun."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bedside_core.config import load_document, load_section
from bedside_core.console import say, table
from bedside_core.errors import InputError
from bedside_core.memory import gib
from bedside_core.registry.registry import Registry
from bedside_models.settle import settle
from bedside_trainer.config import BaseConfig, TrainerConfig
from bedside_trainer.hardware import HARDWARE
from bedside_trainer.importing.architecture import shrunk
from bedside_trainer.plan.settings import PlanOptions

BILLION = 10**9
UNCOUNTED = (
    "not counted: reading and packing the corpus, scoring of held-out texts and milestones, "
    "interruptions, what replay's writing takes"
)


def plan(path: Path, overrides: list[str], registry: Registry, options: PlanOptions) -> None:
    """Say time, memory, disk, energy and money of a training, and whether it fits.

    Raises:
        ConfigError: a setting is wrong, or the devices cannot share the model.
        InputError: nothing is known of the model yet.
    """
    settle()
    from bedside_trainer.plan import cost
    from bedside_trainer.plan.outlook import Model, as_json, need_on, outlooks

    document = load_document(path, overrides)
    config = load_section(TrainerConfig, document, "trainer")
    base = load_section(BaseConfig, document, "base") if document.get("base") else None
    amount = amount_of(config, registry, document["name"], options.tokens)
    model = Model.of(need_on(_model(base, registry, document["name"]), config, amount.longest, 1))
    found = outlooks(model, config, amount, options.hardware, options.devices)
    disk = cost.disk(config, model.parameters, model.trained, amount)
    if options.format == "json":
        content = {
            "name": document["name"],
            "parameters": model.parameters,
            "trained": model.trained,
            "amount": amount._asdict(),
            "disk": disk,
            "currency": config.prices.currency,
            "outlooks": [as_json(one) for one in found],
        }
        say(json.dumps(content, indent=2))
        return
    for line in _lines(model, config, amount, disk, found):
        say(line)


def amount_of(config: TrainerConfig, registry: Registry, run: str, tokens: int | None) -> Any:
    """What the training goes through: by its rows where base and corpus are there."""
    from bedside_trainer.plan.cost import Amount

    slots = ["base", "corpus", *(["replay"] if config.replay else [])]
    digests = [registry.slot(run, slot) for slot in slots]
    if tokens is None and None not in digests:
        return _by_rows(config, registry, [str(digest) for digest in digests])
    length, step = config.sequence_length, config.batch_size * config.sequence_length
    if tokens is None and config.max_steps is not None:
        return Amount(
            config.max_steps * step, config.max_steps * step * length, config.max_steps, length,
            0, "trainer.max_steps times rows that are full",
        )  # fmt: skip
    origin = "--tokens" if tokens else "a billion tokens, as there is no corpus yet: see --tokens"
    tokens = tokens or BILLION
    steps = min(-(-tokens // step), config.max_steps or tokens)
    return Amount(tokens, tokens * length, steps, length, 0, origin)


def _by_rows(config: TrainerConfig, registry: Registry, digests: Sequence[str]) -> Any:
    from bedside_models import footprint, load
    from bedside_trainer.data.prepare import prepare
    from bedside_trainer.plan.cost import Amount

    base, corpus, *replay = (registry.get(digest) for digest in digests)
    data = prepare(
        config,
        base=base,
        corpus=corpus,
        tokenizer=load.load_tokenizer(base.path),
        vocabulary=footprint.read_shape(base.path).vocabulary,
        room=registry.workrooms[0],
        replay=replay[0] if replay else None,
        check=False,
    )
    rows, order = data.rows, data.order
    taken = min(order.steps * order.batch_size, order.taken) / order.per_epoch
    epoch = [(stream.rows, stream.per_epoch / max(1, len(stream.rows))) for stream in order.streams]
    sums = [
        sum(float(values[r.start : r.stop].sum(dtype=float)) * share for r, share in epoch) * taken
        for values in (rows.lengths, rows.cost)
    ]
    stored = int(rows.documents.lengths().sum())
    longest = int(rows.lengths.max())
    return Amount(int(sums[0]), int(sums[1]), order.steps, longest, stored, "the prepared rows")


def _model(base: BaseConfig | None, registry: Registry, run: str) -> Any:
    from transformers import AutoConfig

    from bedside_models.load import read_config, unreadable_as_input_error

    if (digest := registry.slot(run, "base")) is not None:
        return read_config(registry.get(digest).path)
    numbers = base.architecture if base else None
    if base and numbers is not None:
        numbers = shrunk(numbers, base.shrink) if base.shrink else numbers
        with unreadable_as_input_error("base.architecture: transformers has no such model"):
            return AutoConfig.for_model(**numbers)
    if base and base.directory and base.directory.is_dir():
        return read_config(base.directory)
    raise InputError(
        "nothing is known of the base yet - `bedside trainer import-base` first, or write its "
        "numbers into base.architecture"
    )


def _lines(model: Any, config: TrainerConfig, amount: Any, disk: dict[str, int], found: Any) -> Any:
    name = model.config.model_type
    yield f"{_count(model.parameters)} parameters ({name}), {_count(model.trained)} of them trained"
    yield (
        f"{_count(amount.tokens)} tokens in {amount.steps:,} steps of {config.batch_size:,} rows, "
        f"the longest of {amount.longest:,} tokens (by {amount.origin})"
    )
    parts = ", ".join(f"{what} {gib(size)}" for what, size in disk.items() if size)
    yield f"disk: {gib(sum(disk.values()))} beside base and corpus ({parts})"
    yield ""
    yield table([_HEADER, *(_cells(one, config) for one in found)])
    yield ""
    for one in found:
        if one.advice:
            yield f"{one.name}: {one.need.what} does not fit - {one.advice}"
        elif one.verdict == "tight":
            yield f"{one.name}: tight, as what kernels and allocators take beside is not counted"
        if idle := _idle(config, one):
            yield idle
    memory = found[0].need.memory
    if len(found) == 1:
        yield "memory: " + ", ".join(f"{n} {gib(size)}" for n, size in memory._asdict().items())
    for source in dict.fromkeys(HARDWARE[one.name].source for one in found if one.name in HARDWARE):
        yield f"time: between {source}"
    if found[0].name in HARDWARE:
        yield "the bounds of time are others' trainings; Bedside's own were on no GPU yet"
    prices = config.prices
    yield (
        f"energy: machines at full draw, times {prices.power_usage_effectiveness:g} (PUE); "
        f"{prices.per_kwh:g} {prices.currency} a kWh (assumptions, trainer.prices)"
    )
    yield UNCOUNTED


_HEADER = ("hardware", "devices", "memory of each", "of", "", "time", "energy", "money")


def _cells(one: Any, config: TrainerConfig) -> list[str]:
    return [
        one.name,
        f"{one.devices:,}",
        gib(one.need.memory.total),
        "?" if one.room is None else gib(one.room),
        one.verdict,
        _span(one.duration, _time),
        _span(one.kwh, _energy),
        _span(one.money, lambda price: f"{price:,.2f} {config.prices.currency}"),
    ]


def _span(found: Any, show: Any) -> str:
    return "-" if found is None else f"{show(found.low)} to {show(found.high)}"


def _time(hours: float) -> str:
    if hours >= 48:
        return f"{hours / 24:.1f} d"
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"


def _energy(kwh: float) -> str:
    if kwh >= 1000:
        return f"{kwh / 1000:,.1f} MWh"
    return f"{kwh:.0f} kWh" if kwh >= 10 else f"{kwh:.2g} kWh"


def _count(number: int) -> str:
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.4g}{letter}"
    return str(number)


def _idle(config: TrainerConfig, one: Any) -> str:
    from bedside_trainer.plan.cost import busy

    share = busy(config.batch_size, one.devices)
    if share > 0.95:
        return ""
    return (
        f"{one.name}: {1 - share:.0%} of the devices' time has no row - set trainer.batch_size to "
        f"a multiple of {one.devices}"
    )
