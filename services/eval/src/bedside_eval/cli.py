"""The verbs of this service.

Tested in tests/eval/test_run.py.
"""

from bedside_core.commands import Command
from bedside_eval.check import check
from bedside_eval.config import EvalConfig
from bedside_eval.run import evaluate, report

COMMANDS: tuple[Command, ...] = (
    Command(
        "run",
        "examine base, checkpoint and merged model; give a verdict",
        evaluate,
        EvalConfig,
        check=check,
    ),
    Command("report", "print the newest evidence of this run again", report, EvalConfig),
)
