"""`bedside trainer run`: continual pre-training (CPT) of the base model on the corpus.

One process, or one for each GPU: the verb starts them itself where several GPUs are visible, or
torchrun, `accelerate launch`, Slurm or a Kubernetes Job does. The first process leads: it alone
reads the registry, holds the locks, writes and speaks; the others train with it.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from bedside_core.artifacts import Artifact
from bedside_core.console import say
from bedside_core.kinds.corpus import shards
from bedside_core.kinds.heldout import read_choice_part, read_set
from bedside_core.kinds.milestones import folder_of
from bedside_core.run import Run
from bedside_models.device import choose_device, describe_device, device_kind
from bedside_models.settle import settle
from bedside_trainer.config import TrainerConfig
from bedside_trainer.parallel.processes import refuse_many, started, the_first_speaks

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bedside_trainer.data.prepare import Data
    from bedside_trainer.development import Development
    from bedside_trainer.loop import Outcome
    from bedside_trainer.parallel.world import World
    from bedside_trainer.step.precision import Compute

LIBRARIES = ("accelerate", "numpy", "tokenizers", "torch", "transformers")
DEVICE = "trainer.device"


def train(config: TrainerConfig, run: Run) -> None:
    """From base and corpus to a checkpoint; goes on where a killed run of the same recipe stopped.

    Raises:
        ConfigError: a GPU was asked for and there is none, a launcher's variables are wrong, or
            adapters were to be trained by several processes.
        InputError: no base, corpus or development part yet, an incomplete base, an empty corpus,
            unusable held-out texts, too little memory, a loss that is not finite, or another
            process was lost.
        ArtifactError: an input does not match its manifest, or the disk is full.
        KeyboardInterrupt: stopped by a signal, with its state saved.
    """
    in_processes(config, run, lead, follow)


def in_processes(
    config: TrainerConfig,
    run: Run,
    lead: Callable[..., None],
    follow: Callable[[TrainerConfig, Run, World], None],
) -> None:
    """Call `lead` where no launcher started this process, or this is the first; else `follow`."""
    if started() == 1:
        lead(config, run)
        return
    with the_first_speaks():
        refuse_many(config)
        settle()
        from bedside_trainer.parallel.world import joined

        with joined(choose_device(config.device, name=DEVICE)) as world:
            if world.is_first:
                with world.leading() as tell:
                    lead(config, run, world, tell)
            else:
                with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                    follow(config, run, world)


def inputs_of(config: TrainerConfig, run: Run) -> dict[str, Artifact]:
    """What a training takes in, by role, verified."""
    inputs = {"base": run.input("base"), "corpus": run.input("corpus")}
    inputs["heldout"] = run.development()
    if config.replay:
        inputs["replay"] = run.input("corpus", "replay")
    return inputs


def started_alone(config: TrainerConfig) -> World | None:
    """This process as all there is; None if this command was done in one process for each GPU."""
    import torch

    from bedside_trainer.parallel.world import alone

    device = choose_device(config.device, name=DEVICE)
    gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    if gpus > 1 and config.method == "full":
        from bedside_trainer.parallel import launch

        launch.run_as_many(gpus, sys.argv[1:])
        return None
    return alone(device)


def lead(
    config: TrainerConfig,
    run: Run,
    world: World | None = None,
    tell: Callable[[str], object] = lambda message: None,
) -> None:
    """What the first process does, or the only one.

    Args:
        config: of the training.
        run: its surroundings.
        world: the processes that a launcher started.
        tell: says to the others what is trained, and where.
    """
    inputs = inputs_of(config, run)
    recipe = run.recipe(
        config,
        parents=inputs,
        libraries=LIBRARIES,
        device=device_kind(config.device),
    )
    if run.reuse("checkpoint", recipe):
        return

    # torch and transformers take seconds to import: only now that there is work to do.
    settle()
    from bedside_models.describe import describe
    from bedside_trainer import report
    from bedside_trainer.data import lineage
    from bedside_trainer.data.report import packing_report
    from bedside_trainer.plan.need import need_here, room_here

    world = world or started_alone(config)
    if world is None:
        return
    data, development = prepared(config, run, inputs)
    packing = packing_report(data, config)
    say(str(packing))
    longest = int(data.rows.lengths.max())
    need = need_here(inputs["base"].path, config, longest=longest, world=world)
    with (
        need.granted(room_here(world)),
        run.registry.work(recipe.sha256) as work,
        run.write("checkpoint", recipe) as artifact,
    ):
        digests = {role: found.digest for role, found in inputs.items()}
        places = {"work": str(work), "target": str(artifact.path)}
        tell(json.dumps({"inputs": digests, **places}))
        outcome = carry_out(config, run.name, inputs, data, development, work, artifact.path, world)
        report.write_report(artifact.path, outcome, work)
        packing.write(artifact.path, data.rows)
        lineage.write(artifact.path, data, steps=outcome.steps)
        outcome.course.write(artifact.path, outcome.before)
        artifact.facts.update(describe(artifact.path), **report.facts(outcome, packing))
        artifact.facts["device"] = describe_device(world.device) | {"processes": world.size}
    facts = artifact.facts
    say(
        f"held-out perplexity {facts['perplexity_before']:.2f} -> {facts['perplexity_after']:.2f} "
        f"({outcome.after.estimand}); "
        f"{facts['tokens']} tokens in {facts['seconds']:.0f} s ({facts['tokens_per_second']:.0f}/s)"
    )
    for name, change in facts["nll_per_token_change"].items():
        say(f"{name}: {change:+.3f} nats per token, {'learned' if change < 0 else 'forgotten'}")


def follow(config: TrainerConfig, run: Run, world: World) -> None:
    """What every other process does: what the first one says, if there is anything to do."""
    told = json.loads(world.hear())
    if told is None:
        return
    inputs = {role: run.registry.get(digest) for role, digest in told["inputs"].items()}
    data, development = prepared(config, run, inputs, check=False)
    work, target = Path(told["work"]), Path(told["target"])
    carry_out(config, run.name, inputs, data, development, work, target, world)


def prepared(
    config: TrainerConfig, run: Run, inputs: Mapping[str, Artifact], *, check: bool = True
) -> tuple[Data, Development]:
    """Rows to train on, and what the model is scored on.

    Args:
        config: of the training.
        run: its surroundings.
        inputs: base, corpus, development parts and replayed texts, by role.
        check: off where another process has compared hashes.
    """
    from bedside_models import footprint, likelihood, load
    from bedside_trainer.data import separator
    from bedside_trainer.data.prepare import prepare
    from bedside_trainer.development import Development

    base = inputs["base"]
    load.check_context(
        base.path,
        trainer__sequence_length=config.sequence_length,
        trainer__heldout_max_length=config.heldout_max_length,
    )
    load.check_weights(base.path)
    tokenizer, shape = load.load_tokenizer(base.path), footprint.read_shape(base.path)
    data = prepare(
        config,
        base=base,
        corpus=inputs["corpus"],
        tokenizer=tokenizer,
        vocabulary=shape.vocabulary,
        room=run.registry.workrooms[0],
        replay=inputs.get("replay"),
        check=check,
    )
    say(separator.explain(data.separator, tokenizer, base.path))
    exams = config.milestones.exams if config.milestones else ()
    development = Development(
        likelihood.encode(read_set(inputs["heldout"], config.heldout), tokenizer),
        config.heldout_max_length,
        tokenizer,
        {name: read_choice_part(inputs["heldout"], name) for name in exams},
    )
    return data, development


def carry_out(
    config: TrainerConfig,
    name: str,
    inputs: Mapping[str, Artifact],
    data: Data,
    development: Development,
    work: Path,
    target: Path,
    world: World,
) -> Outcome:
    """Train, in all processes, and write the weights into `target`."""
    from bedside_trainer import checkpoint, loop
    from bedside_trainer.naming import names_of
    from bedside_trainer.step.precision import compute_in
    from bedside_trainer.watch import domains
    from bedside_trainer.watch.watcher import Watcher

    base = inputs["base"]
    compute = compute_in(config.step.compute, world.device, sharded=world.size > 1)
    model = loaded(config, base, compute, world)
    roles = [role for role in ("corpus", "replay") if role in inputs]
    files = [shard.path for role in roles for shard in shards(inputs[role])]
    others = domains.others(
        inputs["heldout"], config.heldout, development.tokenizer, config.watch.num_texts
    )
    outcome = loop.train(
        model,
        data,
        development,
        lambda rows: names_of(files, data.rows.documents_in(rows)),
        config,
        work,
        compute=compute,
        world=world,
        watcher=Watcher(
            config, run=name, work=work, others=others, first=world.is_first, devices=world.size
        ),
        publish=lambda step: checkpoint.save(model, base, target / folder_of(step), world),
    )
    checkpoint.save(model, base, target, world)
    return outcome


def loaded(
    config: TrainerConfig, base: Artifact, compute: Compute, world: World
) -> PreTrainedModel:
    """The base on its device, or this process's part of it.

    Raises:
        ConfigError: kernels that are not there.
    """
    from bedside_models.load import load_model
    from bedside_trainer.parallel.mesh import device_mesh, load_sharded
    from bedside_trainer.step.kernels import check_kernels

    check_kernels(config.step, world.device)
    if world.size > 1:
        return load_sharded(base.path, device_mesh(world, config.parallel.shard), compute)
    # Weights that stay as they are may be stored as the card computes.
    frozen = config.method == "lora" and compute.name == "bfloat16"
    model = load_model(base.path, "bfloat16" if frozen else "float32")
    model.to(world.device)  # type: ignore[arg-type]
    return model
