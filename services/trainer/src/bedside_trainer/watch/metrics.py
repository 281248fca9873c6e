"""`metrics.jsonl`: one line per step and per measurement, written while the training runs.

A run that goes on after a kill drops the lines beyond the state that it goes on from, so that no
step stands there twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

METRICS = "metrics.jsonl"


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    step: int
    """Finished optimizer steps."""
    time: float
    """Seconds since 1970."""


class StepLine(_Line):
    """One optimizer step."""

    loss: float
    """Nats per predicted token, before the step."""
    grad_norm: float
    """L2 norm before clipping."""
    learning_rate: float
    tokens: int
    """Seen up to and with this step."""
    seconds: float
    """Spent in steps up to and with this one."""
    tokens_per_second: float
    """Of this step."""
    mfu: float | None
    """Model FLOPs utilisation of this step (Chowdhery et al. 2022, appendix B): 6 FLOP per
    parameter and token, over what the devices could do; None where that is not known."""
    mfu_with_attention: float | None
    """The same, and the products of attention, by the sum of squared lengths of what attends to
    each other."""
    memory_bytes: int
    """The most that this process has held so far, on its GPU if it has one."""
    energy_joules: float | None
    """Of the GPUs of the first process's node since the training began; None without any."""
    eta_seconds: float


class ScoreLine(_Line):
    """Held-out texts were measured."""

    heldout: dict[str, float]
    """Nats per token by set."""


Line = StepLine | ScoreLine


def resume(path: Path, *, done: int) -> list[Line]:
    """Keep the lines up to step `done` and take the others out of the file."""
    kept = [line for line in read(path) if line.step <= done]
    path.write_text("".join(map(_written, kept)), encoding="utf-8")
    return kept


def append(path: Path, line: Line) -> None:
    """Add a line; it can be read at once."""
    with path.open("a", encoding="utf-8") as file:
        file.write(_written(line))


def read(path: Path) -> list[Line]:
    """The lines of a file up to the first that is torn; none if there is no file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return []
    found: list[Line] = []
    for line in text.splitlines():
        try:
            found.append(_parsed(json.loads(line)))
        except (ValueError, ValidationError):
            break
    return found


def steps_of(lines: Iterable[Line]) -> list[StepLine]:
    """The optimizer steps among the lines."""
    return [line for line in lines if isinstance(line, StepLine)]


def _parsed(value: Any) -> Line:
    kind = ScoreLine if isinstance(value, dict) and "heldout" in value else StepLine
    return kind.model_validate(value)


def _written(line: Line) -> str:
    return json.dumps(line.model_dump()) + "\n"
