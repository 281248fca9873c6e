"""Many keys at once from a table (CSV), all or none; and the file that new keys are written into.

Tested in tests/inference/test_bulk.py.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bedside_core.config import validate
from bedside_core.console import say
from bedside_core.errors import ConfigError, InputError
from bedside_core.files import disk_errors
from bedside_core.messages import did_you_mean
from bedside_inference.audit.journal import AuditLog, acts
from bedside_inference.keys import NewKey, create_all
from bedside_inference.state.records import KeyOptions
from bedside_inference.state.store import Store

MOST_LINES = 10_000
COLUMNS = tuple(KeyOptions.model_fields)
HANDED = ("id", "holder", "label", "department", "key")
"""Columns of what is handed out."""


def read_table(path: Path, check: Callable[[str, KeyOptions], None]) -> list[KeyOptions]:
    """The keys that a table asks for.

    Args:
        path: CSV in UTF-8 with a head line; separated by `,` or, as German spreadsheets do, `;`.
        check: refuses a row by raising ConfigError; is told how to call it.

    Raises:
        InputError: names each wrong row by its line number, or why the table cannot be read.
    """
    rows = _rows(path)
    _, names = next(rows, (1, []))
    _check_columns(path, names)
    found: list[KeyOptions] = []
    wrong: list[str] = []
    for number, cells in rows:
        where = f"{path} line {number}"
        try:
            row = _options(where, names, cells)
            check(where, row)
            found.append(row)
        except ConfigError as error:
            wrong.append(str(error))
    if wrong:
        raise InputError("\n".join([*wrong, f"{path}: no key was made - correct these lines"]))
    if not found:
        raise InputError(f"{path}: asks for no key - the first line names columns, one key a line")
    return found


def create_listed(
    store: Store, wanted: Sequence[KeyOptions], days: int, output: Path | None, log: AuditLog
) -> None:
    """Make keys and hand them out once, as a table: all or none.

    Args:
        store: holds them.
        wanted: one row for each.
        days: how long a row without a number of its own is valid.
        output: a new file, which only this user can read; by default standard output.
        log: records each; open.

    Raises:
        InputError: the file is there already.
        ArtifactError: it cannot be written, or the state database cannot be used; no key was made.
    """
    scopes = [(row.scope, row.days or days) for row in wanted]
    if output is None:
        made = create_all(store, scopes, audit=acts(log), settle=log.sync)
        say(_handed(wanted, made).removesuffix("\n"))
        return
    with new_file(output) as write:
        create_all(
            store, scopes, audit=acts(log), settle=log.sync,
            deliver=lambda made: write(_handed(wanted, made).encode()),
        )  # fmt: skip


@contextmanager
def new_file(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Write a file that nobody else can read and that was not there; gone if the block fails.

    Raises:
        InputError: there is something.
        ArtifactError: it cannot be written.
    """
    with disk_errors(path.name):
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise InputError(f"{path}: is there already - name a new file") from None
        try:
            with os.fdopen(handle, "wb") as file:

                def write(data: bytes) -> None:
                    file.write(data)
                    file.flush()
                    os.fsync(handle)

                yield write
        except BaseException:
            path.unlink()
            raise


def _handed(wanted: Sequence[KeyOptions], made: Sequence[NewKey]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HANDED)
    for row, key in zip(wanted, made, strict=True):
        writer.writerow([key.id, row.holder, row.label, row.department, key.secret])
    return text.getvalue()


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The number of each line and its cells; the head line first."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not in UTF-8 - save it as 'CSV UTF-8'") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    head = text.partition("\n")[0]
    separator = ";" if head.count(";") > head.count(",") else ","
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for cells in lines:
            if lines.line_num > MOST_LINES:
                raise InputError(f"{path}: has more than {MOST_LINES} lines - make several files")
            if any(cell.strip() for cell in cells):
                yield lines.line_num, [cell.strip() for cell in cells]
    except csv.Error:
        raise InputError(
            f"{path} line {lines.line_num}: is not CSV - see that each quotation mark has its end"
        ) from None


def _check_columns(path: Path, names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        if name not in COLUMNS:
            hint = did_you_mean(name, COLUMNS)
            raise InputError(f"{path} line 1: column {number + 1} has an unknown name - {hint}")
        if name in names[:number]:
            raise InputError(f"{path} line 1: {name} stands there twice")


def _options(where: str, names: Sequence[str], cells: Sequence[str]) -> KeyOptions:
    if len(cells) > len(names):
        raise ConfigError(f"{where}: has {len(cells)} cells for {len(names)} columns")
    given: dict[str, object] = {
        name: cell for name, cell in zip(names, cells, strict=False) if cell
    }
    if isinstance(models := given.get("models"), str):
        given["models"] = models.split()
    return validate(KeyOptions, given, where, lambda at: f"{where}: {at[0]}" if at else where)
