"""`bedside eval check-exam FILE...`: what is wrong with a hospital's own items, by line.

Needs no run, no key and no network; says lines and counts, never a word of an item.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from bedside_core.config import Config
from bedside_core.console import say, table
from bedside_core.errors import InputError
from bedside_core.files import write_atomic
from bedside_core.kinds.exam import ChoiceItem, parsed
from bedside_core.kinds.exam.wording import LETTERS

if TYPE_CHECKING:
    from bedside_core.registry.registry import Registry
    from bedside_eval.authoring.rules import Found, Line

NAMED = 8
"""Lines of a rule that are named on the screen; `--output` has all."""


class CheckOptions(Config):
    """What is written."""

    output: Path | None = None
    """A file for everything that was found, as JSON."""


def check_exam(registry: Registry, files: tuple[str, ...], options: CheckOptions) -> None:
    """Look at items that people wrote.

    Raises:
        InputError: a file cannot be read, or something makes a number wrong.
    """
    # scipy: not for the other verbs of this service.
    from bedside_eval.authoring.rules import Line, judge

    lines: list[Line] = []
    invalid: list[tuple[Path, int]] = []
    for path in map(Path, files):
        for number, item in parsed(path):
            if isinstance(item, InputError):
                say(f"{item}")
                invalid.append((path, number))
            else:
                lines.append(Line(path, number, item))
    if not lines and not invalid:
        raise InputError("no items - an exam has one JSON object per line")
    found = judge(lines, invalid)
    _show(lines, found)
    if options.output is not None:
        write_atomic(options.output, _json(lines, found))
    errors = sum(len(one.places) for one in found if one.severity == "error")
    if errors:
        raise InputError(f"{errors} error(s) in {len(files)} file(s) - see above")


def _show(lines: Sequence[Line], found: Sequence[Found]) -> None:
    from bedside_eval.authoring.rules import RULES

    rows = [["set", "count"], *([name, f"{count}"] for name, count in _counts(lines).items())]
    say(table(rows))
    if found:
        head = ["", "code", "items", "what", "where"]
        say(table([head, *([one.severity, one.code, f"{len(one.places)}", RULES[one.code][1],
                            _where(one)] for one in found)]))  # fmt: skip
    else:
        say("nothing found")


def _where(found: Found) -> str:
    """File and lines, as far as they fit."""
    parts = [
        f"{path.name}:{','.join(str(number) for _, number in places)}"
        for path, places in groupby(found.places[:NAMED], key=lambda place: place[0])
    ]
    more = len(found.places) - NAMED
    return " ".join(parts) + (f" and {more} more" if more > 0 else "")


def _counts(lines: Sequence[Line]) -> dict[str, int]:
    """How many items, clusters, languages, specialties and right options by position."""
    items = [line.item for line in lines]
    counts = {"items": len(items), "clusters": len({item.cluster for item in items})}
    for field in ("type", "language", "domain", "specialty"):
        by_value = Counter(getattr(item, field) for item in items)
        counts |= {f"{field} {value or '(none)'}": by_value[value] for value in sorted(by_value)}
    places = Counter(n for item in items if isinstance(item, ChoiceItem) for n in item.answers)
    return counts | {f"right option {LETTERS[place]}": places[place] for place in sorted(places)}


def _json(lines: Sequence[Line], found: Sequence[Found]) -> bytes:
    content = {
        "schema_version": 1,
        "counts": _counts(lines),
        "found": [
            {"code": one.code, "severity": one.severity,
             "places": [{"file": path.name, "line": number} for path, number in one.places]}
            for one in found
        ],
    }  # fmt: skip
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"
