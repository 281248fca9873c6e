"""A plan and a look: what is fixed before sealed texts are opened, as entries of the signed chain.

`plan` is signed by the operator before the run; `look` by the evaluation before it opens sealed
parts. Evidence names both by the hash of their entries.

Tested in tests/core/kinds/test_policy.py.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bedside_core.kinds.policy import Policy

IDENTITY_CHARS = 16
"""Of a text's identity in a plan; see `bedside_core.parts`."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PlannedSet(_Record):
    """One held-out set or exam, split by cluster."""

    kind: Literal["heldout", "exam"]
    sha256: str
    """Of all its texts' identities with their clusters, whatever part they are in."""
    sealed_sha256: str
    """The same of the sealed part alone."""
    development: tuple[str, ...]
    """The first characters of each text's identity, sorted."""
    sealed: tuple[str, ...]
    clusters: int = Field(ge=1)
    """Of the sealed part."""


class Detectable(_Record):
    """What the sealed part of a set can show of one condition."""

    measure: str
    of: str
    clusters: int
    margin: float
    """`min_gain` or `max_loss`."""
    spread: float | None
    """Assumed standard deviation of the clusters' differences, or discordance of an exam."""
    smallest: float | None
    """The smallest true gain that is shown with a probability of 0.8; of a guard, the largest true
    loss that still passes with it. None where nothing passes."""
    harmless: float | None
    """The probability that a guard passes a candidate that loses nothing; None of the target."""


class Plan(_Record):
    """Members of an entry `plan`."""

    run: str
    """Name of the run that may look."""
    policy: Policy
    policy_sha256: str
    sets: dict[str, PlannedSet]
    """By `heldout/NAME` and `exam/NAME`."""
    development: str
    """Digest of the artifact that holds the development parts."""
    shortlist: tuple[str, ...] = Field(min_length=1)
    """Slots of the models among which one is chosen on the development parts."""
    base: str
    """Digest of the model to compare with. It is fixed before documents of strangers are read:
    whoever can write the registry could name another, weaker one as a candidate's parent."""
    reference: str | None
    """Digest of a model to compare with beside base and incumbent."""
    setting: dict[str, Any]
    """How the questions are put: windows, prompt, arithmetic."""
    looks: int = Field(ge=1)
    """How many this plan asks for; each spends `alpha`."""
    alpha: float = Field(gt=0, lt=0.5)
    detectable: tuple[Detectable, ...]


class Look(_Record):
    """Members of an entry `look`."""

    plan: str
    """Hash of the plan's entry."""
    number: int = Field(ge=1)
    recipe: str
    """SHA-256 of the run's recipe: an interrupted look goes on as the same."""
    candidate: str
    base: str
    incumbent: str | None
    reference: str | None
