"""Does the pilot's interval hold what the full training then gives? 20 trainings of 5,000 steps.

    OMP_NUM_THREADS=1 .venvs/dev/bin/python bench/trainer/pilot.py

Each seed is a world of its own: a general and a medical language, a two-layer Llama that learnt the
general one, a corpus in the medical one (with or without replay of the general), and held-out texts
of both. Base and corpus are the pilot's input as in the product; its rungs and the full training
take the product's own step (`pilot.rung.climb`), its interval is `pilot.law.forecast`.

Languages: 256 tokens of Zipf's frequencies; what follows depends on the token before and on the
class of the one before that. Contexts of all frequencies are what makes learning curves of language
power laws (Hutter 2021, "Learning curve theory"). `distance` turns the general language into the
medical one: 0 is the same language, which the base knows; 1 shares nothing with it.

A world is drawn: distance (a fifth of the worlds has 0), peak learning rate, share of replay.
Rows are as the held-out texts are scored: prefix token, then 63 tokens, in windows of 64.

What a world measured is one file, and does not depend on the law: a run that is killed loses one
world, and `--judge` looks at those that are there. Worlds from 100 on were used to develop the law,
at 200, 1,000 and 5,000 steps; 0 to 19 prove it and were not looked at before the law was committed.
A world takes about a minute of one quiet core. The figures go to
`bench/results/trainer_pilot.json` and `trainer_pilot.png`.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from transformers import LlamaConfig, LlamaForCausalLM

from bedside_core.console import say, table
from bedside_core.files import write_atomic
from bedside_core.progress import Progress
from bedside_models.likelihood import IGNORED, EncodedSet, EncodedText, measure
from bedside_models.scores import Scores
from bedside_trainer.config import TrainerConfig
from bedside_trainer.data.order import Order, Stream
from bedside_trainer.data.rows import Row
from bedside_trainer.parallel.world import alone
from bedside_trainer.pilot.ladder import area, compressed, ladder
from bedside_trainer.pilot.law import LEVEL, forecast
from bedside_trainer.pilot.rung import climb
from bedside_trainer.pilot.settings import Pilot
from bedside_trainer.pilot.verdict import is_worth_it, judge
from bedside_trainer.step.precision import Compute

RESULTS = Path(__file__).parents[1] / "results" / "trainer_pilot.json"
SETS = ("medical", "general")
DECISIONS = (
    *(Pilot(min_gain=gain) for gain in (0.02, 0.1, 0.3, 1.0)),
    Pilot(max_loss=0.2),
    Pilot(max_loss=0.5),
)
"""What a house might ask for."""
STEPS, BATCH, LENGTH = 5_000, 2, 64
TOKENS, CLASSES, RANK = 256, 16, 8
TEXTS = 80
BASES = 3
SHARE = 0.01
BASE_STEPS, BASE_BATCH, BASE_RATE = 1_500, 16, 8e-3
SHAPE: dict[str, Any] = {
    "vocab_size": TOKENS + 1, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": LENGTH,
    "tie_word_embeddings": True, "bos_token_id": TOKENS, "eos_token_id": TOKENS,
}  # fmt: skip
DISTANCES = (0.0, 0.2, 0.4, 0.6, 0.9)
RATES = (2e-4, 2e-3)
REPLAY = (0.0, 0.05, 0.25)


class World(NamedTuple):
    """What a seed draws."""

    seed: int
    distance: float
    rate: float
    replay: float

    @classmethod
    def of(cls, seed: int) -> World:
        draw = np.random.default_rng((seed, 0))
        rate = float(np.exp(draw.uniform(*np.log(RATES))))
        return cls(seed, DISTANCES[seed % len(DISTANCES)], rate, float(draw.choice(REPLAY)))


class Language(NamedTuple):
    """Logits of the next token, by the one before it and the class of the one before that."""

    frequency: NDArray[np.float64]
    pairs: NDArray[np.float64]
    classes: NDArray[np.float64]

    @classmethod
    def new(cls, draw: np.random.Generator) -> Language:
        return cls(
            -np.log(draw.permutation(TOKENS) + 2.0),
            draw.standard_normal((TOKENS, RANK)) @ draw.standard_normal((RANK, TOKENS)) / 2,
            draw.standard_normal((CLASSES, TOKENS)),
        )

    def turned(self, other: Language, distance: float) -> Language:
        kept = (1 - distance**2) ** 0.5
        parts = zip(self, other, strict=True)
        frequency, pairs, classes = (kept * mine + distance * theirs for mine, theirs in parts)
        return Language(frequency, pairs, classes)

    def write(self, texts: int, draw: np.random.Generator) -> NDArray[np.int64]:
        """Rows of the prefix token and text, shape (texts, LENGTH)."""
        logits = self.frequency + self.pairs[None] + self.classes[:, None]
        chances = np.exp(logits - logits.max(-1, keepdims=True))
        # One sorted line of all contexts, each moved by its number: one search finds the token.
        edges = (chances / chances.sum(-1, keepdims=True)).cumsum(-1).reshape(-1, TOKENS)
        line = (edges.clip(max=1.0) + np.arange(len(edges))[:, None]).ravel()
        out = np.full((texts, LENGTH), TOKENS)
        out[:, 1:3] = draw.integers(TOKENS, size=(texts, 2))
        for at in range(3, LENGTH):
            context = out[:, at - 2] % CLASSES * TOKENS + out[:, at - 1]
            found = np.searchsorted(line, context + draw.random(texts)) - context * TOKENS
            out[:, at] = found.clip(0, TOKENS - 1)
        return out


class TextRows:
    """Rows of one text each, as `Rows` gives them."""

    def __init__(self, ids: NDArray[np.int64]) -> None:
        self.ids = ids
        self.lengths = np.full(len(ids), LENGTH, np.int32)
        self.cost = np.full(len(ids), LENGTH**2, np.int64)

    def read(self, row: int) -> Row:
        labels = self.ids[row].copy()
        labels[0] = IGNORED
        return Row(self.ids[row], labels, np.arange(LENGTH), np.array([0, LENGTH], np.int32))


def pretrained(language: Language, seed: tuple[int, int]) -> LlamaForCausalLM:
    """A base that knows the language."""
    torch.manual_seed(seed[1])
    model = LlamaForCausalLM(LlamaConfig(**SHAPE, attn_implementation="sdpa"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=BASE_RATE, weight_decay=0.01, fused=True)
    texts = torch.from_numpy(
        language.write(BASE_STEPS * BASE_BATCH, np.random.default_rng((*seed, 2)))
    )
    with Progress("base", total=BASE_STEPS, unit="step") as progress:
        for step in range(BASE_STEPS):
            share = min(1.0, step / 50) * (1 - step / BASE_STEPS)
            for group in optimizer.param_groups:
                group["lr"] = BASE_RATE * share
            ids = texts[step * BASE_BATCH : (step + 1) * BASE_BATCH]
            logits = model(input_ids=ids[:, :-1], use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            progress.update(1, loss=loss.item())
    return model


def heldout(texts: NDArray[np.int64]) -> EncodedSet:
    encoded = (EncodedText(f"t{n}", ids[1:].tolist(), LENGTH - 1) for n, ids in enumerate(texts))
    return EncodedSet(tuple(encoded), TOKENS, "<s>")


def config_of(world: World) -> TrainerConfig:
    return TrainerConfig(
        sequence_length=LENGTH, batch_size=BATCH, max_steps=STEPS, learning_rate=world.rate,
        step={"micro_batch_tokens": BATCH * LENGTH}, heldout="medical", heldout_max_length=LENGTH,
    )  # fmt: skip


def measured(seed: int, folder: Path) -> dict[str, Any]:
    """One world: what every text scores by the base, by each rung and at the end."""
    started = time.process_time()
    world = World.of(seed)
    # Worlds have one of three bases, as hospitals share theirs.
    house = (seed // 100, seed % BASES)
    general = Language.new(np.random.default_rng((*house, 1)))
    base = known(general, house, folder)
    draw = np.random.default_rng((seed, 3))
    medical = general.turned(Language.new(draw), world.distance)
    replayed = round(STEPS * BATCH * world.replay)
    parts = general.write(replayed, draw), medical.write(STEPS * BATCH - replayed, draw)
    rows = TextRows(draw.permutation(np.concatenate(parts)))
    sets = {
        "medical": heldout(medical.write(TEXTS, draw)),
        "general": heldout(general.write(TEXTS, draw)),
    }

    def scored(model: LlamaForCausalLM) -> dict[str, Any]:
        return {
            name: measure(model, texts, length=LENGTH, name=name).model_dump(mode="json")
            for name, texts in sets.items()
        }

    config = config_of(world)
    found: dict[str, Any] = {"world": world._asdict(), "before": scored(base), "after": {}}
    for steps in (*ladder(STEPS, SHARE), STEPS):
        model = copy.deepcopy(base)
        order = Order(
            [Stream(range(len(rows.ids)), len(rows.ids))], rows.cost,
            batch_size=BATCH, num_epochs=1, max_steps=steps, seed=config.seed + steps,
        )  # fmt: skip
        short = config.model_copy(update={"schedule": compressed(config.schedule, STEPS)})
        with Progress(f"world {seed}", total=steps, unit="step") as progress:
            climb(
                model, rows, order, short,
                compute=Compute(torch.float32, sharded=False),
                world=alone(torch.device("cpu")), progress=progress,
            )  # fmt: skip
        found["after"][steps] = scored(model)
    return found | {"cpu_seconds": round(time.process_time() - started, 1)}


def known(language: Language, house: tuple[int, int], folder: Path) -> LlamaForCausalLM:
    """The base of a house, trained once."""
    path = folder / f"base-{house[0]}-{house[1]}"
    if not path.is_dir():
        pretrained(language, house).save_pretrained(path)
    return LlamaForCausalLM.from_pretrained(path)


def judged(found: dict[str, Any]) -> dict[str, Any]:
    """What the pilot says of a world, and what came."""
    world, schedule = found["world"], config_of(World(**found["world"])).schedule
    rungs = ladder(STEPS, SHARE)
    areas = [area(compressed(schedule, STEPS), steps) for steps in rungs]
    forecasts, out = {}, {"world": world, "rungs": rungs}
    for name in SETS:
        before = Scores.model_validate(found["before"][name])
        *after, end = (
            Scores.model_validate(found["after"][str(steps)][name]) for steps in (*rungs, STEPS)
        )
        said = forecasts[name] = forecast(
            areas, before, after, area(schedule, STEPS), seed=world["seed"]
        )
        change = end.nll_per_token - before.nll_per_token
        line = np.polyfit(np.log(rungs), said.rungs, 1)
        out[name] = {
            "base": before.nll_per_token, **said._asdict(), "change": change,
            "held": said.low <= change <= said.high,
            "last_rung": said.rungs[-1], "line": float(np.polyval(line, np.log(STEPS))),
        }  # fmt: skip
    changes = {name: out[name]["change"] for name in SETS}
    out["decisions"] = [
        {
            **settings.model_dump(),
            "said": judge(forecasts, "medical", settings),
            "worth_it": is_worth_it(changes, "medical", settings),
        }
        for settings in DECISIONS
    ]
    return out


def summary(worlds: list[dict[str, Any]]) -> dict[str, Any]:
    """How often the interval held the change, how wide it was, simple rules' errors, decisions."""
    rows, out = [["set", "held", "mean width", "error", "of last rung", "of a line"]], {}
    for name in SETS:
        sets = [world[name] for world in worlds]
        width = float(np.mean([s["high"] - s["low"] for s in sets]))
        errors = {
            key: float(np.mean([abs(s[key] - s["change"]) for s in sets]))
            for key in ("median", "last_rung", "line")
        }
        held = sum(s["held"] for s in sets)
        out[name] = {
            "held": held, "of": len(sets), "level": LEVEL, "mean_width": width,
            "mean_absolute_error": errors,
        }  # fmt: skip
        shown = (f"{value:.3f}" for value in (width, *errors.values()))
        rows.append([name, f"{held} of {len(sets)}", *shown])
    say(table(rows))
    rows = [["least gain", "most loss", "train", "do not train", "cannot tell"]]
    out["decisions"] = []
    for number, settings in enumerate(DECISIONS):
        made = [world["decisions"][number] for world in worlds]
        counts = {}
        for answer, right in (("train", True), ("do not train", False)):
            said = [d["worth_it"] == right for d in made if d["said"] == answer]
            counts[answer] = {"said": len(said), "right": sum(said)}
        counts["cannot tell"] = {"said": sum(d["said"] == "cannot tell" for d in made)}
        out["decisions"].append({**settings.model_dump(), **counts})
        texts = [f"{c['right']} of {c['said']} right" for c in list(counts.values())[:2]]
        unknown = str(counts["cannot tell"]["said"])
        rows.append([str(settings.min_gain), str(settings.max_loss), *texts, unknown])
    say(table(rows))
    return out


