"""What a forecast says of the decision: train, do not train, or cannot tell.

Tested in tests/trainer/pilot/test_verdict.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from bedside_trainer.pilot.law import Forecast
from bedside_trainer.pilot.settings import Pilot

Verdict = Literal["train", "do not train", "cannot tell"]


def judge(forecasts: Mapping[str, Forecast], heldout: str, settings: Pilot) -> Verdict:
    """Train if no interval allows anything else; do not if one of them rules it out.

    Args:
        forecasts: by set.
        heldout: the set that shall gain.
        settings: what is worth its price.
    """
    ends = {name: (found.low, found.high) for name, found in forecasts.items()}
    if not is_worth_it({name: low for name, (low, _) in ends.items()}, heldout, settings):
        return "do not train"
    if is_worth_it({name: high for name, (_, high) in ends.items()}, heldout, settings):
        return "train"
    return "cannot tell"


def is_worth_it(changes: Mapping[str, float], heldout: str, settings: Pilot) -> bool:
    """Whether these changes, in nats per token, are what the settings ask for."""
    limit = float("inf") if settings.max_loss is None else settings.max_loss
    kept = all(change <= limit for name, change in changes.items() if name != heldout)
    return kept and -changes[heldout] >= settings.min_gain
