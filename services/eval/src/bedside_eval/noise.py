"""`bedside eval noise`: the base measured twice, so that a house knows what is no difference.

Both times from the beginning, with an engine of their own: what differs is the noise of kernels,
batches and sampling, on development parts alone. A margin of the policy that is not well above it
cannot be kept, whatever a plan's clusters say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bedside_core.config import load_document, load_section
from bedside_core.console import say, table
from bedside_core.files import write_atomic
from bedside_core.kinds.measures import LIKELIHOOD
from bedside_core.kinds.policy import read_policy
from bedside_core.kinds.serving import Serving
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_eval.config import EvalConfig
from bedside_eval.developed import development, recipe_of
from bedside_eval.lineup import named
from bedside_eval.records import METRIC_OF, ModelScores
from bedside_models.device import ASKED, choose_device
from bedside_models.settle import settle

FILE = "noise.json"
BITS_PER_NAT = 1.4426950408889634


class Floor(NamedTuple):
    """How far two measurements of one model are apart, on one set by one measure."""

    of: str
    measure: str
    items: int
    changed: float
    """Share of texts or items with another value."""
    mean: float
    """Of the second minus the first: bits per byte, or a share."""
    largest: float
    """Of one text or item, without its sign."""


def noise(path: Path, overrides: list[str], registry: Registry) -> None:
    """Measure the base of this run twice, print the differences and write them.

    Raises:
        ConfigError: a setting is wrong, or there is no engine here.
        InputError: there is no base yet, or a text, an item or the base is unusable.
        ArtifactError: the file cannot be written.
        EngineError: the engine ended, or did not start.
    """
    document = load_document(path, overrides)
    config = load_section(EvalConfig, document, "eval")
    # No blind form is made of these answers, so none of them stays.
    config = config.model_copy(update={"keep_answers": False})
    run = Run(document["name"], "eval", "noise", registry, Serving.of(document))
    policy = read_policy(config.policy)
    models, paper = named(run, ["base"]), development(config, run)
    settle()
    choose_device("auto", name=ASKED)
    # numpy and torch: not for a command line that only shows its help.
    from bedside_eval.answering.examined import Engine
    from bedside_eval.measurement import measure, refuse_unusable

    options = ["--config", str(path), *(w for o in overrides for w in ("--set", o))]
    engine = Engine(options, str((document.get("inference") or {}).get("model_name", "bedside")))
    recipe = recipe_of(config, run, models, paper)
    turns = []
    for turn in ("first", "second"):
        own = recipe.model_copy(update={"inputs": {**recipe.inputs, "turn": turn}})
        found = measure(config, run, own, models, paper, engine)
        refuse_unusable(found.results)
        turns.append(found.results["base"])
    floors = list(floors_of(*turns))
    margins = {(c.of, c.measure): c.max_loss for c in policy.conditions}
    say(table([
        ["set", "measure", "items", "changed", "mean", "largest", "margin"],
        *([floor.of, floor.measure, f"{floor.items}", f"{100 * floor.changed:.1f} %",
           f"{floor.mean:+.5f}", f"{floor.largest:.5f}",
           f"{margins.get((floor.of, floor.measure), '')}"] for floor in floors),
    ]))  # fmt: skip
    content = {"schema_version": 1, "model": models["base"].digest,
               "floors": [floor._asdict() for floor in floors]}  # fmt: skip
    out = run.registry.home / "reports" / run.name / FILE
    write_atomic(out, json.dumps(content, indent=1).encode() + b"\n")
    say(f"written: {out}")


def floors_of(first: ModelScores, second: ModelScores) -> Iterator[Floor]:
    """Set by set and measure by measure, in the order in which they were measured."""
    for name, texts in first.heldout.items():
        both = zip(texts, second.heldout[name], strict=True)
        bits = [(b.nll - a.nll) * BITS_PER_NAT / a.bytes for a, b in both]
        yield _floor(name, LIKELIHOOD, bits)
    for name, items in first.exams.items():
        for measure, metric in METRIC_OF.items():
            pairs = zip(items, second.exams[name], strict=True)
            right = [float(b.correct[metric]) - float(a.correct[metric]) for a, b in pairs]
            yield _floor(name, measure, right)
    for name, values in first.values.items():
        for measure, numbers in values.items():
            others = second.values[name][measure]
            yield _floor(name, measure, [b - a for a, b in zip(numbers, others, strict=True)])


def _floor(of: str, measure: str, apart: Sequence[float]) -> Floor:
    return Floor(
        of=of, measure=measure, items=len(apart),
        changed=sum(one != 0 for one in apart) / len(apart),
        mean=sum(apart) / len(apart), largest=max(abs(one) for one in apart),
    )  # fmt: skip
