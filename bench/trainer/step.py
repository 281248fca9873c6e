"""A training beside TRL's SFTTrainer: tokens per second and peak memory, on the CPU.

    .venvs/dev/bin/python bench/trainer/step.py

Both train a model of SmolLM2-135M's width (random weights, fewer layers) in float32 on the same
documents (lognormal lengths), packed into rows of 512 by each itself: ours by `isolated` and
`paper`, TRL by its best packing that loses no token (`bfd_split`), with its chunked loss, fused
AdamW and without gradient checkpointing, as ours. Besides, what single techniques give: ours with
torch's default AdamW, with the logits of a row at once, with checkpointing (TRL's with it, too).

Each contender is a process of its own; all of them take turns, once for each seed of the documents,
so that a busy machine slows all. A ratio is of one round, above 1 where ours is faster. Memory is
the process's peak (VmHWM) above what it held before its first step.

On a processor TRL leaves isolation to what transformers finds out by itself. Whether documents of a
row see each other there is looked at in its own batch and written down. Nothing is asserted. The
figures go to `bench/results/trainer_step.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peer import installed, version_in
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from bedside_core.console import say, table
from bedside_core.progress import Progress
from bedside_trainer.config import TrainerConfig
from bedside_trainer.data.order import Order, Stream
from bedside_trainer.data.packing import Packing
from bedside_trainer.data.rows import packed
from bedside_trainer.parallel.world import alone
from bedside_trainer.schedule import Schedule
from bedside_trainer.step.attention import NAME
from bedside_trainer.step.checkpointing import checkpoint_activations
from bedside_trainer.step.precision import Compute
from bedside_trainer.step.settings import Step
from bedside_trainer.step.take import BETAS, OptimizerStep, build_optimizer

RESULTS = Path(__file__).parents[1] / "results" / "trainer_step.json"
WARM_UP = 3
BATCH = 2
CAPACITY = 512
RATE = 5e-5
MEDIAN, SIGMA = 110, 0.9
SHAPE: dict[str, Any] = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
}
OURS: dict[str, dict[str, Any]] = {
    "isolated": {},
    "paper": {"mode": "paper"},
    "isolated, default AdamW": {"fused": False},
    "isolated, logits at once": {"loss_chunk_tokens": 1 << 20},
    "isolated, full checkpointing": {"activation_checkpointing": "full"},
}
TRL: dict[str, dict[str, Any]] = {
    "TRL": {"gradient_checkpointing": False},
    "TRL, gradient checkpointing": {"gradient_checkpointing": True},
}
PAIRS = (
    ("isolated", "TRL"),
    ("paper", "TRL"),
    ("isolated", "isolated, default AdamW"),
    ("isolated", "isolated, logits at once"),
    ("isolated, full checkpointing", "TRL, gradient checkpointing"),
)


def documents_of(seed: int, steps: int) -> list[np.ndarray]:
    """Random ids, enough for so many steps."""
    random = np.random.default_rng(seed)
    found, tokens = [], 0
    while tokens < (steps + 2) * BATCH * CAPACITY:
        length = int(np.clip(random.lognormal(np.log(MEDIAN), SIGMA), 8, 4 * CAPACITY))
        found.append(random.integers(3, SHAPE["vocab_size"], length).astype(np.uint16))
        tokens += length
    return found


class Documents:
    """As `data.store` has them, in memory."""

    stores = ()

    def __init__(self, documents: list[np.ndarray]) -> None:
        self._documents = documents

    def lengths(self) -> np.ndarray:
        return np.array([len(document) for document in self._documents], np.int64)

    def read(self, document: int, start: int, end: int) -> np.ndarray:
        return self._documents[document][start:end]


def build_model(layers: int) -> PreTrainedModel:
    torch.manual_seed(0)
    config = LlamaConfig(**SHAPE, num_hidden_layers=layers, use_cache=False)
    model: PreTrainedModel = LlamaForCausalLM(config)
    model.train()
    return model


class Measured:
    """Time and tokens of the steps after the warm-up, and the peak memory of all."""

    def __init__(self) -> None:
        # Writing 5 resets the peak (proc(5), clear_refs).
        Path("/proc/self/clear_refs").write_text("5")
        self.before = status("VmRSS")
        self.started, self.tokens, self.steps, self.seconds = 0.0, 0, 0, 0.0

    def begin(self) -> None:
        if self.steps == WARM_UP:
            self.started, self.tokens = time.perf_counter(), 0

    def end(self) -> None:
        self.steps += 1
        self.seconds = time.perf_counter() - self.started

    def figures(self) -> dict[str, Any]:
        return {
            "tokens_per_second": round(self.tokens / self.seconds, 1),
            "peak_bytes": status("VmHWM") - self.before,
            "tokens": self.tokens,
        }


def status(name: str) -> int:
    """Bytes of this process's memory."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return 1024 * int(found[1])


