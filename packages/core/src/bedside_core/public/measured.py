"""What evidence says in numbers: differences with their intervals.

Tested in tests/core/public/test_mlbom.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Measured(NamedTuple):
    """A difference between the candidate and what it was compared with."""

    measure: str
    """What was measured, in which unit, against what."""
    on: str
    """The held-out set or exam."""
    estimate: float
    low: float
    high: float


def measured(content: Mapping[str, Any]) -> Iterator[Measured]:
    """The differences of an `evidence.json`, in its order."""
    for pair in content.get("differences", ()):
        roles = f"{pair['candidate']} minus {pair['reference']}"
        for on, found in pair["heldout"].items():
            yield _of(f"negative log-likelihood, nats per token, {roles}", on, found)
        for on, metrics in pair["exams"].items():
            for name, found in metrics.items():
                yield _of(f"{name}, share of right answers, {roles}", on, found["difference"])


def _of(measure: str, on: str, interval: Mapping[str, float]) -> Measured:
    return Measured(measure, on, interval["estimate"], interval["low"], interval["high"])
