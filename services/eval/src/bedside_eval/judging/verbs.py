"""`bedside eval blind-form` and `bedside eval read-forms`.

Tested in tests/eval/judging/test_forms.py.
"""

from __future__ import annotations

from bedside_core.run import Run
from bedside_eval.config import EvalConfig
from bedside_eval.judging.options import FormOptions, ReadOptions


def blind_form(config: EvalConfig, run: Run, options: FormOptions) -> None:
    """Write a form for the newest evidence of this run; see `forms.write_form`."""
    # scipy: not for a command line that only shows its help.
    from bedside_eval.judging.forms import write_form

    write_form(config, run, options)


def read_forms(config: EvalConfig, run: Run, files: tuple[str, ...], options: ReadOptions) -> None:
    """Print what people chose; see `forms.read`."""
    from bedside_eval.judging.forms import read

    read(config, run, files, options)
