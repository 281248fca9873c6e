"""How long one training step takes, against its peers in the same run.

    .venvs/dev/bin/python bench/trainer/step.py

The model has the shape of SmolLM2-135M and random weights: no artifact is needed. Rows of 512
tokens, batch 1, float32, on the CPU. Ours and a peer take turns (A B A B ...) on the same rows, so
that a busy machine slows both; a ratio is peer / ours of one pair, above 1 where ours is faster.

Others at work on the same cores distort even ratios, because threads wait for each other: judge by
the load before the run and the cores used, both printed.

1. Fused AdamW, as `build_optimizer` has it, against torch's default AdamW over the same groups. The
   time of `optimizer.step` is taken inside the training step, where the caches are as in training.
2. Our whole step against a plain transformers loop with the same optimizer and schedule. Both start
   from the same weights, so equal losses show that both did the same work.

Nothing is asserted. The figures go to `bench/results/trainer_step.json`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from bedside_core.console import say, table
from bedside_core.progress import Progress
from bedside_trainer.config import TrainerConfig
from bedside_trainer.data.order import Order, Stream
from bedside_trainer.data.rows import Row
from bedside_trainer.parallel.world import alone
from bedside_trainer.schedule import Schedule
from bedside_trainer.step.attention import NAME
from bedside_trainer.step.precision import Compute
from bedside_trainer.step.take import BETAS, OptimizerStep, build_optimizer

RESULTS = Path(__file__).parents[1] / "results" / "trainer_step.json"
WARM_UP = 2
SEED = 17
SHAPE: dict[str, Any] = {
    "num_hidden_layers": 30,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
}
# As in configs/demo.yaml; the held-out folder is never opened here.
CONFIG = TrainerConfig(
    sequence_length=512,
    batch_size=1,
    learning_rate=5e-5,
    schedule=Schedule(warmup_share=0.06),
    seed=SEED,
    heldout="unused",
)

TakeStep = Callable[[int], float]
"""Takes the training step with this number and gives its loss."""
BuildOptimizer = Callable[[torch.nn.Module, TrainerConfig], torch.optim.Optimizer]


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to train, with its own model; all begin with the same weights."""

    name: str
    take_step: TakeStep
    optimizer_seconds: list[float]
    """Of each `optimizer.step`, filled while training."""
    step_seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def run(self, step: int) -> None:
        started = time.perf_counter()
        loss = self.take_step(step)
        self.step_seconds.append(time.perf_counter() - started)
        self.losses.append(loss)


def bedside_step(name: str, rows: Any, build: BuildOptimizer) -> Contender:
    """The step of `bedside trainer run`."""
    model = build_model()
    optimizer = build(model, CONFIG)
    model.set_attn_implementation(NAME)
    order = Order(
        [Stream(range(len(rows)), len(rows))], np.ones(len(rows), np.int64),
        batch_size=1, num_epochs=1, max_steps=None, seed=SEED,
    )  # fmt: skip
    compute = Compute(torch.float32, sharded=False)
    world = alone(torch.device("cpu"))
    step = OptimizerStep.of(model, optimizer, rows, order, CONFIG, compute, world)

    def take_step(number: int) -> float:
        point = step(number, np.array([number]), 0, lambda *_: True)
        assert point is not None
        return point.loss

    return Contender(name, take_step, timed(optimizer))


def plain_step(name: str, rows: Any) -> Contender:
    """The loop that everybody writes first, with our optimizer and schedule."""
    model = build_model()
    optimizer = build_optimizer(model, CONFIG)
    steps = len(rows)
    schedule = LambdaLR(optimizer, lambda step: CONFIG.schedule.rate(step, steps))

    def take_step(number: int) -> float:
        input_ids = torch.from_numpy(rows.read(number).input_ids)[None]
        loss = model(input_ids=input_ids, labels=input_ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CONFIG.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        return float(loss.item())

    return Contender(name, take_step, timed(optimizer))


def default_adamw(model: torch.nn.Module, config: TrainerConfig) -> torch.optim.AdamW:
    """Torch's AdamW as it comes (foreach and fused unset), with the groups of `build_optimizer`."""
    ours = build_optimizer(model, config).param_groups
    groups = [{key: group[key] for key in ("params", "weight_decay")} for group in ours]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=BETAS)


def timed(optimizer: torch.optim.Optimizer) -> list[float]:
    """A list that receives the seconds of every later `optimizer.step`."""
    seconds: list[float] = []
    started = 0.0

    def before(*_: Any) -> None:
        nonlocal started
        started = time.perf_counter()

    def after(*_: Any) -> None:
        seconds.append(time.perf_counter() - started)

    optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(after)
    return seconds


def build_model() -> PreTrainedModel:
    torch.manual_seed(SEED)
    # Without the cache, of no use in training, also in the plain loop: a peer at its best.
    config = LlamaConfig(**SHAPE, use_cache=False)
    model: PreTrainedModel = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    model.train()
    return model


