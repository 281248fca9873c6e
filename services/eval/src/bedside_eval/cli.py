"""The verbs of this service.

Tested in tests/eval/test_run.py.
"""

from bedside_core.commands import Command
from bedside_eval.authoring.verb import CheckOptions, check_exam
from bedside_eval.check import check
from bedside_eval.compare.verb import CompareOptions, compare
from bedside_eval.config import EvalConfig
from bedside_eval.developed import rank, trajectory
from bedside_eval.importing.verb import ImportOptions, import_exam
from bedside_eval.judging.options import FormOptions, ReadOptions
from bedside_eval.judging.verbs import blind_form, read_forms
from bedside_eval.noise import noise
from bedside_eval.planned import plan
from bedside_eval.reanalysis.verb import ReanalyseOptions, reanalyse
from bedside_eval.run import ReportOptions, evaluate, report

COMMANDS: tuple[Command, ...] = (
    Command(
        "plan",
        "seal parts of the sets, say what they can show, sign it before the run",
        plan,
        EvalConfig,
        check=check,
    ),
    Command(
        "run",
        "examine the candidate and what it is compared with; give a verdict",
        evaluate,
        document=True,
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
    Command(
        "reanalyse",
        "say what the printed scores of papers can show, over every pairing that they allow",
        reanalyse,
        words=("table...",),
        arguments=ReanalyseOptions,
        examples=("docs/papers/definemed.yaml docs/papers/parcomed.yaml --output report",),
    ),
    Command(
        "import-exam",
        "a published exam on this disk into our format; docs/importing-exams.md has the layouts",
        import_exam,
        words=("layout", "path"),
        arguments=ImportOptions,
        examples=(
            "casimedicos casimedicos-arg --language fr --contradicting drop --out fr.jsonl",
            "mmlu mmlu/data --subject anatomy --shots 3 --out anatomy.jsonl",
        ),
    ),
    Command(
        "check-exam",
        "what is wrong with items that people of the house wrote, by line",
        check_exam,
        words=("file...",),
        arguments=CheckOptions,
        examples=("data/exams/*.jsonl --output findings.json",),
    ),
    Command(
        "report",
        "print the newest evidence of this run again, or copy its signed report",
        report,
        EvalConfig,
        arguments=ReportOptions,
        examples=("--config configs/demo.yaml --language de --out report",),
    ),
    Command(
        "blind-form",
        "a page on which people compare the answers without knowing whose they are",
        blind_form,
        EvalConfig,
        arguments=FormOptions,
        examples=("--config run.yaml --out raters --language de",),
    ),
    Command(
        "read-forms",
        "what people chose on it, and how they agree with each other and with the judges",
        read_forms,
        EvalConfig,
        words=("file...",),
        arguments=ReadOptions,
        examples=("--config run.yaml raters/*.json",),
    ),
    Command(
        "noise",
        "measure the base twice, to know what is no difference",
        noise,
        document=True,
        examples=("--config configs/demo.yaml",),
    ),
    Command(
        "rank",
        "average ranks of many models on development parts, to choose a base before a training",
        rank,
        EvalConfig,
        words=("model...",),
        examples=("--config run.yaml qwen/base mistral/base llama/base",),
    ),
    Command(
        "trajectory",
        "a training's milestones on development parts, and which one the rule would choose",
        trajectory,
        EvalConfig,
    ),
)
