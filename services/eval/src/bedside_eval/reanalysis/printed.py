"""A paper's printed scores as a YAML file that anyone can fill."""

from __future__ import annotations

import math
import re
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from bedside_core.config import Config, load_file
from bedside_core.errors import InputError

_CELL = re.compile(r"(\d+(?:\.\d+)?)(?:\s*±\s*(\d+(?:\.\d+)?))?")
_TOLERANCE = 0.1
"""How far a printed standard error may lie from that of right and wrong answers, relatively:
lm-eval pools the errors of a benchmark's subjects, which gives a little less."""


class Row(Config):
    """A model as printed."""

    name: str
    base: str | None = None
    """The row of the same table that it is compared with; none: it is not compared."""
    scores: str
    """The cells in the order of `tasks`, then of `averages`, as printed, between bars:
    `54.07 ± 4.30 | 69.06 ± 2.85`; the standard error may be left out where n is known, and `-`
    stands for no score."""


class Doubt(Config):
    """A cell that cannot be what was measured."""

    name: str
    """Of the model."""
    task: str
    why: str


class Table(Config):
    """One family of comparisons: Holm's correction is over it."""

    title: str
    source: str
    """Where it is printed, as a table's number."""
    tasks: Annotated[dict[str, Annotated[int, Field(ge=1)] | None], Field(min_length=1)]
    """Number of items by task; none where it is not known: then no pairing can be looked at."""
    averages: tuple[str, ...] = ()
    """Columns that are averages of others; tested, but no part of the family."""
    models: Annotated[tuple[Row, ...], Field(min_length=2)]
    doubtful: tuple[Doubt, ...] = ()
    """Their comparisons are told apart, and are no part of the family either."""


class Paper(Config):
    """A file."""

    paper: str
    unit: Literal["percent", "share"] = "percent"
    tables: Annotated[tuple[Table, ...], Field(min_length=1)]


class Score(NamedTuple):
    """A cell, as shares."""

    value: float
    error: float
    """One standard error."""
    items: int | None
    counts: tuple[int, ...]
    """Numbers of right answers that are printed so; empty where `items` is not known."""
    doubtful: bool


Scores = dict[tuple[str, str], Score]
"""By model and column."""


def read_paper(path: Path) -> tuple[Paper, tuple[Scores, ...]]:
    """Read a file and its cells, table by table.

    Raises:
        ConfigError: it is no such file.
        InputError: a table contradicts itself, or lacks what no test can do without.
    """
    paper = load_file(Paper, path)
    return paper, tuple(
        _cells(table, paper.unit, f"{path}: {table.title}") for table in paper.tables
    )


def _cells(table: Table, unit: str, where: str) -> Scores:
    columns = {**table.tasks, **dict.fromkeys(table.averages)}
    if len(columns) < len(table.tasks) + len(table.averages):
        raise InputError(f"{where}: a column is both in tasks and in averages - name it once")
    names = [row.name for row in table.models]
    if len(set(names)) < len(names):
        raise InputError(f"{where}: a model stands in two rows - give each row a name of its own")
    matches = [_CELL.fullmatch(t.strip()) for row in table.models for t in row.scores.split("|")]
    values = [float(match[1]) for match in matches if match]
    if unit == "percent" and values and max(values) <= 1:
        raise InputError(f"{where}: no value is above 1 % - are they shares? Then `unit: share`")
    doubts = {(doubt.name, doubt.task) for doubt in table.doubtful}
    found: Scores = {}
    seen: dict[tuple[Score | None, ...], str] = {}
    for row in table.models:
        here = f"{where}: {row.name}"
        if row.base is not None and (row.base == row.name or row.base not in names):
            raise InputError(f"{here}: base is no other row of this table - name one, or none")
        texts = [text.strip() for text in row.scores.split("|")]
        if len(texts) != len(columns):
            raise InputError(
                f"{here}: {len(texts)} cell(s) for {len(columns)} column(s) - write `-` for none"
            )
        cells = tuple(
            _cell(text, items, unit, f"{here}, {column}",
                  average=column in table.averages, doubtful=(row.name, column) in doubts)
            for text, (column, items) in zip(texts, columns.items(), strict=True)
        )  # fmt: skip
        if len(cells) > 1 and cells in seen:
            raise InputError(f"{here}: every cell is that of {seen[cells]} - was a row copied?")
        seen[cells] = row.name
        pairs = zip(columns, cells, strict=True)
        found.update({(row.name, column): cell for column, cell in pairs if cell is not None})
    if unknown := doubts - set(found):
        raise InputError(f"{where}: doubtful: {len(unknown)} cell(s) that are not in the table")
    return found


def _cell(
    text: str, items: int | None, unit: str, where: str, *, average: bool, doubtful: bool
) -> Score | None:
    if text == "-":
        return None
    match = _CELL.fullmatch(text)
    if match is None:
        raise InputError(f"{where}: not `54.07 ± 4.30`, `54.07` or `-`")
    value, error = Decimal(match[1]), Decimal(match[2]) if match[2] else None
    whole = Decimal(100 if unit == "percent" else 1)
    if value > whole:
        raise InputError(f"{where}: more than {whole} - is `unit: {unit}` right?")
    share = float(value / whole)
    if items is None:
        if error is None or not error:
            raise InputError(f"{where}: neither a standard error nor n - one is needed for a test")
        return Score(share, float(error / whole), None, (), doubtful)
    counts = _counts(value, whole, items)
    binary = math.sqrt(share * (1 - share) / max(items - 1, 1))
    if not doubtful and not average:
        if not counts:
            raise InputError(
                f"{where}: no number of right answers of {items} is printed so - correct it, or "
                "name the cell in `doubtful`"
            )
        if error is not None and abs(float(error / whole) - binary) > (
            _TOLERANCE * binary + float(_half(error) / whole)
        ):
            raise InputError(
                f"{where}: the standard error of {items} right and wrong answers is "
                f"{float(whole) * binary:.2g} - correct it or n, or name the cell in `doubtful`"
            )
    return Score(share, binary if error is None else float(error / whole), items, counts, doubtful)


def _half(printed: Decimal) -> Decimal:
    """Half a unit of the last digit."""
    return Decimal(5).scaleb(int(printed.as_tuple().exponent) - 1)


def _counts(value: Decimal, whole: Decimal, items: int) -> tuple[int, ...]:
    """Whichever way a half was rounded, or twice (55.7496 is 55.75, and that 55.8)."""
    reach = _half(value) * Decimal("1.1")
    low, high = ((value + side * reach) * items / whole for side in (-1, 1))
    first = max(int(low.to_integral_value(ROUND_CEILING)), 0)
    last = min(int(high.to_integral_value(ROUND_FLOOR)), items)
    return tuple(range(first, last + 1))
