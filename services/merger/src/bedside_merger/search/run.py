"""`bedside merger search`: try merges on development parts, keep the best, say what it is worth.

The best of many is partly luck. So half of the texts or items choose, and the other half, which no
trial saw, says by how much the choice is better than DeFineMed's schedule. What is sealed for the
verdict is seen by neither.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from bedside_core import memory
from bedside_core.console import say, table
from bedside_core.errors import ConfigError
from bedside_core.kinds.heldout import read_choice_part, read_set
from bedside_core.run import Run
from bedside_merger.config import MergerConfig, Search
from bedside_merger.merge import Merge
from bedside_merger.search.propose import Rule, Trial, best_of, propose
from bedside_models.device import device_kind
from bedside_models.settle import settle

if TYPE_CHECKING:
    from bedside_merger.search.score import Half, Interval, Predicted

REPORT, TRIALS, BEST = "search.json", "trials.jsonl", "merger.yaml"
LIBRARIES = ("mergekit", "numpy", "safetensors", "scipy", "tokenizers", "torch", "transformers")
SCHEMA_VERSION = 2
"""1 knew no exam."""
SHOWN = 8
"""Trials in the table, the best first."""

Measure = Callable[[Path, str], "Predicted"]
"""Of a model's directory; the name is shown."""


class Bench(NamedTuple):
    """What measures merges in the same way throughout."""

    config: MergerConfig
    base: Path
    checkpoint: Path
    room: Path
    """For one merged model at a time."""

    def measured(self, merge: Merge, measure: Measure, name: str) -> Predicted:
        """A merge as `merger run` would store it."""
        from bedside_merger.export import export, rounder
        from bedside_merger.merge import by_path, document, models_of
        from bedside_merger.stream import merged_tensors

        shutil.rmtree(self.room, ignore_errors=True)
        self.room.mkdir()
        config = self.config
        models = models_of(merge, self.base, self.checkpoint)
        export(
            merged_tensors(document(merge, models, config.dtype, by_path), config.seed),
            self.base,
            self.room,
            rounder(config.dtype, config.rounding, config.seed),
            dtype=config.dtype,
        )
        found = measure(self.room, name)
        shutil.rmtree(self.room)
        return found


def search(config: MergerConfig, run: Run) -> None:
    """Go through the budget of trials; a killed search goes on where it stopped.

    Raises:
        ConfigError: the section has no `search`.
        InputError: an earlier step has not run, the models cannot be merged, a set or the exam has
            too few texts or items, or there is too little memory.
        ArtifactError: an input was tampered with, or the disk is full.
    """
    settings = config.search
    if settings is None:
        raise ConfigError(
            "merger.search: is missing - name a target or an exam, and general sets, see "
            "docs/merging.md"
        )
    base, checkpoint, heldout = run.input("base"), run.input("checkpoint"), run.development()
    recipe = run.recipe(
        # What is merged is what is searched: only how it is stored and measured matters.
        config.model_copy(
            update={"preset": None, "method": None, "parameters": {}, "models": (), "probe": None}
        ),
        parents={"base": base, "checkpoint": checkpoint, "heldout": heldout},
        formats={"report": SCHEMA_VERSION},
        libraries=LIBRARIES,
        device=device_kind(),
    )
    artifact = run.reuse("search", recipe)
    if artifact is None:
        settle()
        from bedside_merger.models import check_mergeable
        from bedside_merger.search.score import halve
        from bedside_models import footprint, likelihood, load

        load.check_context(base.path, merger__search__max_length=settings.max_length)
        check_mergeable(base.path, checkpoint.path)
        names = (*((settings.target,) if settings.target else ()), *settings.general)
        sets = {name: read_set(heldout, name) for name in names}
        exams = {name: read_choice_part(heldout, name) for name in (settings.exam,) if name}
        halves = halve({**sets, **exams}, settings.seed)
        tokenizer = load.load_tokenizer(base.path)

        def measure_on(half: Half) -> Measure:
            from bedside_merger.search.score import predict

            encoded = {name: likelihood.encode(half[name], tokenizer) for name in sets}
            items = {name: half[name] for name in exams}
            return lambda path, name: predict(
                load.load_model(path),
                encoded,
                items,
                tokenizer,
                length=settings.max_length,
                name=name,
            )

        need = footprint.read_shape(base.path).scoring(settings.max_length)
        advice = "set merger.search.max_length lower, or use a machine with more memory"
        memory.require(need, memory.available_bytes(), what="searching", advice=advice)
        with (
            memory.refusing("searching", lambda: advice, need=need),
            run.registry.work(recipe.sha256) as work,
            run.write("search", recipe) as writer,
        ):
            bench = Bench(config, base.path, checkpoint.path, work / "trial")
            trials = _trials(settings, bench, measure_on(halves.choose), work / TRIALS)
            report = _checked(settings, bench, measure_on(halves.check), trials, halves.check)
            shutil.copyfile(work / TRIALS, writer.path / TRIALS)
            _write(writer.path, report)
        artifact = writer.result
    _show(json.loads(artifact.file(REPORT).read_bytes()))
    say(f"the best as a section for your config: {artifact.path / BEST}")


