"""What the sealed parts can and cannot show of each condition, before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping

from bedside_core.kinds.plan import Detectable, PlannedSet
from bedside_core.kinds.policy import Policy
from bedside_eval.config import EvalConfig


def detectable(
    policy: Policy, sets: Mapping[str, PlannedSet], config: EvalConfig
) -> tuple[Detectable, ...]:
    return ()
