"""The verbs of this service.

Tested in tests/eval/test_run.py.
"""

from bedside_core.commands import Command
from bedside_eval.check import check
from bedside_eval.compare.verb import CompareOptions, compare
from bedside_eval.config import EvalConfig
from bedside_eval.plan import plan
from bedside_eval.run import evaluate, report

COMMANDS: tuple[Command, ...] = (
    Command("plan", "split sets and exams into development and sealed parts", plan, EvalConfig),
    Command(
        "run",
        "examine base, checkpoint and merged model; give a verdict",
        evaluate,
        EvalConfig,
        check=check,
    ),
    Command(
        "compare",
        "compare models by the logs of lm-eval or Inspect, without a run: A with all others",
        compare,
        words=("log...",),
        arguments=CompareOptions,
        examples=(
            "out/base out/adapted",
            "out/base out/cpt out/merged --metric acc_norm --cluster patient --output report",
            "base.eval adapted.eval",
        ),
    ),
    Command("report", "print the newest evidence of this run again", report, EvalConfig),
)
