"""Which departments leave the house by name: those of which enough people asked.

People are counted as pseudonyms within a period, because a person has another one in the next. So
one with two keys counts twice, and a key that many share once. While a period is young, few have
asked, and a department is `other` until the last who is needed has.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core.files import write_atomic
from bedside_inference.audit.record import pseudonym_of

OTHER = "other"
KEPT_PERIODS = 2
"""Entries of a period that has ended may still come."""


class Group(BaseModel):
    """People of a department in a period, up to as many as are needed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    period: int
    department: str
    pseudonyms: tuple[str, ...]


class GroupFile(BaseModel):
    """`departments.json`: what the deliveries to the SIEM have seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    groups: tuple[Group, ...] = ()


class Departments:
    """The departments of a log, as far as it was read."""

    def __init__(self, smallest: int) -> None:
        """`smallest`: so many people must have asked in a period."""
        self._smallest = smallest
        self._people: defaultdict[tuple[int, str], set[str]] = defaultdict(set)

    def add(self, entry: dict[str, Any]) -> None:
        """Take note of who asked."""
        pseudonym, department = pseudonym_of(entry), entry.get("department")
        if pseudonym is not None and department is not None:
            people = self._people[_period(pseudonym), department]
            if len(people) < self._smallest:
                people.add(pseudonym)

    def coarse(self, entry: dict[str, Any]) -> dict[str, Any]:
        """The entry, with `other` for a department of too few people."""
        pseudonym, department = pseudonym_of(entry), entry.get("department")
        if department is None:
            return entry
        people = self._people.get((_period(pseudonym), department), ()) if pseudonym else ()
        return entry if len(people) >= self._smallest else {**entry, "department": OTHER}

    @classmethod
    def read(cls, path: Path, smallest: int) -> Departments:
        """What was kept; a file that is not there or not readable only makes more `other`."""
        found = cls(smallest)
        try:
            file = GroupFile.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return found
        for group in file.groups:
            found._people[group.period, group.department] = set(group.pseudonyms)
        return found

    def write(self, path: Path) -> None:
        """Keep what the next delivery needs.

        Raises:
            ArtifactError: it cannot be written.
        """
        last = max((period for period, _ in self._people), default=0)
        groups = tuple(
            Group(period=period, department=department, pseudonyms=tuple(sorted(people)))
            for (period, department), people in self._people.items()
            if period > last - KEPT_PERIODS
        )
        content = GroupFile(groups=groups).model_dump_json().encode() + b"\n"
        write_atomic(path, content, mode=0o600)


def _period(pseudonym: str) -> int:
    return int(pseudonym.partition(".")[0])