def _trials(settings: Search, bench: Bench, measure: Measure, path: Path) -> list[Trial]:
    """Try until the budget is spent, from what an earlier, killed process recorded."""
    from bedside_merger.search.score import drift, gain

    trials = _recorded(path)
    if trials:
        say(f"going on after {len(trials)} trials")
    base = measure(bench.base, "base")
    while (number := len(trials)) < settings.trials:
        family, point = propose(trials, _rule(settings), settings.seed)
        trial = Trial(number=number, family=family, point=point, gain=0, drift=0, change={})
        found = bench.measured(trial.merge, measure, f"trial {number + 1}/{settings.trials}")
        trial = trial.model_copy(
            update={
                "gain": gain(base, found, settings.aim),
                "drift": drift(base, found, settings.general),
                "change": {name: -gain(base, found, name) for name in settings.general},
            }
        )
        trials.append(trial)
        with path.open("a", encoding="utf-8") as file:
            file.write(trial.model_dump_json() + "\n")
            file.flush()
            os.fsync(file.fileno())
    return trials


def _rule(settings: Search) -> Rule:
    return Rule(settings.bound, settings.limit)


def _recorded(path: Path) -> list[Trial]:
    """Whole lines only: the last may have been cut off."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    path.write_text(whole, encoding="utf-8")
    return [Trial.model_validate_json(line) for line in whole.splitlines()]


def _checked(
    settings: Search, bench: Bench, measure: Measure, trials: list[Trial], half: Half
) -> dict[str, Any]:
    """The best of the trials, measured on texts and items that chose nothing."""
    from bedside_merger.search.score import drift, gain, gains, interval

    target, first = settings.aim, trials[0]
    best = best_of(trials, _rule(settings)) or first
    base = measure(bench.base, "check base")
    trained = measure(bench.checkpoint, "check checkpoint")
    reference = bench.measured(first.merge, measure, "check DeFineMed")
    chosen = reference if best is first else bench.measured(best.merge, measure, "check best")
    whole = gain(base, trained, target)

    def numbers(found: Predicted) -> dict[str, Any]:
        one = gain(base, found, target)
        return {
            "gain": one,
            "share_of_training": one / whole if whole > 0 else None,
            "drift": drift(base, found, settings.general),
            "change": {name: -gain(base, found, name) for name in settings.general},
        }

    ours, theirs = gains(base, chosen, target), gains(base, reference, target)
    above: Interval = interval(
        {text: ours[text] - theirs[text] for text in ours}, half[target], settings.confidence
    )
    return {
        "schema_version": SCHEMA_VERSION,
        "target": target,
        "unit": "right answers" if settings.exam else "nats per token",
        "general": list(settings.general),
        "num_trials": len(trials),
        "bound": settings.bound,
        "limit": _rule(settings).limit_of(trials),
        "best": best.model_dump(mode="json") | {"merge": best.merge.model_dump(mode="json")},
        "trials": [trial.model_dump(mode="json") for trial in trials],
        "check": {
            "checkpoint": numbers(trained),
            "definemed": numbers(reference),
            "best": numbers(chosen),
            "best_above_definemed": above._asdict() | {"confidence": settings.confidence},
        },
    }


def _write(folder: Path, report: dict[str, Any]) -> None:
    (folder / REPORT).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    merge = {key: value for key, value in report["best"]["merge"].items() if value}
    text = yaml.safe_dump({"merger": merge}, sort_keys=False, default_flow_style=None)
    (folder / BEST).write_text(text, encoding="utf-8")


def _show(report: dict[str, Any]) -> None:
    trials = [Trial.model_validate(one) for one in report["trials"]]
    limit, bound = report["limit"], report["bound"]
    rows = [["trial", "family", "gain", "drift", "loss", "within the bound", "numbers"]]
    amounts = {trial.number: trial.amount(bound) for trial in trials}
    ordered = sorted(trials, key=lambda t: (amounts[t.number] > limit, -t.gain))
    rows += [
        [
            str(t.number),
            t.family,
            f"{t.gain:.4f}",
            f"{t.drift:.4f}",
            f"{t.amount('loss'):+.4f}",
            "yes" if amounts[t.number] <= limit else "no",
            " ".join(f"{value:g}" for value in t.point),
        ]
        for t in ordered[:SHOWN]
    ]
    unit = report["unit"]
    say(f"{report['num_trials']} trials on what chooses, gain in {unit}, else nats per token:")
    say(table(rows))
    say("on what chose nothing:")
    rows = [["model", f"gain in {report['target']}", "of the training's", "drift", "loss"]]
    for name in ("checkpoint", "definemed", "best"):
        one = report["check"][name]
        share = one["share_of_training"]
        rows.append(
            [
                name,
                f"{one['gain']:.4f}",
                "-" if share is None else f"{share:.0%}",
                f"{one['drift']:.4f}",
                f"{max(one['change'].values()):+.4f}",
            ]
        )
    say(table(rows))
    above = report["check"]["best_above_definemed"]
    spread = (
        "no interval, as all are alike"
        if above["low"] is None
        else f"{above['confidence']:.0%} interval {above['low']:+.4f} to {above['high']:+.4f}"
    )
    say(
        f"best above DeFineMed's schedule: {above['mean']:+.4f} {unit} ({spread}, "
        f"{above['clusters']} independent texts or items); where it was chosen, {bound} was at "
        f"most {limit:.4f}"
    )
