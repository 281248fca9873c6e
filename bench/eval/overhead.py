"""What our evaluation costs beside plain lm-eval: same model, same texts and items, same machine.

    BEDSIDE_HOME=... .venvs/dev/bin/bedside trainer import-base --config configs/demo.yaml
    BEDSIDE_HOME=... .venvs/dev/bin/python bench/eval/overhead.py [--repeats N] [--every N]

Both load the demo's base model (135M parameters) in float32 and sit the demo's paper, in turn, in
this process. The peer is lm-eval's own `HFLM`, untouched, on the same tasks. Ours is all that `eval
run` does to measure: checks before the start, plain computation of a sample, authenticated state.
Nothing is asserted. Others at work on the cores stretch seconds (see the load); time on the
processor tells less of them. Figures go to `bench/results/eval_overhead.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from bedside_core.artifacts import Artifact, Recipe
from bedside_core.config import load_document, load_section
from bedside_core.registry.registry import Registry
from bedside_core.signing import Keys
from bedside_eval.config import EvalConfig
from bedside_eval.exam import Paper, read_paper
from bedside_eval.records import ModelScores
from bedside_eval.sittings import examine
from bedside_eval.state import State

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench/results/eval_overhead.json"
Timed = dict[str, float]


@contextmanager
def clock(into: list[Timed]) -> Iterator[None]:
    wall, processor = time.perf_counter(), time.process_time()
    yield
    into.append(
        {
            "seconds": round(time.perf_counter() - wall, 2),
            "processor_seconds": round(time.process_time() - processor, 2),
        }
    )


def ours(config: EvalConfig, base: Artifact, paper: Paper) -> ModelScores:
    with tempfile.TemporaryDirectory() as folder:
        keys = Keys(Path(folder), stem="evidence", domain=b"bench\n")
        keys.make()
        recipe = Recipe(verb="bench", version="1", config={}, parents={}, inputs={})
        state = State(Path(folder) / "work", keys, recipe)
        return examine(config, {base.digest: base}, paper, state, "float32").scores[base.digest]


def peers(config: EvalConfig, base: Artifact, paper: Paper) -> dict[str, list[Any]]:
    """Plain lm-eval: one evaluation of all tasks, as its command line would."""
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM

    from bedside_eval import harness

    with harness.silence():
        tasks = {
            **{
                f"heldout/{n}": harness.reading_task(f"heldout/{n}", x)
                for n, x in paper.heldout.items()
            },
            **{f"exam/{n}": harness.answering_task(f"exam/{n}", x) for n, x in paper.exams.items()},
        }
        model = HFLM(
            pretrained=str(base.path),
            dtype="float32",
            device="cuda" if torch.cuda.is_available() else "cpu",
            batch_size=config.batch_size,
            max_length=config.max_length,
        )
        found = evaluate(lm=model, task_dict=tasks, bootstrap_iters=0)["samples"]
    return {name: [sample["filtered_resps"] for sample in found[name]] for name in tasks}


def furthest(scores: ModelScores, theirs: dict[str, list[Any]]) -> float:
    """The largest difference between the two, in nats."""
    pairs = [
        (-text.nll, found[0])
        for name, texts in scores.heldout.items()
        for text, found in zip(texts, theirs[f"heldout/{name}"], strict=True)
    ]
    for name, items in scores.exams.items():
        for item, found in zip(items, theirs[f"exam/{name}"], strict=True):
            pairs += zip(item.loglikelihoods, (value for value, _ in found), strict=True)
    return max(abs(a - b) for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--every", type=int, default=1, help="take every Nth text and item")
    options = parser.parse_args()
    repeats, step = options.repeats, options.every
    os.chdir(ROOT)
    config = load_section(EvalConfig, load_document(ROOT / "configs/demo.yaml"), "eval")
    whole = read_paper(config.heldout, config.exams)
    paper = Paper(
        {name: texts[::step] for name, texts in whole.heldout.items()},
        {name: items[::step] for name, items in whole.exams.items()},
    )
    base = Registry.from_environment().get("demo/base")
    times: dict[str, list[Timed]] = {"lm_eval": [], "bedside": []}
    differences = []
    for turn in range(repeats):
        found: dict[str, Any] = {}
        for name in list(times) if turn % 2 == 0 else reversed(times):
            with clock(times[name]):
                found[name] = (peers if name == "lm_eval" else ours)(config, base, paper)
        differences.append(furthest(found["bedside"], found["lm_eval"]))
    ratios = {
        what: [
            round(b[what] / a[what], 3)
            for a, b in zip(times["lm_eval"], times["bedside"], strict=True)
        ]
        for what in ("seconds", "processor_seconds")
    }
    result = {
        "model": "SmolLM2-135M-Instruct, float32",
        "texts": len(paper.texts),
        "items": sum(len(items) for items in paper.exams.values()),
        "batch_size": config.batch_size,
        "max_length": config.max_length,
        "runs": times,
        "ratio": {what: {"each": r, "median": statistics.median(r)} for what, r in ratios.items()},
        "largest_difference_nats": max(differences),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result["ratio"]))


if __name__ == "__main__":
    main()
