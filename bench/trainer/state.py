"""How long a training stands still for a state, against a synchronous peer in the same run.

    .venvs/dev/bin/python bench/trainer/state.py

A model of 20 million parameters with AdamW's moments (240 MB a state), on the CPU. Both save the
same numbers to the same disk in turns (A B A B ...), with a training step after each save, so that
a busy machine slows both:

1. ours: `States.save`, which copies, and writes and hashes beside the training;
2. the peer: safetensors' own `save_file` for weights and moments, each hashed by reading it again
   and synced, as a trainer does that writes in the training's own thread.

Nothing is asserted. The figures go to `bench/results/trainer_state.json`.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save_file

from bedside_core.console import say, table
from bedside_core.files import sha256_file, sync
from bedside_models.scores import Estimand, Scores
from bedside_trainer.parallel.world import World
from bedside_trainer.state.config import StatesConfig
from bedside_trainer.state.record import StateRecord
from bedside_trainer.state.states import States

RESULTS = Path(__file__).parents[1] / "results" / "trainer_state.json"
LAYERS, WIDTH, ROWS = 5, 2000, 512
SAVES = 6
BEFORE = Scores(estimand=Estimand(prefix_token="", max_length=2, dtype="float32"), texts=())


def made() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(1)
    model = torch.nn.Sequential(*(torch.nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS)))
    return model, torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)


def step(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    model(torch.ones(ROWS, WIDTH)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def peer(folder: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Write, hash and sync in this thread."""
    moments = {
        f"{index}.{key}": value
        for index, values in optimizer.state_dict()["state"].items()
        for key, value in values.items()
    }
    for name, tensors in (("model", model.state_dict()), ("optimizer", moments)):
        path = folder / f"{name}.safetensors"
        save_file(tensors, path)
        sha256_file(path)
        sync(path)


def timed(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


def main() -> None:
    model, optimizer = made()
    step(model, optimizer)
    alone = statistics.median(timed(lambda: step(model, optimizer)) for _ in range(SAVES))
    seconds: dict[str, list[float]] = {name: [] for name in ("stall", "beside", "whole", "peer")}
    world = World(0, 1, 0, 1, torch.device("cpu"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        work = folder / "work"
        work.mkdir()
        with States(work, StatesConfig(keep=1), world) as states:
            for number in range(SAVES + 1):
                record = StateRecord(step=number + 1, seconds=0.0, curve=(), before=BEFORE)
                began = time.monotonic()
                stall = timed(lambda: states.save(model, optimizer, record))  # noqa: B023
                beside = timed(lambda: step(model, optimizer))
                states.wait()
                whole = time.monotonic() - began
                other = timed(lambda: peer(folder, model, optimizer))
                step(model, optimizer)
                if number:  # the first save also gets the memory for its copies
                    for key, value in zip(seconds, (stall, beside, whole, other), strict=True):
                        seconds[key].append(value)
            size = sum(p.stat().st_size for p in work.rglob("*.safetensors"))
    medians = {key: statistics.median(values) for key, values in seconds.items()}
    ratios = [p / s for p, s in zip(seconds["peer"], seconds["stall"], strict=True)]
    rows = [
        ["", "seconds (median)"],
        ["training stands still: ours", f"{medians['stall']:.3f}"],
        ["training stands still: synchronous", f"{medians['peer']:.3f}"],
        ["a training step alone", f"{alone:.3f}"],
        ["a training step beside our writer", f"{medians['beside']:.3f}"],
        ["ours, until all is on disk (with that step)", f"{medians['whole']:.3f}"],
    ]
    say(table(rows))
    say(f"ratio of the stalls: {statistics.median(ratios):.1f} ({size / 1e6:.0f} MB a state)")
    result = {
        "machine": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg(),
        "versions": {name: version(name) for name in ("torch", "safetensors")},
        "megabytes": round(size / 1e6, 1), "step_alone": alone, "medians": medians,
        "seconds": seconds, "ratio_of_stalls": statistics.median(ratios),
    }  # fmt: skip
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