class RandomRows:
    """Full rows of random token ids, each a document."""

    def __init__(self, count: int) -> None:
        shape = (count, CONFIG.sequence_length)
        self.ids = np.random.default_rng(SEED).integers(SHAPE["vocab_size"], size=shape)
        self.lengths = np.full(count, CONFIG.sequence_length)

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, row: int) -> Row:
        ids, length = self.ids[row], CONFIG.sequence_length
        return Row(ids, ids, np.arange(length), np.array([0, length], np.int32))


def compare(ours: Contender, peer: Contender, pairs: int) -> dict[str, Any]:
    """Let the two take turns; the figures of the pairs after the warm-up."""
    total = WARM_UP + pairs
    started, cpu_started = time.perf_counter(), time.process_time()
    with Progress(f"{ours.name} / {peer.name}", total=total, unit="pair") as progress:
        for step in range(total):
            ours.run(step)
            peer.run(step)
            progress.update(1)
    cores = (time.process_time() - cpu_started) / (time.perf_counter() - started)
    differences = [abs(a - b) for a, b in zip(ours.losses, peer.losses, strict=True)]
    return {
        "ours": ours.name,
        "peer": peer.name,
        "cores_used": round(cores, 2),
        "largest_loss_difference": max(differences),
        "optimizer": figures(ours.optimizer_seconds[WARM_UP:], peer.optimizer_seconds[WARM_UP:]),
        "step": figures(ours.step_seconds[WARM_UP:], peer.step_seconds[WARM_UP:]),
        "tokens_per_second": {"ours": speed(ours), "peer": speed(peer)},
    }


def compare_all(rows: Any, pairs: int) -> list[dict[str, Any]]:
    """Both comparisons, one after the other: their four models together are too much for 8 GB."""
    adamw = compare(
        bedside_step("fused AdamW", rows, build_optimizer),
        bedside_step("default AdamW", rows, default_adamw),
        pairs,
    )
    # Schedules and optimizers refer to each other.
    gc.collect()
    loop = compare(
        bedside_step("bedside step", rows, build_optimizer),
        plain_step("plain loop", rows),
        pairs,
    )
    return [adamw, loop]


def figures(ours: Sequence[float], peer: Sequence[float]) -> dict[str, Any]:
    ratios = [b / a for a, b in zip(ours, peer, strict=True)]
    return {
        "ours_seconds": spread(ours),
        "peer_seconds": spread(peer),
        "peer_over_ours": spread(ratios),
    }


def speed(contender: Contender) -> float:
    """Tokens per second of the median step."""
    seconds = statistics.median(contender.step_seconds[WARM_UP:])
    return round(CONFIG.batch_size * CONFIG.sequence_length / seconds, 1)


def spread(values: Sequence[float]) -> dict[str, Any]:
    return {
        "median": round(statistics.median(values), 4),
        "min": round(min(values), 4),
        "max": round(max(values), 4),
        "all": [round(value, 4) for value in values],
    }


def report(comparisons: Sequence[dict[str, Any]], load: float) -> None:
    """Print the table."""
    rows = [["what", "who", "median s", "min s", "max s", "tokens/s", "peer / ours, pair by pair"]]
    for comparison in comparisons:
        for part, name in (("optimizer", "optimizer.step"), ("step", "whole step")):
            ratio = comparison[part]["peer_over_ours"]
            ratios = f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"
            for who in ("ours", "peer"):
                seconds = comparison[part][f"{who}_seconds"]
                rows.append(
                    [
                        name,
                        comparison[who],
                        *(f"{seconds[key]:.3f}" for key in ("median", "min", "max")),
                        f"{comparison['tokens_per_second'][who]:.0f}" if part == "step" else "",
                        ratios if who == "peer" else "",
                    ]
                )
    say(table(rows))
    say(f"load average before the run: {load:.2f}")
    for comparison in comparisons:
        say(
            f"{comparison['ours']} / {comparison['peer']}: "
            f"losses differ by {comparison['largest_loss_difference']:.1e} at most, "
            f"{comparison['cores_used']:.2f} cores used"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--pairs", type=int, default=6, help="counted pairs (default 6)")
    parser.add_argument("--threads", type=int, default=2, help="of torch (default 2)")
    arguments = parser.parse_args()
    if arguments.pairs < 1 or arguments.threads < 1:
        parser.error("--pairs and --threads must be at least 1")
    torch.set_num_threads(arguments.threads)
    load = os.getloadavg()[0]
    comparisons = compare_all(RandomRows(WARM_UP + arguments.pairs), arguments.pairs)
    report(comparisons, load)
    result = {
        "model": SHAPE,
        "sequence_length": CONFIG.sequence_length,
        "batch_size": CONFIG.batch_size,
        "dtype": "float32",
        "warm_up_pairs": WARM_UP,
        "counted_pairs": arguments.pairs,
        "threads": torch.get_num_threads(),
        "load_average_before": round(load, 2),
        "cpu": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "transformers", "accelerate")},
        },
        "comparisons": comparisons,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    say(f"written: {RESULTS.relative_to(RESULTS.parents[2])}")


if __name__ == "__main__":
    main()
