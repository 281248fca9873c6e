"""`bedside eval rank` and `bedside eval trajectory`: models on development parts alone.

Neither needs a plan, opens anything sealed or gives evidence: both are asked before a choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bedside_core.artifacts import Artifact, Recipe
from bedside_core.config import sha256_of
from bedside_core.console import say, table
from bedside_core.errors import ConfigError, InputError
from bedside_core.kinds.milestones import folder_of, milestones
from bedside_core.kinds.policy import read_policy
from bedside_core.matching import VERSION
from bedside_core.run import Run
from bedside_eval.config import EvalConfig
from bedside_eval.exam import Paper
from bedside_eval.groups import check_groups, groups_of
from bedside_eval.lineup import named
from bedside_eval.plan import prepare, read_papers
from bedside_models.device import ASKED, choose_device, device_kind
from bedside_models.settle import settle

if TYPE_CHECKING:
    from bedside_eval.ranking import Ranking
    from bedside_eval.records import ModelScores

CONFIDENCE = 0.95
LIBRARIES = ("lm_eval", "numpy", "scipy", "tokenizers", "torch", "transformers")


class Milestone(Artifact):
    """A milestone of a checkpoint, in the place of a model; the checkpoint's manifest lists it."""

    def __init__(self, checkpoint: Artifact, step: int) -> None:
        super().__init__(checkpoint.path)
        self._folder = folder_of(step)
        self.path = checkpoint.path / self._folder
        self.digest = sha256_of([checkpoint.digest, step])

    def file(self, name: str) -> Path:
        """The path of one of its files.

        Raises:
            ArtifactError: it has no such file.
        """
        super().file(f"{self._folder}/{name}")
        return self.path / name


def rank(config: EvalConfig, run: Run, models: tuple[str, ...]) -> None:
    """Rank models over the groups' exams, or all of them without groups.

    Raises:
        ConfigError: fewer than two models, or a group that does not fit its exams.
        InputError: a model or an exam is unusable, or an exam cannot be ranked in this process.
    """
    if len(set(models)) < 2:
        raise ConfigError("rank: two models at least are compared - name more")
    check_groups(config)
    found = named(run, dict.fromkeys(models))
    groups = groups_of(config)
    from bedside_eval.ranking import rankable, ranked

    paper = rankable(groups, development(config, run))
    scores = _examined(config, run, found, paper)
    for ranking in ranked(groups, paper, scores, confidence=CONFIDENCE):
        say(f"\n{ranking.group}: {len(ranking.sets)} set(s), development parts")
        say(table(_rank_rows(ranking)))


def _rank_rows(ranking: Ranking) -> list[list[str]]:
    rows = [["model", "average rank", f"{100 * CONFIDENCE:g} % interval", "by questions"]]
    order = sorted(zip(ranking.ranks, ranking.averages, strict=True), key=lambda one: one[0].rank)
    for found, average in order:
        bounds = found.interval
        shown = f"{bounds.low:.2f} to {bounds.high:.2f}" if bounds else "no information"
        rows.append([found.label, f"{found.rank:.2f}", shown, f"{100 * average:.1f} %"])
    return rows


def trajectory(config: EvalConfig, run: Run) -> None:
    """The base, the milestones of this run's checkpoint and its end, set by set.

    Raises:
        ConfigError: a group does not fit its exams.
        InputError: the checkpoint has no milestones, or something is unusable.
        ArtifactError: files do not match the manifest, or the picture cannot be written.
    """
    check_groups(config)
    policy = read_policy(config.policy)
    end = named(run, ["checkpoint"])["checkpoint"]
    steps = list(milestones(end.path))
    if not steps:
        raise InputError(
            "the checkpoint of this run has no milestones - train with trainer.milestones.publish"
        )
    base = named(run, [end.manifest.parents["base"]])
    models = {"end": end, "base": next(iter(base.values()))}
    models |= {f"step {step}": Milestone(end, step) for step in steps}
    whole = development(config, run)
    paper = Paper(whole.heldout, whole.choices)
    scores = _examined(config, run, models, paper)
    from bedside_eval.choice import asked, best
    from bedside_eval.course import plotted, points

    order = ["base", *(f"step {step}" for step in steps), "end"]
    course = points(paper, {name: scores[name] for name in order})
    say(table(course.rows()))
    candidates = {name: scores[name] for name in order[1:]}
    groups = groups_of(config)
    say(f"\nby the rule {config.selection}, of {len(candidates)} candidates:")
    best(policy, asked(policy, whole, config.selection, groups), candidates,
         config.selection, groups)  # fmt: skip
    folder = run.registry.home / "reports" / run.name
    for path in plotted(course, folder):
        say(f"written: {path}")


def development(config: EvalConfig, run: Run) -> Paper:
    """What may be asked before a plan, and as often as one likes."""
    _, planned = prepare(config, run)
    return read_papers(config, planned).development


def _examined(
    config: EvalConfig, run: Run, models: Mapping[str, Artifact], paper: Paper
) -> dict[str, ModelScores]:
    settle()
    choose_device("auto", name=ASKED)
    from bedside_eval.measurement import measure, refuse_unusable

    measurement = measure(config, run, recipe_of(config, run, models, paper), models, paper)
    refuse_unusable(measurement.results)
    return measurement.results


def recipe_of(config: EvalConfig, run: Run, models: Mapping[str, Artifact], paper: Paper) -> Recipe:
    """What a measurement of development parts is known by while it is unfinished."""
    whole = {name: model for name, model in models.items() if not isinstance(model, Milestone)}
    recipe = run.recipe(
        config, parents=whole, formats={"matching": VERSION}, libraries=LIBRARIES,
        device=device_kind(),
    )  # fmt: skip
    asked = sha256_of([item.identity for sets in (paper.heldout, paper.exams)
                       for members in sets.values() for item in members])  # fmt: skip
    return recipe.model_copy(update={"inputs": {**recipe.inputs, "development": asked}})
