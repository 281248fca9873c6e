"""The models that are compared: each is a folder of logs, or one log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import NamedTuple

from bedside_core.errors import ConfigError, InputError
from bedside_eval.compare import inspect_log, lm_eval
from bedside_eval.compare.log import Log, Wanted, shown


class Model(NamedTuple):
    """One model's logs by task."""

    label: str
    """A, B, C, ... in the order of the command line; A is what the others are compared with."""
    name: str
    path: Path
    logs: dict[str, Log]


def read_models(paths: Sequence[Path], wanted: Wanted, tasks: Sequence[str]) -> list[Model]:
    """Read what the command line names.

    Args:
        paths: one per model, a folder or a file.
        wanted: what to read where a log holds several.
        tasks: those to compare; empty means all.

    Raises:
        ConfigError: fewer than two models, or more than there are letters.
        InputError: a log cannot be read, or the logs do not hold the same tasks.
    """
    if not 2 <= len(paths) <= len(ascii_uppercase):
        raise ConfigError(
            f"eval compare: {len(paths)} log(s) - name at least two and at most "
            f"{len(ascii_uppercase)}, one for each model"
        )
    models = [
        _model(label, path, wanted, tasks)
        for label, path in zip(ascii_uppercase, paths, strict=False)
    ]
    every = sorted({task for model in models for task in model.logs})
    for model in models:
        missing = [shown(task) for task in every if task not in model.logs]
        if missing:
            raise InputError(
                f"{model.path}: no log of {', '.join(missing)} - evaluate it there too, or name "
                "with --tasks those that all have"
            )
    return models


def _model(label: str, path: Path, wanted: Wanted, tasks: Sequence[str]) -> Model:
    logs = _logs(path, wanted, tasks)
    doubled = [task for task, count in Counter(log.task for log in logs).items() if count > 1]
    if doubled:
        raise InputError(
            f"{path}: several logs of {shown(doubled[0])} - name one file, or a folder with one run"
        )
    names = sorted({log.model for log in logs})
    if len(names) > 1:
        raise InputError(
            f"{path}: logs of several models ({', '.join(map(shown, names))}) - name one folder "
            "for each model"
        )
    return Model(label, names[0], path, {log.task: log for log in sorted(logs, key=_task)})


def _task(log: Log) -> str:
    return log.task


def _logs(path: Path, wanted: Wanted, tasks: Sequence[str]) -> list[Log]:
    theirs, inspects = _files(path)
    if theirs and inspects:
        raise InputError(f"{path}: logs of lm-eval and of Inspect - name one folder for each model")
    if tasks:
        theirs = [file for file in theirs if lm_eval.task_of(file) in tasks]
    try:
        found = [*lm_eval.read(theirs, wanted), *inspect_log.read(inspects, wanted)]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}) - check its rights") from None
    logs = [log for log in found if not tasks or log.task in tasks]
    if not logs:
        raise InputError(
            f"{path}: no samples_*.jsonl of lm-eval (--log_samples) and no log of Inspect"
            + (f" with {', '.join(tasks)}" if tasks else "")
        )
    return logs


def _files(path: Path) -> tuple[list[Path], list[Path]]:
    if path.is_dir():
        theirs = sorted(path.rglob(lm_eval.PATTERN))
        if theirs:
            # lm-eval's results_*.json lie beside them.
            return theirs, sorted(path.rglob("*.eval"))
        return [], sorted(file for p in inspect_log.PATTERNS for file in path.rglob(p))
    if not path.is_file():
        raise InputError(f"{path}: is neither a file nor a folder")
    return ([path], []) if path.suffix == ".jsonl" else ([], [path])
