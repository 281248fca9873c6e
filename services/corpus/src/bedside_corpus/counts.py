"""What a block did with the documents that came in: counts and places, never text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

MAX_PLACES = 5
"""Places kept per reason: enough to look at, however many were dropped."""


@dataclass(slots=True)
class Counts:
    """Of one block over some documents; those of two parts add up to those of the whole."""

    read: int = 0
    """Documents that came in."""
    changed: int = 0
    """Of those that went on, how many with another text, id, licence or language."""
    dropped: Counter[str] = field(default_factory=Counter)
    """How many did not go on, per reason."""
    places: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Per reason, where the first of them stand: `source/file:line`."""
    noted: Counter[str] = field(default_factory=Counter)
    """What else the block counted, under names of its own."""

    @property
    def kept(self) -> int:
        """Documents that went on."""
        return self.read - self.dropped.total()

    def drop(self, reason: str, place: str) -> None:
        """Count a document that does not go on, and remember the first few places."""
        self.dropped[reason] += 1
        if len(self.places[reason]) < MAX_PLACES:
            self.places[reason].append(place)

    def __add__(self, later: Self) -> Counts:
        """The counts of this part and of the one behind it."""
        places = defaultdict(list, {reason: [*found] for reason, found in self.places.items()})
        for reason, found in later.places.items():
            places[reason] = [*places[reason], *found][:MAX_PLACES]
        return Counts(
            self.read + later.read,
            self.changed + later.changed,
            self.dropped + later.dropped,
            places,
            self.noted + later.noted,
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON has it; sorted, so that equal counts have equal bytes."""
        return {
            "read": self.read,
            "changed": self.changed,
            "dropped": {
                reason: {"count": count, "first": self.places[reason]}
                for reason, count in sorted((+self.dropped).items())
            },
            "noted": dict(sorted((+self.noted).items())),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Counts:
        """What `to_json` wrote."""
        dropped = value["dropped"]
        return cls(
            value["read"],
            value["changed"],
            Counter({reason: one["count"] for reason, one in dropped.items()}),
            defaultdict(list, {reason: one["first"] for reason, one in dropped.items()}),
            Counter(value["noted"]),
        )
