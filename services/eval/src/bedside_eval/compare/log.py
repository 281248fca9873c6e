"""One model's answers to one task, whoever wrote the log.

No word of a document, a prompt or an answer is kept: an item is known by hashes, and messages name
file and line.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bedside_core.errors import InputError

_NAME = 80
"""Characters of a name from a log that are shown."""


class Wanted(NamedTuple):
    """What to read where a log holds several."""

    metric: str | None = None
    filter: str | None = None
    cluster: str | None = None
    """The field that names an item's cluster; None takes the field `cluster` where there is one."""


class Answer(NamedTuple):
    """A model's answer to one item; an item that was asked twice has two."""

    item: str
    """Hash of what was asked and of the right answer; equal ones make a pair."""
    prompt: str
    """Hash of how it was asked: template, examples, cue."""
    score: float | None
    """From 0 (wrong) up; None if nobody measured it."""
    unread: bool
    """No answer was found in what the model wrote."""
    cluster: str | None


class Log(NamedTuple):
    """One model's answers to one task."""

    model: str
    task: str
    metric: str
    path: Path
    answers: tuple[Answer, ...]
    notes: tuple[str, ...] = ()
    """What a reader of the result must know."""


def digest(value: Any) -> str:
    """SHA-256 of a JSON value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def shown(name: str) -> str:
    """A name from a log, fit for a terminal and a Markdown table."""
    safe = "".join(c if c.isprintable() and c not in "|`<>" else "?" for c in name)
    return safe if len(safe) <= _NAME else f"...{safe[3 - _NAME :]}"


def parse(data: bytes, where: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InputError: it is none; quotes nothing of it.
    """
    try:
        value = json.loads(data)
    # RecursionError: nested a thousand times; ValueError covers text that is not UTF-8.
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InputError(f"{where}: is no JSON object - the log is damaged, copy it again")
    return value


def text(record: dict[str, Any], name: str, where: str) -> str:
    """A field that must be text.

    Raises:
        InputError: it is missing or of another kind.
    """
    value = record.get(name)
    if not isinstance(value, str):
        raise InputError(
            f"{where}: no text {name!r} - is this a log of another program or version?"
        )
    return value


def score(value: Any, where: str) -> float | None:
    """A score; None where it is missing, not a number (NaN) or infinite.

    Raises:
        InputError: it is something else than a number, or below 0.
    """
    if value is None:
        return None
    if not isinstance(value, int | float):
        raise InputError(f"{where}: a score that is no number - name another metric (--metric)")
    try:
        number = float(value)
    except OverflowError:
        return None
    if not math.isfinite(number):
        return None
    if number < 0:
        raise InputError(
            f"{where}: a score below 0 - scores from 0 (wrong) up can be compared; name another "
            "metric (--metric)"
        )
    return number


def cluster(fields: Any, wanted: Wanted, where: str) -> str | None:
    """The name of an item's cluster; None where the log knows none.

    Raises:
        InputError: the field was asked for and is not there, or it is neither text nor a number.
    """
    name = wanted.cluster or "cluster"
    if not isinstance(fields, dict) or name not in fields:
        if wanted.cluster is None:
            return None
        raise InputError(f"{where}: the item has no field {name!r} - name another with --cluster")
    value = fields[name]
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise InputError(
        f"{where}: field {name!r} names no cluster - it must be text or a whole number in "
        "every item"
    )


def chosen(found: Sequence[str], name: str | None, what: str, where: str) -> str:
    """The wanted one of what a log offers, else its first.

    Raises:
        InputError: the wanted one is not there.
    """
    if name is None:
        return found[0]
    if name not in found:
        known = ", ".join(map(shown, found))
        raise InputError(f"{where}: no {what} {name!r} - it has {known}")
    return name
