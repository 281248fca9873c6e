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
    envelope: tuple[float, float] | None
    """From the lowest to the highest bound of any method; None where the data say nothing."""


def measured(content: Mapping[str, Any]) -> Iterator[Measured]:
    """The differences of an `evidence.json`, in its order."""
    for pair in content.get("differences", ()):
        roles = f"{pair['candidate']} minus {pair['reference']}"
        for on, found in pair["heldout"].items():
            yield _of(f"negative log-likelihood, bits per byte, {roles}", on, found)
        for on, metrics in pair["exams"].items():
            for name, found in metrics.items():
                yield _of(f"{name}, share of right answers, {roles}", on, found["difference"])


def _of(measure: str, on: str, found: Mapping[str, Any]) -> Measured:
    intervals = found.get("methods", {}).values()
    lows, highs = [i["low"] for i in intervals], [i["high"] for i in intervals]
    envelope = (min(lows), max(highs)) if lows else None
    return Measured(measure, on, found["estimate"], envelope)
