"""`bedside trainer run`: continual pre-training (CPT) of the base model on the corpus."""

from __future__ import annotations

from bedside_core.console import say
from bedside_core.kinds.corpus import PARQUET
from bedside_core.kinds.heldout import read_exam_part, read_set
from bedside_core.run import Run
from bedside_models.device import device_kind
from bedside_models.settle import settle
from bedside_trainer.config import TrainerConfig

LIBRARIES = ("accelerate", "numpy", "tokenizers", "torch", "transformers")


def train(config: TrainerConfig, run: Run) -> None:
    """From base and corpus to a checkpoint; goes on where a killed run of the same recipe stopped.

    Raises:
        InputError: no base, corpus or development part yet, an incomplete base, an empty corpus,
            unusable held-out texts, too little memory, or a loss that is not finite.
        ArtifactError: an input does not match its manifest, or the disk is full.
        KeyboardInterrupt: stopped by a signal, with its state saved.
    """
    base, corpus = run.input("base"), run.input("corpus")
    parts = run.development()
    replay = {"replay": run.input("corpus", "replay")} if config.replay else {}
    recipe = run.recipe(
        config,
        parents={"base": base, "corpus": corpus, "heldout": parts, **replay},
        libraries=LIBRARIES,
        device=device_kind(),
    )
    if run.reuse("checkpoint", recipe):
        return

    # torch and transformers take seconds to import: only now that there is work to do.
    settle()
    import torch

    from bedside_models import footprint, likelihood, load
    from bedside_models.describe import describe
    from bedside_trainer import checkpoint, loop, report
    from bedside_trainer.data import lineage, separator
    from bedside_trainer.data.prepare import prepare
    from bedside_trainer.data.report import packing_report
    from bedside_trainer.development import Development
    from bedside_trainer.naming import names_of

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
        corpus=corpus,
        tokenizer=tokenizer,
        vocabulary=shape.vocabulary,
        room=run.registry.workrooms[0],
        replay=replay.get("replay"),
    )
    packing = packing_report(data, config)
    say(separator.explain(data.separator, tokenizer, base.path))
    say(str(packing))
    files = [artifact.file(PARQUET) for artifact in (corpus, *replay.values())]
    exams = config.milestones.exams if config.milestones else ()
    development = Development(
        likelihood.encode(read_set(parts, config.heldout), tokenizer),
        config.heldout_max_length,
        tokenizer,
        {name: read_exam_part(parts, name) for name in exams},
    )

    demand = footprint.Demand(
        "training",
        shape.training,
        batch=("trainer.batch_size", data.order.batch_size),
        length=("trainer.sequence_length", config.sequence_length),
    )
    with (
        demand.granted(),
        run.registry.work(recipe.sha256) as work,
        run.write("checkpoint", recipe) as artifact,
    ):
        # Weights that stay as they are may be stored as the card computes.
        frozen = config.method == "lora" and torch.cuda.is_available()
        model = load.load_model(base.path, "bfloat16" if frozen else "float32")
        outcome = loop.train(
            model,
            data.rows,
            data.order,
            development,
            lambda rows: names_of(files, data.rows.documents_in(rows)),
            config,
            work,
        )
        checkpoint.save(model, base, artifact.path)
        report.write_report(artifact.path, outcome)
        packing.write(artifact.path, data.rows)
        lineage.write(artifact.path, data, steps=outcome.steps)
        outcome.course.write(artifact.path, outcome.before)
        artifact.facts.update(describe(artifact.path), **report.facts(outcome, packing))
    facts = artifact.facts
    say(
        f"held-out perplexity {facts['perplexity_before']:.2f} -> {facts['perplexity_after']:.2f} "
        f"({outcome.after.estimand}); "
        f"{facts['tokens']} tokens in {facts['seconds']:.0f} s ({facts['tokens_per_second']:.0f}/s)"
    )
