"""What happened to every record that was read: counts and places, never text."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from bedside_core.console import say, table
from bedside_corpus.counts import MAX_PLACES
from bedside_corpus.document import Document
from bedside_corpus.intake.licence import each


@dataclass(slots=True)
class Tally:
    """Counts of one pass over the sources."""

    read: int = 0
    words: int = 0
    licences: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Kept documents per source and licence."""
    dropped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    """What intake says of records that it could read, for example `encoding cp1252`."""
    places: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Per reason, where its first records stand: `source/file:line`."""

    @property
    def kept(self) -> int:
        return sum(counts.total() for counts in self.licences.values())

    def keep(self, document: Document) -> None:
        """Count a document that goes into the corpus."""
        self.words += document.words
        self.licences[document.source][document.licence] += 1

    def drop(self, reason: str, place: str) -> None:
        """Count a record that does not, and remember the first few places."""
        self.dropped[reason] += 1
        if len(self.places[reason]) < MAX_PLACES:
            self.places[reason].append(place)

    def licence_ids(self) -> list[str]:
        """The licences of the kept documents, each once."""
        return sorted(
            {n for counts in self.licences.values() for name in counts for n in each(name)}
        )

    def reasons(self) -> str:
        """The counted reasons in one line, the most frequent first."""
        return ", ".join(
            f"{reason} {count} (first: {self.places[reason][0]})"
            for reason, count in self.dropped.most_common()
        )

    def facts(self) -> dict[str, Any]:
        """The facts of the artifact's manifest; a source of which nothing was kept is not named."""
        return {
            "documents": self.kept,
            "words": self.words,
            "sources": [
                {
                    "name": source,
                    "documents": counts.total(),
                    "licences": ", ".join(sorted(counts)),
                }
                for source, counts in self.licences.items()
            ],
            "dropped": dict(sorted(self.dropped.items())),
        }

    def stats(self) -> dict[str, Any]:
        """The content of `stats.json`."""
        return {
            "read": self.read,
            "kept": self.kept,
            "words": self.words,
            "sources": {name: dict(counts) for name, counts in self.licences.items()},
            "notes": dict(sorted(self.notes.items())),
            "dropped": {
                reason: {"count": count, "first": self.places[reason]}
                for reason, count in sorted(self.dropped.items())
            },
        }

    def report(self) -> None:
        """Tell the user."""
        say(f"read {self.read:,} records, kept {self.kept:,} documents of {self.words:,} words")
        rows = [["source", "licence", "documents"]]
        for source, counts in self.licences.items():
            rows += [[source, name, f"{count:,}"] for name, count in sorted(counts.items())]
        say(table(rows))
        for note, count in self.notes.most_common():
            say(f"{note}: {count:,} records")
        if self.dropped:
            rows = [["dropped", "records", "first at"]]
            rows += [
                [reason, f"{count:,}", self.places[reason][0]]
                for reason, count in self.dropped.most_common()
            ]
            say(table(rows))
