"""The policy of a house, and the verdict that it gives on measured differences.

The target must be a gain and every guard must be non-inferior, all at once; as each has to pass,
no correction for several tests is due (intersection-union test, Berger 1982).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pydantic import Field, model_validator

from bedside_core.config import Config, load_file
from bedside_core.errors import ConfigError
from bedside_core.kinds.evidence import Verdict
from bedside_core.messages import did_you_mean
from bedside_eval.config import EvalConfig
from bedside_eval.statistics.estimate import Interval


class Target(Config):
    """What the candidate must be better at."""

    heldout: str
    """Name of a held-out set."""
    min_gain: float = Field(ge=0, allow_inf_nan=False)
    """Nats per token; the whole interval of the gain must lie above it."""


class Guard(Config):
    """What the candidate must not be much worse at."""

    heldout: str
    """Name of a held-out set."""
    max_loss: float = Field(gt=0, allow_inf_nan=False)
    """Nats per token; the whole interval of the loss must lie below it."""


class Policy(Config):
    """When a candidate may replace its base; written before the results are seen."""

    target: Target
    guards: tuple[Guard, ...]
    confidence: float = Field(gt=0.5, lt=1)
    """Of every interval, two-sided."""

    @model_validator(mode="after")
    def _each_set_once(self) -> Policy:
        if len(set(self.sets)) < len(self.sets):
            raise ValueError("target and guards must name different held-out sets")
        return self

    @property
    def sets(self) -> list[str]:
        """The held-out sets that the verdict rests on, the target first."""
        return [self.target.heldout, *(guard.heldout for guard in self.guards)]


def read_policy(config: EvalConfig) -> Policy:
    """The policy that a config names; each set that it names is one of the config's.

    Raises:
        ConfigError: the file is missing or wrong, or names an unknown set.
    """
    policy = load_file(Policy, config.policy)
    unknown = [name for name in policy.sets if name not in config.heldout]
    if unknown:
        raise ConfigError(
            f"{config.policy}: held-out set {unknown[0]!r} is not in eval.heldout - "
            f"{did_you_mean(unknown[0], config.heldout)}"
        )
    return policy


class Decision(NamedTuple):
    """A verdict and one sentence for each condition of the policy."""

    verdict: Verdict
    reasons: tuple[str, ...]


class _Finding(NamedTuple):
    verdict: Verdict
    reason: str


def decide(policy: Policy, differences: Mapping[str, Interval]) -> Decision:
    """Judge a candidate against its base.

    PROMOTE if the gain is shown and every loss is shown to be small; REJECT if the gain is ruled
    out or one loss is shown to be too large; NOT_ENOUGH_EVIDENCE in between.

    Args:
        policy: the conditions.
        differences: candidate minus base in negative log-likelihood per token, by held-out set,
            with intervals of the policy's confidence.
    """
    findings = [
        _gain(policy.target, -differences[policy.target.heldout], policy.confidence),
        *(_loss(g, differences[g.heldout], policy.confidence) for g in policy.guards),
    ]
    return Decision(
        _worst(finding.verdict for finding in findings),
        tuple(finding.reason for finding in findings),
    )


def _worst(verdicts: Iterable[Verdict]) -> Verdict:
    order: tuple[Verdict, ...] = ("PROMOTE", "NOT_ENOUGH_EVIDENCE", "REJECT")
    return max(verdicts, key=order.index)


def _gain(target: Target, gain: Interval, confidence: float) -> _Finding:
    margin = f"the required {target.min_gain:z.3f}"
    if gain.low > target.min_gain:
        verdict: Verdict = "PROMOTE"
        relation = f"all of it above {margin}, so the gain is shown"
    elif gain.high <= target.min_gain:
        verdict = "REJECT"
        relation = f"none of it above {margin}, so there is no such gain"
    else:
        verdict = "NOT_ENOUGH_EVIDENCE"
        relation = f"which reaches from below to above {margin}, so the gain is not shown"
    return _Finding(verdict, _sentence("gain", target.heldout, gain, confidence, relation))


def _loss(guard: Guard, loss: Interval, confidence: float) -> _Finding:
    margin = f"the allowed {guard.max_loss:z.3f}"
    if loss.high < guard.max_loss:
        verdict: Verdict = "PROMOTE"
        relation = f"all of it below {margin}, so the loss is bounded"
    elif loss.low >= guard.max_loss:
        verdict = "REJECT"
        relation = f"none of it below {margin}, so harm is shown"
    else:
        verdict = "NOT_ENOUGH_EVIDENCE"
        relation = f"which reaches from below to above {margin}, so harm is not ruled out"
    return _Finding(verdict, _sentence("loss", guard.heldout, loss, confidence, relation))


def _sentence(what: str, name: str, interval: Interval, confidence: float, relation: str) -> str:
    return (
        f"The {what} on {name} is {interval.estimate:z.3f} nats per token "
        f"({100 * confidence:g} % interval {interval.low:z.3f} to {interval.high:z.3f}), "
        f"{relation}."
    )
