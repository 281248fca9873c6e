"""What happened to every record that was read: counts and places, never text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bedside_core.console import say, table
from bedside_core.kinds.corpus import STATS
from bedside_corpus.blocks.cleaning import Cleaning
from bedside_corpus.blocks.heldout import HeldoutFilter
from bedside_corpus.counts import Counts
from bedside_corpus.engine.records import Record
from bedside_corpus.intake.licence import each
from bedside_corpus.reasons import reason


@dataclass(slots=True)
class Tally:
    """Counts of one pass over the sources."""

    words: int = 0
    licences: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Kept documents per source and licence."""
    steps: dict[str, Counts] = field(default_factory=dict)
    """What each step did, in their order."""

    @classmethod
    def of(cls, *stages: Iterable[Record]) -> Tally:
        """What was recorded of every shard, stage by stage; the last has the documents."""
        tally = cls()
        for records in stages:
            tally.words, tally.licences = 0, defaultdict(Counter)
            for record in records:
                tally.words += record.words
                for source, counts in record.licences.items():
                    tally.licences[source].update(counts)
                for name, counted in record.steps.items():
                    before = tally.steps.get(name, Counts())
                    tally.steps[name] = before + Counts.from_json(counted)
        return tally

    @property
    def read(self) -> int:
        """Records of the sources."""
        first = next(iter(self.steps.values()), Counts())
        return first.read

    @property
    def notes(self) -> Counter[str]:
        """What steps counted beside, for example `encoding cp1252`.

        Neither what cleaning changed nor what was left out for what is asked.
        """
        apart = Cleaning.name, HeldoutFilter.name
        others = (counts.noted for name, counts in self.steps.items() if name not in apart)
        return sum(others, Counter())

    @property
    def heldout(self) -> Counter[str]:
        """What was noted of held-out texts and exam items."""
        return self.steps.get(HeldoutFilter.name, Counts()).noted

    @property
    def cleaning(self) -> dict[str, Any]:
        """Documents that cleaning changed, and how often each of its rules did."""
        counts = self.steps.get(Cleaning.name, Counts())
        rules: Counter[str] = Counter()
        for label, count in counts.noted.items():
            rules[label.partition(":")[0]] += count
        return {"documents": counts.changed, "changes": dict(sorted(rules.items()))}

    @property
    def kept(self) -> int:
        """Documents of the corpus."""
        return sum(counts.total() for counts in self.licences.values())

    @property
    def dropped(self) -> Counter[str]:
        """Records that are not in it, per reason."""
        return sum((counts.dropped for counts in self.steps.values()), Counter())

    @property
    def places(self) -> dict[str, list[str]]:
        """Where the first of each reason stand."""
        return sum(self.steps.values(), Counts()).places

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
            "cleaning": self.cleaning,
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
            "steps": [
                {"name": name, "kept": counts.kept, **counts.to_json()}
                for name, counts in self.steps.items()
            ],
        }

    def report(self) -> None:
        """Tell the user."""
        say(f"read {self.read:,} records, kept {self.kept:,} documents of {self.words:,} words")
        rows = [["source", "licence", "documents"]]
        for source, counts in self.licences.items():
            rows += [[source, name, f"{count:,}"] for name, count in sorted(counts.items())]
        say(table(rows))
        if self.cleaning["documents"]:
            rules = ", ".join(
                f"{rule} {count:,}" for rule, count in self.cleaning["changes"].items()
            )
            say(f"cleaned {self.cleaning['documents']:,} documents: {rules}")
        for note, count in self.notes.most_common():
            say(f"{note}: {count:,} records")
        if self.dropped:
            # No places: others keep what is printed, and a file may be named after a patient.
            rows = [["dropped", "records", "the record"]]
            rows += [
                [name, f"{count:,}", reason(name).says]
                for name, count in self.dropped.most_common()
            ]
            say(table(rows))
            say(f"where the first of each stand: {STATS}; `bedside corpus why` explains one record")
