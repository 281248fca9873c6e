"""The newest numbers as a `.prom` file for node_exporter's textfile collector: no port, no network.

The format is Prometheus's text exposition format 0.0.4. A file is replaced as a whole, as the
collector asks for.
"""

from __future__ import annotations

import time
from pathlib import Path

from bedside_core.console import say
from bedside_core.errors import ArtifactError
from bedside_core.files import write_atomic
from bedside_trainer.watch.metrics import StepLine

INTERVAL_SECONDS = 5.0
"""Between two writes; Prometheus asks every 15 seconds at the most."""

HELP = {
    "step": "Finished optimizer steps.",
    "loss": "Training loss of the newest step in nats per token.",
    "grad_norm": "L2 norm of the newest gradient before clipping.",
    "learning_rate": "Learning rate of the newest step.",
    "tokens": "Tokens that were trained on so far.",
    "tokens_per_second": "Speed of the newest step.",
    "mfu": "Model FLOPs utilisation, 6 FLOP per parameter and token (share of 1).",
    "mfu_with_attention": "Model FLOPs utilisation, attention included (share of 1).",
    "memory_bytes": "Most memory that the first process has held.",
    "energy_joules": "Energy that the GPUs of the first node have used.",
    "eta_seconds": "Seconds until the last step.",
    "time": "When the newest step ended, in seconds since 1970.",
}


class Textfile:
    """The `.prom` file of one run in the collector's folder."""

    def __init__(self, folder: Path, run: str) -> None:
        self.path = folder / f"bedside_trainer_{run}.prom"
        self._run = run
        self._written = -INTERVAL_SECONDS
        self._broken = False

    def show(self, line: StepLine, *, last: bool = False) -> None:
        """Write the line if it is time; a folder that cannot be written stops no training."""
        now = time.monotonic()
        if self._broken or (not last and now - self._written < INTERVAL_SECONDS):
            return
        self._written = now
        try:
            write_atomic(self.path, rendered(line, self._run).encode())
        except (ArtifactError, OSError) as error:
            self._broken = True
            say(
                f"trainer.watch.prometheus: {self.path.parent} cannot be written "
                f"({type(error).__name__}) - training goes on without it"
            )


def rendered(line: StepLine, run: str) -> str:
    """The file's text; `run` is a word, as every run's name."""
    parts = []
    for name, text in HELP.items():
        value = getattr(line, name)
        if value is not None:
            metric = f"bedside_trainer_{name}"
            parts.append(f"# HELP {metric} {text}\n# TYPE {metric} gauge\n")
            parts.append(f'{metric}{{run="{run}"}} {value!r}\n')
    return "".join(parts)
