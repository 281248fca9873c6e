"""An exam file: JSON Lines, an item per line, all of one type."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from bedside_core.errors import InputError
from bedside_core.kinds.exam.items import TYPES, ChoiceItem, ExamItem
from bedside_core.messages import did_you_mean, sentence


def read_exam(path: Path) -> list[ExamItem]:
    """Read an exam in the order of its lines; blank lines are skipped.

    Raises:
        InputError: unreadable, not UTF-8, no items, a line that is no valid item, or a question
            that comes again with another right answer; the message names file and line and never
            quotes the item.
    """
    items: list[ExamItem] = []
    seen: dict[str, int] = {}
    asked: dict[str, ExamItem] = {}
    for number, item in parsed(path):
        if isinstance(item, InputError):
            raise item
        if item.id in seen:
            raise InputError(
                f"{path}, line {number}: the id of line {seen[item.id]} again - every item needs "
                "an id of its own"
            )
        seen[item.id] = number
        if items and item.type != items[0].type:
            raise InputError(
                f"{path}, line {number}: of type {item.type}, and the first is of type "
                f"{items[0].type} - an exam has items of one type; put these into another file"
            )
        earlier = asked.setdefault(item.identity, item)
        if item.contradicts(earlier):
            raise InputError(
                f"{path}, line {number}: the question of line {seen[earlier.id]} again, with "
                "another right answer - correct one of them"
            )
        items.append(item)
    if not items:
        raise InputError(f"{path}: no items - an exam has one JSON object per line")
    return items


def parsed(path: Path) -> Iterator[tuple[int, ExamItem | InputError]]:
    """Each line that is not blank by its number, from 1: an item, or why it is none.

    Raises:
        InputError: the file is unreadable or not UTF-8.
    """
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            try:
                yield number, _parse(line, f"{path}, line {number}")
            except InputError as error:
                yield number, error


def _lines(path: Path) -> list[str]:
    try:
        return path.read_bytes().decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 - convert it, for example with iconv") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _parse(line: str, where: str) -> ExamItem:
    kind = _type(line, where)
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        # Only our own names: an unknown key may be anything that stood in the file.
        field = next((f"{x}: " for x in problem["loc"][:1] if x in kind.model_fields), "")
        needed = ", ".join(name for name, one in kind.model_fields.items() if one.is_required())
        raise InputError(
            f"{where}: {field}{sentence(problem, kind)} - an item of this type has {needed} and, "
            "if several share a source, cluster"
        ) from None


def _type(line: str, where: str) -> type[ExamItem]:
    """The type that a line names; a choice where it names none, or is no item at all."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return ChoiceItem
    name = found.get("type", "choice") if isinstance(found, dict) else "choice"
    if not isinstance(name, str) or name not in TYPES:
        advice = did_you_mean(name, TYPES) if isinstance(name, str) else ", ".join(TYPES)
        raise InputError(f"{where}: type: no type of item - {advice}")
    return TYPES[name]
