"""What the verbs of the blind form are asked.

Tested in tests/eval/judging/test_forms.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bedside_core.config import Config
from bedside_eval.reporting.numerals import Language

Against = Literal["base", "checkpoint", "incumbent", "reference"]


class FormOptions(Config):
    """The options of `bedside eval blind-form`."""

    out: Path
    """Folder for the form. The file holds questions and answers in plain text."""
    against: Against = "base"
    """The model that the candidate is compared with."""
    language: Language | None = None
    """de, fr or en: of the form itself; by default that of the first question."""


class ReadOptions(Config):
    """The options of `bedside eval read-forms`."""

    against: Against = "base"
    """The model that the form compares the candidate with."""
