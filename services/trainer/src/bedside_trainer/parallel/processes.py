"""Processes of a training, as far as settings and variables say it: no torch is imported."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bedside_core.cli import INTERRUPTED
from bedside_core.errors import ConfigError, InputError
from bedside_trainer.config import TrainerConfig

GRACE_SECONDS = 5.0
"""In which whoever started the processes ends the others, when the first one has failed."""


def started() -> int:
    """How many processes a launcher has started for this training, by its variable."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def refuse_many(config: TrainerConfig) -> None:
    """Refuse adapters on several processes.

    Raises:
        ConfigError: a launcher has started several, and `method` is `lora`.
    """
    if config.method == "lora" and started() > 1:
        raise ConfigError(
            f"trainer.method lora trains in one process, and WORLD_SIZE is {started()} - start "
            "`bedside trainer run` by itself (of several GPUs it takes one), or set the method to "
            "full"
        )


@contextmanager
def the_first_speaks() -> Iterator[None]:
    """What all processes meet, the first one alone says.

    Whoever started them ends the others as soon as one has failed. So another process than the
    first keeps quiet for a moment; if nobody ends it, the fault is its own, and is said.
    """
    try:
        yield
    except (ConfigError, InputError):
        if os.environ.get("RANK", "0") != "0":
            try:
                time.sleep(GRACE_SECONDS)
            except KeyboardInterrupt:
                sys.exit(INTERRUPTED)
        raise