def draw(worlds: list[dict[str, Any]], path: Path) -> None:
    """Intervals and what came, world by world."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), SETS, strict=True):
        sets = [world[name] for world in worlds]
        x = [world["world"]["seed"] for world in worlds]
        ends = [[s["median"] - s["low"] for s in sets], [s["high"] - s["median"] for s in sets]]
        axes.axhline(0, color="black", linewidth=0.8)
        axes.errorbar(
            x, [s["median"] for s in sets], yerr=ends, fmt="_", color="tab:gray",
            label=f"pilot of 1 %, {LEVEL:.0%}",
        )  # fmt: skip
        axes.plot(x, [s["change"] for s in sets], "o", color="tab:blue", ms=4, label="5,000 steps")
        axes.plot(x, [s["last_rung"] for s in sets], "x", color="tab:red", ms=4, label="last rung")
        axes.set(title=name, xlabel="world", ylabel="change (nats per token)")
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--judge", action="store_true", help="measure nothing")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/bedside-pilot"))
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    found = []
    for seed in range(arguments.first, arguments.first + arguments.worlds):
        path = arguments.folder / f"world-{seed}.json"
        if not path.is_file() and not arguments.judge:
            write_atomic(path, json.dumps(measured(seed, arguments.folder)).encode())
        if path.is_file():
            found.append(json.loads(path.read_bytes()))
    worlds = [judged(one) for one in found]
    result = summary(worlds) | {
        "worlds_wanted": arguments.worlds,
        "cpu_seconds": round(sum(one["cpu_seconds"] for one in found)),
        "machine": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}, 1 thread",
        "versions": {name: version(name) for name in ("torch", "transformers", "numpy")},
        "worlds": worlds,
    }
    arguments.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    draw(worlds, arguments.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
