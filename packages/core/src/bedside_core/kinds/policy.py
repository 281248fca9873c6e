"""The policy of a house: when a candidate may be promoted; approved before anything is seen.

It lives here because an operator approves it (`bedside registry approve-policy`), the evaluation
judges by it, and a promotion compares the two by its hash.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from bedside_core.config import Config, load_file, sha256_of
from bedside_core.kinds.measures import LIKELIHOOD, MEASURES, WIN_RATE

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,60}$")]
SetName = Annotated[str, StringConstraints(pattern=r"^(heldout|exam)/[A-Za-z0-9_-]{1,60}$")]
"""As a plan names it: a held-out set and an exam may share their name."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Margin = Annotated[float, Field(allow_inf_nan=False, gt=0, le=0.5)]
"""Half a bit per byte, or half of an exam, is no small loss any more: larger ones guard nothing."""

SMALLEST_ERROR = 2.5e-4
"""Per condition: what at most a million resamples tell apart, for three comparisons of each."""
MIN_CLUSTERS = 8
"""With fewer, no interval keeps what its level promises."""


class Target(Config):
    """What the candidate must be better at."""

    measure: Name = LIKELIHOOD
    """A name of `bedside_core.kinds.measures`; another one is "not measured"."""
    of: Name
    """Name of the held-out set or exam."""
    min_gain: float = Field(ge=0, le=0.5, allow_inf_nan=False)
    """Bits per byte, or a share; every interval of the gain over the base must lie above it."""
    max_loss: Margin
    """Against the incumbent and a reference, which the candidate need not beat: every interval of
    the loss must lie below it."""


class Guard(Config):
    """What the candidate must not be much worse at: than the base, and than what is served."""

    measure: Name = LIKELIHOOD
    """As the target's."""
    of: Name
    """Name of the held-out set or exam."""
    max_loss: Margin
    """Bits per byte, or a share; every interval of the loss must lie below it."""
    floor: float | None = Field(default=None, ge=0, lt=1)
    """Of a share of which more is better: the candidate's own interval must lie above it, whatever
    the base's is."""
    family: Name = "guards"
    """Harm is shown by Holm's procedure within the guards of one family."""

    @model_validator(mode="after")
    def _floor_of_a_share(self) -> Guard:
        measure = MEASURES.get(self.measure)
        if self.floor is not None and self.measure == WIN_RATE:
            raise ValueError("floor: a win-rate is against another model - leave it out")
        if self.floor is not None and measure is not None and measure.less_is_better:
            raise ValueError(f"floor: less {self.measure} is better - leave it out")
        return self


class Tail(Config):
    """How many clusters may lose much, however good the mean is."""

    delta: Margin
    """Bits per byte; a cluster that loses more than this is lost."""
    max_share: float = Field(gt=0, lt=0.5)
    """The upper bound of the share of lost clusters must not lie above it, in any guarded set."""


class Policy(Config):
    """When a candidate may replace what is served."""

    name: Name
    """What people call it; it is known by its hash."""
    scope: Literal["demo", "house"] = "house"
    """`demo`: verdict, badge and promotion say that it is a demo's."""
    only_for: dict[SetName, Sha256] | None = None
    """By set, the digest of its texts: a policy for these alone, as the demo's is."""
    target: Target
    guards: tuple[Guard, ...] = Field(min_length=1)
    tail: Tail
    min_clusters: int = Field(ge=MIN_CLUSTERS)
    """Sealed clusters that each held-out set needs, after what stands in a corpus was left out."""
    confidence: float = Field(ge=0.9, lt=1)
    """Two-sided, of every interval over all looks together; one look has its share of the error."""
    looks: int = Field(default=1, ge=1, le=100)
    """How often sealed texts may be looked at in their life, whoever asks and by whatever plan."""
    max_age_days: int = Field(default=90, ge=1)
    """How old evidence may be when it promotes."""

    @model_validator(mode="after")
    def _consistent(self) -> Policy:
        asked = [(c.measure, c.of) for c in self.conditions]
        if len(set(asked)) < len(asked):
            raise ValueError("target and guards must name each measure of a set once")
        if self.alpha < SMALLEST_ERROR * len(self.conditions):
            raise ValueError(
                f"confidence and looks leave a look an error of {self.alpha:.2g}, which no number "
                "of resamples tells apart - lower one of them"
            )
        needed = math.ceil(math.log(self.alpha) / math.log(1 - self.tail.max_share))
        if self.min_clusters < needed:
            raise ValueError(
                f"min_clusters: with none lost, tail.max_share {self.tail.max_share:g} needs "
                f"{needed} clusters at confidence {self.confidence:g} and {self.looks} look(s)"
            )
        return self

    @property
    def conditions(self) -> tuple[Target | Guard, ...]:
        """The target first."""
        return (self.target, *self.guards)

    @property
    def alpha(self) -> float:
        """The error that one look may spend, two-sided (Bonferroni over the looks)."""
        return (1 - self.confidence) / self.looks

    @property
    def sha256(self) -> str:
        """What it is known by: of its resolved content, so that spelling and comments are free."""
        return sha256_of(self.model_dump(mode="json"))

    def sets(self, measures: Iterable[str]) -> list[str]:
        """The sets on which it asks for one of these measures, each once."""
        return list(dict.fromkeys(c.of for c in self.conditions if c.measure in measures))


def read_policy(path: Path) -> Policy:
    """Read a policy file (YAML).

    Raises:
        ConfigError: it is missing or wrong; one line for each fault.
    """
    return load_file(Policy, path)
