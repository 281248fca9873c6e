"""What `bedside trainer plan` says of memory and time, against trainings that are measured.

    .venvs/dev/bin/python bench/trainer/plan.py

Tiny models of several kinds, lengths, types and settings take real optimizer steps on the CPU.

Memory: the plan's bytes are of storages that live at once, so they are compared with the same thing
as torch's own allocator reports it (its profiler's events). Beside it stands by how much the
process's resident memory rose at most (VmHWM, reset before), which no plan can know exactly: it has
what the allocator of the C library keeps, and pages of libraries that are used first.

Time: of the median step, against what the plan makes of one and three layers (`plan.speed`). Every
case is predicted and measured three times, in turns, as others work on the same cores; the error is
that of the medians.

Nothing is asserted. The figures go to `bench/results/trainer_plan.json`.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import platform
import statistics
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile
from transformers import AutoConfig

from bedside_core.console import say, table
from bedside_models.settle import settle
from bedside_trainer.config import TrainerConfig
from bedside_trainer.data.order import Order, Stream
from bedside_trainer.data.rows import Row
from bedside_trainer.parallel.world import alone
from bedside_trainer.plan.need import Need
from bedside_trainer.plan.simulate import build
from bedside_trainer.plan.speed import seconds_per_step
from bedside_trainer.step.precision import Compute
from bedside_trainer.step.take import OptimizerStep, build_optimizer

RESULTS = Path(__file__).parents[1] / "results" / "trainer_plan.json"
CPU = torch.device("cpu")
SEED = 17
GOAL = 0.10


@dataclass(frozen=True, slots=True)
class Case:
    """One model and the settings that it is trained with."""

    kind: str
    layers: int
    hidden: int
    vocabulary: int
    length: int
    rows: int
    dtype: torch.dtype = torch.float32
    step: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        settings = [f"{key} {value}" for key, value in self.step.items()]
        dtype = str(self.dtype).removeprefix("torch.")
        shape = f"{self.kind} {self.layers} x {self.hidden}, vocabulary {self.vocabulary}"
        return ", ".join([shape, f"{self.rows} rows of {self.length}", dtype, *settings])

    @property
    def need(self) -> Need:
        model = AutoConfig.for_model(
            self.kind, num_hidden_layers=self.layers, hidden_size=self.hidden,
            intermediate_size=3 * self.hidden, num_attention_heads=self.hidden // 32,
            num_key_value_heads=self.hidden // 64, vocab_size=self.vocabulary,
            max_position_embeddings=4096,
        )  # fmt: skip
        config = TrainerConfig.model_validate(
            {"sequence_length": self.length, "batch_size": self.rows, "heldout": "none",
             "step": self.step}
        )  # fmt: skip
        return Need(model, config, self.length, self.dtype, gpu=False)


CASES = (
    Case("llama", 8, 256, 4000, 512, 2),
    Case("llama", 8, 256, 4000, 128, 4, step={"micro_batch_tokens": 512}),
    Case("qwen3", 10, 256, 8000, 1024, 2, step={"activation_checkpointing": "full"}),
    Case("qwen3", 10, 256, 8000, 512, 2, step={"activation_checkpointing": "selective"}),
    Case("mistral", 6, 384, 4000, 512, 2, step={"moments": "bfloat16"}),
    Case("llama", 6, 384, 4000, 256, 1, step={"moments": "int8"}),
    Case("qwen2", 6, 256, 16000, 512, 2, torch.bfloat16,
         {"activation_checkpointing": "full", "loss_chunk_tokens": 128}),
    Case("gemma3_text", 6, 256, 8000, 768, 1),
    Case("llama", 4, 64, 300, 128, 2),
)  # fmt: skip


class Rows:
    """Full rows of random token ids, each a document."""

    def __init__(self, case: Case, count: int) -> None:
        shape = (count, case.length)
        self.ids = np.random.default_rng(SEED).integers(case.vocabulary, size=shape)
        self.lengths = np.full(count, case.length)

    def read(self, row: int) -> Row:
        ids, length = self.ids[row], self.ids.shape[1]
        return Row(ids, ids, np.arange(length), np.array([0, length], np.int32))


def training(case: Case, steps: int) -> list[float]:
    """Seconds of each of so many real steps of a new model."""
    need, count = case.need, steps * case.rows
    torch.manual_seed(SEED)
    model = build(need.model, need.work)
    optimizer = build_optimizer(model, need.config)
    order = Order(
        [Stream(range(count), count)], np.ones(count, np.int64),
        batch_size=case.rows, num_epochs=1, max_steps=None, seed=SEED,
    )  # fmt: skip
    data: Any = Rows(case, count)
    compute, world = Compute(case.dtype, sharded=False), alone(CPU)
    step = OptimizerStep.of(model, optimizer, data, order, need.config, compute, world)
    seconds = []
    for number in range(steps):
        started = time.perf_counter()
        step(number, order.step_rows(number), 0, lambda *_: True)
        seconds.append(time.perf_counter() - started)
    return seconds


def allocated(case: Case) -> int:
    """Most bytes that torch had allocated at once."""
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        training(case, 2)
    now = most = 0
    for event in watched.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most


def resident(case: Case) -> int:
    """By how many bytes the process's resident memory rose at most; 0 where Linux does not say."""
    try:
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        before = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        training(case, 2)
        return _status("VmHWM") - before
    except OSError:
        return 0


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def measure(case: Case, turns: int) -> dict[str, Any]:
    """Prediction and measurement of one case."""
    planned = case.need.memory.total
    real, rise = allocated(case), resident(case)
    predicted, taken = [], []
    for _ in range(turns):
        predicted.append(seconds_per_step(case.need, CPU))
        taken.append(statistics.median(training(case, 6)[1:]))
    said, was = statistics.median(predicted), statistics.median(taken)
    result = {
        "case": case.name,
        "planned_bytes": planned,
        "allocated_bytes": real,
        "memory_error": round(planned / real - 1, 4),
        "resident_rise_bytes": rise,
        "planned_over_resident": round(planned / rise, 3) if rise else None,
        "planned_seconds": [round(value, 5) for value in predicted],
        "measured_seconds": [round(value, 5) for value in taken],
        "time_error": round(said / was - 1, 4),
    }
    say(f"{case.name}: memory {result['memory_error']:+.2%}, time {result['time_error']:+.1%}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--turns", type=int, default=3, help="predictions of each case (default 3)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default 1)")
    arguments = parser.parse_args()
    if arguments.turns < 1 or arguments.threads < 1:
        parser.error("--turns and --threads must be at least 1")
    torch.set_num_threads(arguments.threads)
    load = os.getloadavg()[0]
    training(CASES[-1], 2)  # what is loaded at first use
    found = [measure(case, arguments.turns) for case in CASES]
    rows = [["case", "memory", "allocated", "time of a step", "measured"]]
    for one in found:
        said, was = (statistics.median(one[f"{k}_seconds"]) for k in ("planned", "measured"))
        rows.append(
            [
                one["case"],
                f"{one['memory_error']:+.2%}",
                f"{one['allocated_bytes'] / 1e6:.1f} MB",
                f"{said / was - 1:+.1%}",
                f"{was:.3f} s",
            ]
        )
    say(table(rows))
    for what in ("memory", "time"):
        errors = [abs(one[f"{what}_error"]) for one in found]
        within = sum(error <= GOAL for error in errors)
        say(f"{what}: {within} of {len(errors)} within {GOAL:.0%}, worst {max(errors):.1%}")
    result = {
        "turns": arguments.turns,
        "threads": torch.get_num_threads(),
        "load_average_before": round(load, 2),
        "load_average_after": round(os.getloadavg()[0], 2),
        "cpu": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "transformers")},
        },
        "cases": found,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    say(f"written: {RESULTS.relative_to(RESULTS.parents[2])}")


if __name__ == "__main__":
    settle()
    main()
