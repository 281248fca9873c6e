"""The verbs of `bedside trainer`.

Tested in tests/trainer/importing/test_verb.py.
"""

from bedside_core.commands import Command
from bedside_trainer.check import check_base, check_training
from bedside_trainer.config import BaseConfig, TrainerConfig
from bedside_trainer.importing.verb import bootstrap, import_base
from bedside_trainer.pilot.verb import pilot
from bedside_trainer.plan.settings import PlanOptions
from bedside_trainer.plan.verb import plan
from bedside_trainer.replay import replay
from bedside_trainer.run import train
from bedside_trainer.seen import seen
from bedside_trainer.selftest.trials import SelftestOptions, selftest

COMMANDS: tuple[Command, ...] = (
    Command(
        "import-base",
        "register a base model: a GGUF from an installed package, or a local directory",
        import_base,
        BaseConfig,
        section="base",
        check=check_base,
    ),
    Command(
        "bootstrap",
        "import the base model if there is nothing to serve yet",
        bootstrap,
        BaseConfig,
        section="base",
    ),
    Command(
        "replay",
        "let the base write text that its training replays (`trainer.replay`)",
        replay,
        document=True,
    ),
    Command(
        "plan",
        "time, memory, disk, energy and money of a training, and whether it fits",
        plan,
        document=True,
        arguments=PlanOptions,
        examples=("--config FILE", "--config FILE --hardware H200 --devices 8"),
    ),
    Command(
        "run",
        "continue the pre-training of the base on the corpus",
        train,
        TrainerConfig,
        check=check_training,
    ),
    Command(
        "pilot",
        "train a hundredth of the steps, and say what all of them would gain and lose",
        pilot,
        TrainerConfig,
    ),
    Command(
        "seen",
        "which optimizer steps saw a document, by its id in the corpus",
        seen,
        TrainerConfig,
        words=("document", "model?"),
        examples=("ward/letter-17 --config FILE", "ward/letter-17 demo/merged --config FILE"),
    ),
    Command(
        "selftest",
        "kill trainings of a tiny model, and see that they go on as if nothing had happened",
        selftest,
        arguments=SelftestOptions,
        examples=("", "--config configs/demo.yaml"),
    ),
)
