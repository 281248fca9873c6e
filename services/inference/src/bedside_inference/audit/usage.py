"""How much each department asked in each month, told only of groups in which nobody stands out.

A department of which fewer people asked than the smallest group goes into `other`; so do the
smallest others until that holds enough people too, or it would be what is left of the sum. A month
is told once it is over and as long as all of it is kept: two reports never differ by one day.
Not covered: one person who asked far more than the rest of a group; that of a group's people one
has two keys, and so counts twice.

Months are of UTC.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal

from bedside_core.console import table
from bedside_inference.audit.departments import OTHER
from bedside_inference.audit.reader import Snapshot
from bedside_inference.audit.record import pseudonym_of

Format = Literal["table", "csv", "json"]


@dataclass(slots=True)
class Use:
    """What a group used."""

    requests: int = 0
    refused: int = 0
    """Of these, those that were answered with an error."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    people: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Pseudonyms by period."""

    @property
    def size(self) -> int:
        """People at least: whoever asked in two periods has two pseudonyms."""
        return max(map(len, self.people.values()), default=0)

    def add(self, entry: dict[str, Any], pseudonym: str) -> None:
        """Count one request."""
        self.requests += 1
        status, left = entry["status"], entry["disconnect_phase"] is not None
        self.refused += status is not None and status >= 400 and not left
        self.prompt_tokens += entry["prompt_tokens"] or 0
        self.completion_tokens += entry["completion_tokens"] or 0
        self.people[pseudonym.partition(".")[0]].add(pseudonym)

    def take(self, other: Use) -> None:
        """Add another group."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for period, people in other.people.items():
            self.people[period] |= people


COUNTS = tuple(each.name for each in fields(Use) if each.name != "people")
COLUMNS = ("month", "department", *COUNTS)
Months = Mapping[str, Mapping[str, Use]]


def usage(chain: Snapshot, smallest: int) -> Months:
    """By month and department, all of it large enough to be told.

    Args:
        chain: of the audit.
        smallest: so many people a group must have.
    """
    now = f"{datetime.fromtimestamp(time.time(), UTC):%Y-%m}"
    found: defaultdict[str, defaultdict[str, Use]] = defaultdict(lambda: defaultdict(Use))
    cut = ""
    for place in chain.places():
        entry = place.entry.members
        if not cut:
            # Of the month in which what is kept begins, something may have been deleted.
            cut = entry["time"][:7] if place.entry.seq > 1 else "whole"
        month = entry.get("started", "")[:7]
        pseudonym, department = pseudonym_of(entry), entry.get("department")
        if entry["type"] == "request" and month < now and pseudonym and department:
            found[month][department].add(entry, pseudonym)
    return {
        month: told
        for month, groups in sorted(found.items())
        if (cut == "whole" or month > cut) and (told := merged(groups, smallest))
    }


def merged(groups: Mapping[str, Use], smallest: int) -> dict[str, Use]:
    """One month's departments, the small ones together; nothing if all are too few people."""
    told = dict(groups)
    other = told.pop(OTHER, Use())
    for name in sorted(told, key=lambda name: told[name].size):
        if told[name].size < smallest or 0 < other.size < smallest:
            other.take(told.pop(name))
    named = dict(sorted(told.items()))
    return {**named, OTHER: other} if other.size >= smallest else named


def rendered(months: Months, form: Format) -> str:
    """As a table, CSV with a head line, or JSON."""
    rows = list(_rows(months))
    if form == "json":
        found = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
        return json.dumps(found, indent=2, ensure_ascii=False)
    if form == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
        return text.getvalue().removesuffix("\n")
    if not rows:
        return "no month that is over and of which enough people asked"
    heads = [name.replace("_", " ") for name in COLUMNS]
    return table([heads, *([str(cell) for cell in row] for row in rows)])


def _rows(months: Months) -> Iterable[tuple[str | int, ...]]:
    for month, groups in months.items():
        for department, use in groups.items():
            yield month, department, *(getattr(use, name) for name in COUNTS)