def train_ours(settings: dict[str, Any], seed: int, steps: int, layers: int) -> dict[str, Any]:
    fused, mode = settings.pop("fused", True), settings.pop("mode", "isolated")
    documents = Documents(documents_of(seed, steps))
    config = TrainerConfig(
        sequence_length=CAPACITY,
        batch_size=BATCH,
        max_steps=steps,
        learning_rate=RATE,
        schedule=Schedule(warmup_share=0.06),
        packing=Packing(mode=mode),
        step=Step(**settings),
        seed=seed,
        heldout="unused",
    )
    model = build_model(layers)
    optimizer = build_optimizer(model, config) if fused else default_adamw(model, config)
    model.set_attn_implementation(NAME)
    checkpoint_activations(model, config.step.activation_checkpointing)
    with tempfile.TemporaryDirectory(prefix="bedside-step-") as folder:
        streams = {"all": np.arange(len(documents.lengths()))}
        rows = packed(
            Path(folder), documents, streams,
            capacity=CAPACITY, packing=config.packing, seed=seed,
        )  # fmt: skip
        order = Order(
            [Stream(range(len(rows)), len(rows))], rows.cost,
            batch_size=BATCH, num_epochs=1, max_steps=steps, seed=seed,
        )  # fmt: skip
        compute, world = Compute(torch.float32, sharded=False), alone(torch.device("cpu"))
        step = OptimizerStep.of(model, optimizer, rows, order, config, compute, world)
        measured, losses = Measured(), []
        for number in range(steps):
            measured.begin()
            chosen = order.step_rows(number)
            point = step(number, chosen, 0, lambda *_: True)
            measured.tokens += point.tokens
            losses.append(point.loss)
            measured.end()
    return measured.figures() | {"last_loss": round(losses[-1], 3)}


def default_adamw(model: torch.nn.Module, config: TrainerConfig) -> torch.optim.Optimizer:
    """Torch's AdamW as it comes (foreach and fused unset), with the groups of ours."""
    groups = [
        {key: group[key] for key in ("params", "weight_decay")}
        for group in build_optimizer(model, config).param_groups
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=BETAS)


def train_trl(settings: dict[str, Any], seed: int, steps: int, layers: int) -> dict[str, Any]:
    from datasets import Dataset, disable_progress_bars
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    disable_progress_bars()
    words = {"<pad>": 0, "<eos>": 1, "<unk>": 2}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, unk_token="<unk>")),
        pad_token="<pad>", eos_token="<eos>", unk_token="<unk>",
    )  # fmt: skip
    dataset = Dataset.from_dict({"input_ids": [d.tolist() for d in documents_of(seed, steps)]})
    with tempfile.TemporaryDirectory(prefix="bedside-step-") as folder:
        arguments = SFTConfig(
            output_dir=folder, max_steps=steps, per_device_train_batch_size=BATCH,
            learning_rate=RATE, lr_scheduler_type="linear", warmup_steps=0.06,
            adam_beta1=BETAS[0], adam_beta2=BETAS[1], weight_decay=0.1, max_grad_norm=1.0,
            max_length=CAPACITY, packing=True, packing_strategy="bfd_split", seed=seed,
            bf16=False, use_cpu=True, report_to="none", logging_steps=1, save_strategy="no",
            disable_tqdm=True, **settings,
        )  # fmt: skip
        trainer = SFTTrainer(
            model=build_model(layers), args=arguments, train_dataset=dataset,
            processing_class=tokenizer,
        )  # fmt: skip
        collate, measured = trainer.data_collator, Measured()

        def counted(examples: list[dict[str, Any]]) -> Any:
            measured.tokens += sum(len(example["input_ids"]) for example in examples)
            return collate(examples)

        class Clock(TrainerCallback):
            def on_step_begin(self, *_: Any, **__: Any) -> None:
                measured.begin()

            def on_step_end(self, *_: Any, **__: Any) -> None:
                measured.end()

        trainer.data_collator = counted
        trainer.add_callback(Clock())
        result = trainer.train()
        return measured.figures() | {
            # The batches are fetched one ahead.
            "tokens": (steps - WARM_UP) * BATCH * CAPACITY,
            "last_loss": round(result.training_loss, 3),
            "documents_see_each_other": leaks(trainer.model, collate, trainer.train_dataset),
        }


