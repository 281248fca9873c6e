"""The `eval` section of a run config.

Tested in tests/eval/test_run.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from bedside_core.config import Config
from bedside_core.endpoint.config import EndpointConfig
from bedside_eval.answering.config import Generation

SetName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]
Slot = Annotated[str, StringConstraints(pattern=r"^([\w-]{1,60}/)?[a-z]{1,20}$")]


class House(Config):
    """Whose report it is: printed where a responsible person signs."""

    name: str = Field(default="", max_length=200)
    """The hospital's name, as the report shows it."""
    responsible: str = Field(default="", max_length=200)
    """The function of whoever signs, as "medical director"; no person's name."""


Selection = Literal["last", "best_target", "average_rank"]


class GroupSet(Config):
    """How a set of a group is asked and measured."""

    measure: str = "accuracy"
    """One number for each item, as a policy names it; what this version does not take is said."""
    shots: int = Field(default=0, ge=0)
    """Examples before each item: the file has them, from `bedside eval import-exam --shots`."""


Group = Annotated[dict[SetName, GroupSet], Field(min_length=1)]


class EvalConfig(Config):
    """What the models are examined on, and how."""

    policy: Path
    """The policy file (YAML) that turns differences into a verdict; an operator has approved it."""
    heldout: dict[SetName, Path] = Field(min_length=1)
    """Held-out sets by name: folders of UTF-8 `.txt` files, or `.jsonl` files."""
    exams: dict[SetName, Path] = Field(default_factory=dict)
    """Multiple-choice exams by name: JSON Lines files."""
    groups: dict[SetName, Group] = Field(default_factory=dict)
    """Groups of exams by name, which are averaged by number of questions, and each set once."""
    selection: Selection = "best_target"
    """By what one of several candidates, or of the milestones of a training, is chosen on the
    development parts: `last` of the list, `best_target` by the policy's target, `average_rank` over
    the sets of all groups. It is a part of the plan."""
    shortlist: tuple[Slot, ...] = Field(default=("merged",), min_length=1)
    """Candidates: slots of this run, or `run/slot`. Of several one is examined on the
    sealed parts: that which `selection` chooses."""
    judges: dict[SetName, EndpointConfig] = Field(default_factory=dict)
    """Models of the house that judge answers to open questions and tasks on documents, by name;
    two or more of other families than the candidate's. Each sits an exam of its own first."""
    clinician_pairs: Path | None = None
    """Pairs of answers that clinicians labelled (JSON Lines), to compare the judges with."""
    keep_answers: bool = False
    """Keep what the models wrote, in the evaluation's private folder, for `bedside eval
    blind-form`. Answers to questions about patients are about patients."""
    house: House = House()
    """For the report that a medical director signs."""
    reference: str | None = None
    """A further model to compare with: a digest or `run/slot`."""
    batch_size: int = Field(default=1, ge=1)
    """Sequences per forward pass."""
    max_length: int = Field(default=1024, ge=16)
    """Tokens that a model sees at once; longer texts are scored in windows of this length."""
    generation: Generation | None = None
    """How models are asked for answers, by the engine that would serve them. Left out, exams are
    measured by likelihood alone, and whatever a model says is "not measured"."""
    spread: float = Field(default=0.02, gt=0, le=1)
    """Assumed standard deviation of the clusters' differences in bits per byte, for the plan. The
    demo's is about 0.01; a pilot on the development part tells a house's."""
    value_spread: float = Field(default=0.2, gt=0, le=1)
    """Assumed standard deviation of the clusters' differences of a measure between 0 and 1 that is
    not right or wrong, as `brier`, for the plan."""
    discordance: float = Field(default=0.2, gt=0, le=1)
    """Assumed share of exam items that just one of two models answers right, for the plan."""
