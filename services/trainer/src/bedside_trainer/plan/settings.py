"""The section `trainer.prices`, and the options of `bedside trainer plan`; no torch is imported.

Tested in tests/trainer/plan/test_cost.py.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bedside_core.config import Config

Name = Literal["A100-40", "A100-64", "A100-80", "H100", "H200", "here"]


class Prices(Config):
    """What `trainer plan` reckons with: assumptions, in whose place a hospital writes its own."""

    currency: Annotated[str, Field(min_length=1)] = "EUR"
    per_kwh: Annotated[float, Field(ge=0)] = 0.25
    """Of electricity."""
    power_usage_effectiveness: Annotated[float, Field(ge=1)] = 1.5
    """What the building draws over what its computers draw (PUE)."""
    per_device_hour: dict[str, Annotated[float, Field(ge=0)]] = Field(default={})
    """Rent of an accelerator by its name (`H200: 4.0`); one's own costs its electricity alone."""
    watts: Annotated[float, Field(gt=0)] | None = None
    """Of one accelerator and its part of the machine, instead of the table's; needed for `here`."""


class PlanOptions(Config):
    """What is asked: no setting of the training."""

    hardware: Name | None = None
    """Which accelerators; `here` measures this machine. By default all kinds by their tables."""
    devices: Annotated[int, Field(ge=1, le=1024)] | None = None
    """How many, in machines of eight; by default the fewest that it fits on."""
    tokens: Annotated[int, Field(ge=1)] | None = None
    """Tokens of the whole training, where there is no corpus yet and `trainer.max_steps` says
    nothing; by default a billion."""
    format: Literal["table", "json"] = "table"
    """How it is shown."""