@torch.no_grad()
def leaks(model: PreTrainedModel, collate: Callable[[Any], Any], rows: Iterable[Any]) -> bool:
    """Whether another first document changes what the model says of the last one in a row."""
    model.eval()
    row = next(row for row in rows if len(row["seq_lengths"]) > 1)
    batch = {k: v for k, v in collate([row]).items() if k != "labels"}
    other = batch | {"input_ids": batch["input_ids"].clone()}
    other["input_ids"][0, : row["seq_lengths"][0]] = 7
    last = row["seq_lengths"][-1]
    one, two = (model(**inputs).logits[0, -last:] for inputs in (batch, other))
    return not torch.allclose(one, two, atol=1e-5)


def in_a_process(name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    command = [
        *(sys.executable, __file__, "--child", name, "--seeds", str(seed)),
        *("--steps", str(options.steps), "--layers", str(options.layers)),
        *("--threads", str(options.threads), "--peer-environment", str(options.peer_environment)),
    ]
    quiet = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=quiet)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def child(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    name, seed = options.child, options.seeds
    if name in OURS:
        found = train_ours(dict(OURS[name]), seed, options.steps, options.layers)
    else:
        sys.path.append(str(installed(options.peer_environment)))
        found = train_trl(dict(TRL[name]), seed, options.steps, options.layers)
    sys.stdout.write("\n" + json.dumps(found) + "\n")


def compare(rounds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ratios of each round, by pair."""
    found = []
    pairs = [pair for pair in PAIRS if set(pair) <= rounds[0].keys()]
    for ours, peer in pairs:
        speed = [r[ours]["tokens_per_second"] / r[peer]["tokens_per_second"] for r in rounds]
        memory = [r[ours]["peak_bytes"] / r[peer]["peak_bytes"] for r in rounds]
        found.append({"ours": ours, "peer": peer, "speed": spread(speed), "memory": spread(memory)})
    return found


def spread(values: list[float]) -> dict[str, Any]:
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seeds", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--steps", type=int, default=15, help=f"{WARM_UP} of them not counted")
    parser.add_argument("--layers", type=int, default=12, help="of the model (default 12)")
    parser.add_argument("--threads", type=int, default=2, help="of torch (default 2)")
    parser.add_argument(
        "--peer-environment", type=Path, default=Path(tempfile.gettempdir()) / "bedside-peers",
        help="where TRL is installed",
    )  # fmt: skip
    parser.add_argument(
        "--contenders", nargs="+", choices=[*OURS, *TRL], default=[*OURS, *TRL],
        help="who takes part (default all)",
    )  # fmt: skip
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
        return
    options.peer_environment = options.peer_environment.absolute()
    packages = installed(options.peer_environment)
    load, names = os.getloadavg()[0], options.contenders
    rounds = []
    with Progress("step", total=options.seeds * len(names), unit="training") as progress:
        for seed in range(options.seeds):
            rounds.append({})
            for name in names:
                rounds[-1][name] = in_a_process(name, seed, options)
                progress.update(1)
    compared = compare(rounds)
    result = {
        "machine": {
            "cores": os.cpu_count(), "threads": options.threads,
            "cpu": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
            "load_average_before": round(load, 2),
        },
        "model": SHAPE | {"num_hidden_layers": options.layers},
        "rows": {"tokens": CAPACITY, "a_step": BATCH},
        "dtype": "float32",
        "steps": {"warm_up": WARM_UP, "counted": options.steps - WARM_UP},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "transformers", "accelerate")},
            "trl": version_in(packages),
        },
        "compared": compared,
        "rounds": rounds,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    report = [["ours", "peer", "speed, ours / peer", "peak memory, ours / peer"]]
    for pair in compared:
        cells = [
            f"{pair[what]['median']:.2f} ({pair[what]['min']:.2f} to {pair[what]['max']:.2f})"
            for what in ("speed", "memory")
        ]
        report.append([pair["ours"], pair["peer"], *cells])
    say(table(report))
    say(f"load average before: {load:.2f}; written: {RESULTS.relative_to(RESULTS.parents[2])}")


if __name__ == "__main__":
    main()
