"""The section `trainer.watch`: how a training is watched. Nothing of it changes what is trained.

Tested in tests/trainer/watch/test_watcher.py.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from bedside_core.config import Config


class Watch(Config):
    """Where a training's numbers go besides the terminal and `metrics.jsonl`."""

    tensorboard: bool = True
    """Write TensorBoard's event file too; no TensorBoard is needed for that."""
    prometheus: Path | None = None
    """The folder that node_exporter's textfile collector reads, for a `.prom` file with the newest
    numbers."""
    num_texts: int | None = Field(default=None, ge=1)
    """Texts of each set but `trainer.heldout` that are measured before and after; by default
    all."""
