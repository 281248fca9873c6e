"""Logs of lm-eval 0.4 (`--log_samples`): `samples_TASK_TIME.jsonl` beside `results_TIME.json`.

Pairs are made on `doc_hash` and `target_hash`, never on the position in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bedside_core.errors import InputError
from bedside_eval.compare.log import (
    Answer,
    Log,
    Wanted,
    chosen,
    cluster,
    digest,
    parse,
    score,
    shown,
    text,
)

PATTERN = "samples_*.jsonl"
_NAME = re.compile(r"samples_(?P<task>.+?)(?:_(?P<time>\d{4}-\d\d-\d\dT[\d.-]+))?\.jsonl")
_INVALID = "[invalid]"
"""What lm-eval's filters leave where they find no answer."""


class _Row(NamedTuple):
    where: str
    filter: str
    metrics: dict[str, Any]
    answer: Answer
    """Without its score."""


def task_of(path: Path) -> str:
    """The task that a file of samples belongs to.

    Raises:
        InputError: it has another name than lm-eval gives.
    """
    return _named(path)["task"]


def _named(path: Path) -> re.Match[str]:
    name = _NAME.fullmatch(path.name)
    if name is None:
        raise InputError(f"{path}: is not named samples_TASK_TIME.jsonl - restore lm-eval's name")
    return name


def read(files: Sequence[Path], wanted: Wanted) -> list[Log]:
    """One log per file.

    Raises:
        InputError: a file is damaged, incomplete or of another format.
    """
    return [_read(path, wanted) for path in files]


def _read(path: Path, wanted: Wanted) -> Log:
    name = _named(path)
    task = name["task"]
    rows = list(_rows(path, wanted))
    if not rows:
        raise InputError(f"{path}: is empty - evaluate again with --log_samples")
    rows = _filtered(rows, wanted.filter, str(path))
    offered = [m for m, value in rows[0].metrics.items() if not isinstance(value, list | dict)]
    if wanted.metric is None and not offered:
        raise InputError(
            f"{path}: no metric has one number per item - leave the task out (--tasks)"
        )
    metric = chosen(offered, wanted.metric, "metric", str(path))
    model, notes = _results(path, name["time"], task, metric, len(rows))
    answers = tuple(
        row.answer._replace(score=score(row.metrics.get(metric), row.where)) for row in rows
    )
    return Log(model, task, metric, path, answers, notes)


def _rows(path: Path, wanted: Wanted) -> Iterator[_Row]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _row(line, wanted, f"{path}: line {number}")


def _row(line: bytes, wanted: Wanted, where: str) -> _Row:
    record = parse(line, where)
    names = record.get("metrics")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{where}: no list of 'metrics' - evaluate with lm-eval 0.4.9 or later")
    hashes = [text(record, name, where) for name in ("doc_hash", "target_hash")]
    answer = Answer(
        item=digest(hashes),
        prompt=text(record, "prompt_hash", where),
        score=None,
        unread=record.get("filtered_resps") == [_INVALID],
        cluster=cluster(record.get("doc"), wanted, where),
    )
    metrics = {name: record.get(name) for name in names}
    return _Row(where, text(record, "filter", where), metrics, answer)


def _filtered(rows: list[_Row], wanted: str | None, where: str) -> list[_Row]:
    """The rows of one filter: lm-eval writes a row for each."""
    found = sorted({row.filter for row in rows})
    if len(found) > 1 and wanted is None:
        raise InputError(
            f"{where}: answers were read by several filters ({', '.join(map(shown, found))}) - "
            "name one with --filter"
        )
    name = chosen(found, wanted if len(found) > 1 else None, "filter", where)
    return [row for row in rows if row.filter == name]


def _results(
    path: Path, time: str | None, task: str, metric: str, num_rows: int
) -> tuple[str, tuple[str, ...]]:
    """The model's name and what is to be known, from the file beside the samples."""
    beside = path.with_name(f"results_{time}.json")
    if not beside.is_file():
        note = f"{shown(task)}: no {beside.name} beside it, so lost items cannot be noticed"
        return path.parent.name, (note,)
    results = parse(beside.read_bytes(), str(beside))
    if _at(results, "higher_is_better", task, metric) is False:
        raise InputError(
            f"{path}: less of {shown(metric)} is better - name another metric (--metric) or leave "
            "the task out (--tasks)"
        )
    effective = _at(results, "n-samples", task, "effective")
    original = _at(results, "n-samples", task, "original")
    if effective is not None and effective != num_rows:
        raise InputError(
            f"{path}: {num_rows} item(s), and {beside.name} counts {effective} - copy the log again"
        )
    notes: tuple[str, ...] = ()
    if original != effective:
        notes = (f"{shown(task)}: {effective} of its {original} items were asked (--limit)",)
    model = results.get("model_name")
    return model if isinstance(model, str) and model else path.parent.name, notes


def _at(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
