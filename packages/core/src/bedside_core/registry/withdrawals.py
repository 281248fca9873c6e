"""What may not be used any more: withdrawn artifacts and sources, and all that was made from them.

A policy that is withdrawn is no longer approved: no plan, look or promotion rests on it any more.

Trainer, merger and evaluation ask before they read an input, `reuse` before it hands out what was
made, the registry before it promotes or rolls back, and a running engine every few seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from bedside_core.artifacts import Artifact
from bedside_core.chain import Entry
from bedside_core.kinds.corpus import describe_sources

POLICY = "policy"
"""The kind of a withdrawal that takes an approval back."""


class Withdrawal(NamedTuple):
    """An entry `withdraw` of the log."""

    time: datetime
    kind: str
    """`source`, `policy`, or the kind of the artifact."""
    target: str
    """The source's name, or the digest of artifact or policy."""
    reason: str
    by: str
    models: tuple[str, ...]
    """Digests of the models that had been made from it by then, and of it if it is one."""

    @classmethod
    def read(cls, entry: Entry) -> Withdrawal:
        members = entry.members
        return cls(
            datetime.fromisoformat(members["time"]), members["kind"], members["target"],
            members["reason"], members["by"], tuple(members["models"]),
        )  # fmt: skip

    def __str__(self) -> str:
        name = self.target if self.kind == "source" else self.target[:12]
        return (
            f"{self.kind} {name} was withdrawn on {self.time:%Y-%m-%d} by {self.by}: {self.reason}"
        )


class Withdrawals:
    """All of a log."""

    def __init__(self, entries: Iterable[Entry], store: Path) -> None:
        """`store`: where the artifacts lie, for what they were made from."""
        self._store = store
        self._sources: dict[str, Withdrawal] = {}
        self._artifacts: dict[str, Withdrawal | None] = {}
        for entry in entries:
            if entry.type == "withdraw":
                self.add(Withdrawal.read(entry))

    def add(self, withdrawal: Withdrawal) -> None:
        """Count one more, before any artifact was asked about."""
        if withdrawal.kind == "source":
            self._sources.setdefault(withdrawal.target, withdrawal)
        else:
            self._artifacts[withdrawal.target] = withdrawal
        # Named too, for a machine that has a model without what it was made from.
        for digest in withdrawal.models:
            self._artifacts.setdefault(digest, withdrawal)

    def source(self, name: str) -> Withdrawal | None:
        """What was said of a source itself."""
        return self._sources.get(name)

    def of(self, digest: str) -> Withdrawal | None:
        """Why an artifact may not be used, if so.

        Raises:
            ArtifactError: the manifest of something that it was made from was changed.
        """
        if digest not in self._artifacts:
            self._artifacts[digest] = self._inherited(digest)
        return self._artifacts[digest]

    def _inherited(self, digest: str) -> Withdrawal | None:
        if not (self._store / digest).is_dir():
            return None
        artifact = Artifact(self._store / digest)
        named = (self._sources.get(str(s["name"])) for s in describe_sources(artifact))
        parents = (self.of(parent) for parent in artifact.manifest.parents.values())
        return next((found for found in (*named, *parents) if found is not None), None)
