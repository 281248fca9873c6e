"""From a layout's files to exam items; what becomes no item is counted with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from bedside_core.kinds.exam import ExamItem
from bedside_core.kinds.exam.items import TYPES
from bedside_core.messages import sentence
from bedside_eval.importing.layout import WORKED, Layout, LeftOutError, Origin
from bedside_eval.importing.tables import Row


class Wanted(NamedTuple):
    """Which rows of the files."""

    language: str
    split: str = ""
    """Of rows that name one; empty takes every one."""
    without: str = ""
    """Rows of this split are left out: examples come from them."""
    subject: str = ""
    """Take this specialty alone."""


class Read(NamedTuple):
    """What was in the files."""

    items: list[ExamItem]
    worked: dict[str, str]
    """By id: how an answer is given in an example, where it is not the answer alone."""
    rows: int
    left_out: Counter[str]
    """By reason; `rows` is their sum and the number of items."""


def read(source: str, layout: Layout, files: Sequence[Path], wanted: Wanted) -> Read:
    """Items in the order of the files and their rows.

    Args:
        source: the layout's name.
        layout: its importer.
        files: of the snapshot.
        wanted: which of their rows.

    Raises:
        InputError: a file cannot be read.
    """
    found = Read([], {}, 0, Counter())
    ids: set[str] = set()
    rows = 0
    for file in files:
        for number, row in enumerate(_rows(layout, file), start=1):
            rows += 1
            try:
                item, worked = _item(source, layout, row, Origin(file, number, wanted.language))
                _check(layout, row, item, wanted, ids)
            except LeftOutError as reason:
                found.left_out[str(reason)] += 1
                continue
            ids.add(item.id)
            found.items.append(item)
            if worked:
                found.worked[item.id] = worked
    return found._replace(rows=rows)


def _rows(layout: Layout, file: Path) -> Iterator[Row | None]:
    if layout.expand is None:
        yield from layout.read(file)
        return
    read_before = list(layout.read(file))
    yield from (row for row in read_before if row is None)
    yield from layout.expand(row for row in read_before if row is not None)


def _item(source: str, layout: Layout, row: Row | None, origin: Origin) -> tuple[ExamItem, str]:
    if row is None:
        raise LeftOutError("no mapping of names to values, or another number of columns")
    fields = layout.item(row, origin)
    worked = str(fields.pop(WORKED, ""))
    fields |= {"language": origin.language, "source": source, "licence": layout.licence}
    kind = TYPES[fields.get("type", "choice")]
    try:
        return kind.model_validate(fields), worked
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        field = next((f"{x}: " for x in problem["loc"][:1] if x in kind.model_fields), "")
        raise LeftOutError(f"{field}{sentence(problem, kind)}") from None


def _check(layout: Layout, row: Row | None, item: ExamItem, wanted: Wanted, ids: set[str]) -> None:
    split = layout.split_of(row) if layout.split_of and row else ""
    if split and wanted.split and split != wanted.split:
        raise LeftOutError("another split")
    if split and split == wanted.without:
        raise LeftOutError("kept for examples")
    if wanted.subject and _plain(item.specialty) != _plain(wanted.subject):
        raise LeftOutError("another subject")
    if item.id in ids:
        raise LeftOutError("an id that came before")


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")
