"""The verbs of `bedside corpus`.

Tested in tests/corpus/test_run.py.
"""

from bedside_core.commands import Command
from bedside_corpus.check import check
from bedside_corpus.config import CorpusConfig
from bedside_corpus.run import build

COMMANDS: tuple[Command, ...] = (
    Command(
        "build",
        "documents to a licensed, cleaned, filtered corpus",
        build,
        CorpusConfig,
        check=check,
    ),
)
