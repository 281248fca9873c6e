"""Verbs of the merger.

Tested in tests/merger/test_run.py.
"""

from bedside_core.commands import Command
from bedside_merger.check import check
from bedside_merger.config import MergerConfig
from bedside_merger.run import merge

COMMANDS: tuple[Command, ...] = (
    Command(
        "run", "merge base and checkpoint, export as bfloat16", merge, MergerConfig, check=check
    ),
)
