"""Names of the report's files in an evidence artifact.

Tested in tests/eval/reporting/test_files.py.
"""

from __future__ import annotations

from bedside_eval.reporting.numerals import Language

RESULTS = "results.csv"
DATA = "report.json"


def names(language: Language) -> tuple[str, str]:
    """The page and the paper in one language."""
    return (f"report.{language}.html", f"report.{language}.pdf")
