"""Verbs of the merger.

Tested in tests/merger/test_run.py.
"""

from bedside_core.commands import Command
from bedside_merger.check import check
from bedside_merger.config import MergerConfig
from bedside_merger.inspection.run import inspect
from bedside_merger.run import merge
from bedside_merger.search.run import search

COMMANDS: tuple[Command, ...] = (
    Command("run", "merge base and checkpoint, round, export", merge, MergerConfig, check=check),
    Command("inspect", "angle and change of every tensor; heat map", inspect, MergerConfig),
    Command("search", "try merges on development texts; keep the best", search, MergerConfig),
)
