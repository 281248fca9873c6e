"""The report as PDF, by typst: offline, its own fonts, the same bytes for the same view.

Tested in tests/eval/reporting/test_files.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files

import typst

from bedside_core.errors import InputError
from bedside_eval.reporting.parts import Section
from bedside_eval.reporting.view import View


def pdf(view: View, figures: Mapping[str, str]) -> bytes:
    """One file, A4; the view travels as data, so that none of it is markup.

    Raises:
        InputError: typst cannot set it.
    """
    source = files("bedside_eval.reporting").joinpath("report.typ").read_bytes()
    try:
        return typst.compile(
            source, format="pdf", ignore_system_fonts=True, timestamp=0,
            sys_inputs=inputs(view, figures),
        )  # fmt: skip
    except typst.TypstError:
        raise InputError(
            "the report's PDF cannot be set: the HTML has the same content, please tell the "
            "maintainers"
        ) from None


def inputs(view: View, figures: Mapping[str, str]) -> dict[str, str]:
    """What `report.typ` reads."""
    content = view._asdict() | {
        "summary": [_plain(section) for section in view.summary],
        "sections": [_plain(section) for section in view.sections],
    }
    return {"view": json.dumps(content), "figures": json.dumps(dict(figures))}


def _plain(section: Section) -> dict[str, object]:
    table = section.table
    return section._asdict() | {"table": None if table is None else [table.header, table.rows]}
