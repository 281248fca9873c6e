"""`bedside trainer pilot`: what would the training gain, and what would it lose?

Short trainings of the run's own base on its own corpus, by the processes that the training would
have. Nothing is published. What a rung scored stays in `BEDSIDE_HOME/work/pilot-.../`, so that the
same command after a kill trains the missing rungs alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from bedside_core.artifacts import Artifact
from bedside_core.config import sha256_of
from bedside_core.console import say
from bedside_core.files import disk_errors, write_atomic
from bedside_core.run import Run
from bedside_models.device import device_kind
from bedside_models.scores import Scores
from bedside_models.settle import settle
from bedside_trainer.config import TrainerConfig
from bedside_trainer.pilot.ladder import area, compressed, ladder
from bedside_trainer.run import (
    LIBRARIES,
    in_processes,
    inputs_of,
    loaded,
    prepared,
    started_alone,
)

if TYPE_CHECKING:
    from bedside_trainer.data.prepare import Data
    from bedside_trainer.development import Development
    from bedside_trainer.parallel.world import World

Sets = dict[str, Scores]
"""Scores of every set of the development part."""
_SETS = TypeAdapter(Sets)


def pilot(config: TrainerConfig, run: Run) -> None:
    """Train the rungs, say what they foretell, and write it beside their scores.

    Raises:
        ConfigError: a GPU was asked for and there is none, or a launcher's variables are wrong.
        InputError: the pilot's share of the steps is too short; no base, corpus or development part
            yet; too little memory; a loss that is not finite; another process was lost.
        ArtifactError: an input does not match its manifest, or the disk is full.
    """
    in_processes(config, run, lead, follow)


def lead(
    config: TrainerConfig,
    run: Run,
    world: World | None = None,
    tell: Callable[[str], object] = lambda message: None,
) -> None:
    """What the first process does, or the only one."""
    inputs = inputs_of(config, run)
    recipe = run.recipe(
        config, parents=inputs, libraries=LIBRARIES, device=device_kind(config.device)
    )
    settle()
    from bedside_trainer.data.room import alone_in
    from bedside_trainer.pilot import report
    from bedside_trainer.pilot.law import forecast
    from bedside_trainer.pilot.verdict import judge
    from bedside_trainer.plan.need import need_here, room_here

    world = world or started_alone(config)
    if world is None:
        return
    data, development = prepared(config, run, inputs)
    steps = data.order.steps
    rungs = ladder(steps, config.pilot.share)
    longest = int(data.rows.lengths.max())
    need = need_here(inputs["base"].path, config, longest=longest, world=world)
    name = sha256_of({"recipe": recipe.sha256, "texts": config.watch.num_texts})[:16]
    room = run.registry.workrooms[0] / f"pilot-{name}"
    say(f"pilot: {sum(rungs)} of {steps} steps, in {len(rungs)} trainings of {listed(rungs)} steps")
    with alone_in(room), need.granted(room_here(world)), disk_errors("the pilot's scores"):
        done = [kept(room, steps) is not None for steps in (0, *rungs)]
        digests = {role: found.digest for role, found in inputs.items()}
        tell(json.dumps({"inputs": digests, "room": str(room), "done": done}))
        before, *after = climbed(config, inputs, data, development, room, done, world)
        areas = [area(compressed(config.schedule, steps), rung) for rung in rungs]
        whole = area(config.schedule, steps)
        forecasts = {
            name: forecast(areas, scores, [rung[name] for rung in after], whole, seed=config.seed)
            for name, scores in before.items()
        }
        verdict = judge(forecasts, config.heldout, config.pilot)
        report.write(room, config, rungs, steps, forecasts, verdict)
    say(report.shown(config, forecasts, verdict))
    if data.order.steps * data.order.batch_size > data.order.per_epoch:
        say("not foreseen: what later epochs of the same texts do")
    say(f"{room / report.REPORT}")


def listed(numbers: tuple[int, ...]) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def follow(config: TrainerConfig, run: Run, world: World) -> None:
    """What every other process does."""
    told = json.loads(world.hear())
    if told is None:
        return
    inputs = {role: run.registry.get(digest) for role, digest in told["inputs"].items()}
    data, development = prepared(config, run, inputs, check=False)
    climbed(config, inputs, data, development, Path(told["room"]), told["done"], world)


def kept(room: Path, steps: int) -> Sets | None:
    """What a rung scored before, if that is there and whole; the base is the rung of no step."""
    try:
        return _SETS.validate_json((room / f"rung-{steps}.json").read_bytes())
    except (OSError, ValueError):
        return None


def climbed(
    config: TrainerConfig,
    inputs: Mapping[str, Artifact],
    data: Data,
    development: Development,
    room: Path,
    done: list[bool],
    world: World,
) -> list[Sets]:
    """The scores of the base and of every rung, in all processes.

    Args:
        config: of the training.
        inputs: base, corpus, development parts and replayed texts, by role.
        data: what the training reads.
        development: texts of `trainer.heldout`.
        room: where scores are kept.
        done: which are there.
        world: the processes that train.
    """
    from bedside_core.progress import Progress
    from bedside_trainer.data.order import Order
    from bedside_trainer.loop import fitted_out, measured
    from bedside_trainer.parallel.mesh import give_back
    from bedside_trainer.pilot.rung import climb
    from bedside_trainer.step.precision import compute_in
    from bedside_trainer.watch import domains

    compute = compute_in(config.step.compute, world.device, sharded=world.size > 1)
    others = domains.others(
        inputs["heldout"], config.heldout, development.tokenizer, config.watch.num_texts
    )
    whole = data.order.steps
    short = config.model_copy(update={"schedule": compressed(config.schedule, whole)})
    found = []
    lengths = (0, *ladder(whole, config.pilot.share))
    left = sum(steps for steps, there in zip(lengths, done, strict=True) if not there)
    with Progress("pilot", total=max(1, left), unit="step") as progress:
        for steps, there in zip(lengths, done, strict=True):
            if there and (scores := kept(room, steps)) is not None:
                found.append(scores)
                continue
            model = loaded(config, inputs["base"], compute, world)
            if steps:
                fitted_out(model, config, compute)
                order = Order(
                    data.order.streams, data.rows.cost, batch_size=config.batch_size,
                    num_epochs=config.num_epochs, max_steps=steps,
                    # Rows of its own: what rungs have in common would look like certainty.
                    seed=config.seed + steps,
                )  # fmt: skip
                climb(
                    model, data.rows, order, short,
                    compute=compute, world=world, progress=progress,
                )  # fmt: skip
            name = f"after {steps} steps"
            scores = {config.heldout: measured(model, development, compute, name)}
            scores |= domains.measured(model, others, length=config.heldout_max_length, when=name)
            give_back(model)
            found.append(scores)
            if world.is_first:
                write_atomic(room / f"rung-{steps}.json", _SETS.dump_json(scores))
            del model
    return found
