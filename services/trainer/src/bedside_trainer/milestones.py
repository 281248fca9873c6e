"""Milestones: states that are scored on the development parts, and the choice among them.

PARCOMED (section 4) kept every 720th step and went on with step 1,440; here the choice is a
setting, made on the development parts alone, which the verdict never looks at. Nothing is chosen
unless it is asked for: the end of the training is the default, because the best of many is partly
luck.

Torch-free; `development.py` scores, `average.py` averages.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bedside_core.config import Config
from bedside_core.console import table
from bedside_core.kinds.policy import Name
from bedside_models.scores import Estimand

REPORT = "milestones.json"
SCHEMA_VERSION = 1


class EarlyStop(Config):
    """When a training ends before its last step."""

    patience: Annotated[int, Field(ge=1)] = 3
    """Milestones in a row without a gain, after which the training ends."""
    min_gain: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """What counts as a gain, in nats per token of the development part."""


class Milestones(Config):
    """Which states are kept and scored, and which becomes the checkpoint."""

    every: Annotated[int, Field(ge=1)]
    """Steps between milestones; the last step is one, too."""
    exams: tuple[Name, ...] = ()
    """Names in `eval.exams` whose development part each milestone sits, by option scoring."""
    choose: Literal["last", "likelihood", "exams"] = "last"
    """`last` takes the end of the training (with `average`, the mean); the others the candidate
    with the best likelihood, or the most right answers, on the development parts."""
    average: Annotated[int, Field(ge=2)] | None = None
    """The uniform mean of the weights of so many last milestones is a candidate, too."""
    publish: Literal["none", "all"] | Annotated[int, Field(ge=1)] = "none"
    """Which of them the checkpoint keeps as models of their own, for merges over the trajectory: so
    many last ones, or all. Each takes 4 bytes of a parameter."""
    early_stop: EarlyStop | None = None
    """By default the training goes on to its last step."""

    @model_validator(mode="after")
    def _exams_to_choose_by(self) -> Self:
        if self.choose == "exams" and not self.exams:
            raise ValueError("choose is exams, and none is named - name some of eval.exams")
        return self

    def at(self, step: int, steps: int) -> bool:
        """Whether there is a milestone after step `step` (from 1) of `steps`."""
        return step % self.every == 0 or step == steps

    def published(self, candidates: Sequence[Candidate]) -> list[int]:
        """Steps of the milestones that the checkpoint keeps."""
        steps = [one.step for one in candidates if not one.mean_of]
        match self.publish:
            case "none":
                return []
            case "all":
                return steps
        return steps[-self.publish :]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Sitting(_Record):
    """An exam's development part under one candidate."""

    items: int
    right: int
    """Answers with the highest log-likelihood per character (lm-eval's `acc_norm`)."""


class Candidate(_Record):
    """What may become the checkpoint, and how it did on the development parts."""

    step: int
    """Finished optimizer steps; of a mean, of its last milestone."""
    mean_of: tuple[int, ...] = ()
    """Steps of the milestones that a mean was made of."""
    nll_per_token: float
    """Of all texts of the development part, in nats."""
    exams: dict[str, Sitting] = {}

    @property
    def name(self) -> str:
        return f"mean of {len(self.mean_of)}" if self.mean_of else f"step {self.step}"

    @property
    def right(self) -> float:
        """The share of right answers, each exam weighing the same; 0 without one."""
        shares = [sitting.right / sitting.items for sitting in self.exams.values()]
        return sum(shares) / len(shares) if shares else 0.0


def has_stalled(nll_per_token: Sequence[float], config: EarlyStop | None) -> bool:
    """Whether the last milestones brought no gain over the best before them.

    Args:
        nll_per_token: of the base, then of each milestone.
        config: None never stops.
    """
    if config is None or len(nll_per_token) <= config.patience:
        return False
    earlier, last = nll_per_token[: -config.patience], nll_per_token[-config.patience :]
    return min(last) >= min(earlier) - config.min_gain


def choose(config: Milestones, candidates: Sequence[Candidate]) -> Candidate:
    """The candidate that becomes the checkpoint; of equal ones the later.

    Args:
        config: the setting.
        candidates: in the order of their steps, a mean last; at least one.
    """
    match config.choose:
        case "likelihood":
            return min(reversed(candidates), key=lambda one: one.nll_per_token)
        case "exams":
            return max(reversed(candidates), key=lambda one: (one.right, -one.nll_per_token))
    return candidates[-1]


def write_report(
    target: Path,
    config: Milestones,
    candidates: Sequence[Candidate],
    chosen: Candidate,
    estimand: Estimand,
) -> None:
    """Write what each candidate scored, and which was taken, into the folder `target`."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "estimand": estimand.model_dump(),
        "choose": config.choose,
        "candidates": [candidate.model_dump(mode="json") for candidate in candidates],
        "chosen": candidates.index(chosen),
    }
    (target / REPORT).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def table_of(candidates: Sequence[Candidate], chosen: Candidate) -> str:
    """What each candidate scored, for the terminal."""
    exams = list(candidates[0].exams)
    rows = [["milestone", "nats per token", *exams, ""]]
    for one in candidates:
        sittings = [f"{one.exams[name].right}/{one.exams[name].items}" for name in exams]
        mark = "taken" if one is chosen else ""
        rows.append([one.name, f"{one.nll_per_token:.4f}", *sittings, mark])
    return table(rows)
