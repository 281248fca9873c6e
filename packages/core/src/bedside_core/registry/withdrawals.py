"""What may not be used any more: withdrawn artifacts and sources, and all that was made from them.

A document or a patient that is withdrawn forbids less: nothing is trained on a corpus that holds
it, nothing made from one is promoted, and what serves goes on until the house withdraws the model
itself (decision 0026). The log names them by `bedside_core.identifiers`, never by id or number.

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
from bedside_core.identifiers import Trace
from bedside_core.kinds.corpus import WITHDRAWN, describe_sources

BUILD = "corpus build"
"""The recipe's verb of corpora that were made of sources."""
ERASED = ("document", "patient")
"""The kinds of withdrawals that forbid training and promotion alone."""
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
    seq: int = 0
    """Of the entry."""
    hash: str = ""
    key: str = ""
    """Of a document or patient: which key named it."""
    traces: tuple[Trace, ...] = ()
    """The documents that it meant by then."""
    corpora: tuple[str, ...] = ()
    """Digests of the corpora that held them."""

    @classmethod
    def read(cls, entry: Entry) -> Withdrawal:
        members = entry.members
        return cls(
            datetime.fromisoformat(members["time"]), members["kind"], members["target"],
            members["reason"], members["by"], tuple(members["models"]), entry.seq, entry.hash,
            members.get("identifiers", ""),
            tuple(Trace(t["id"], t["text"], tuple(t["sketch"])) for t in members.get("traces", ())),
            tuple(members.get("corpora", ())),
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
        self.erased: list[Withdrawal] = []
        """Of documents and patients, oldest first."""
        self._holding: dict[str, Withdrawal | None] = {}
        for entry in entries:
            if entry.type == "withdraw":
                self.add(Withdrawal.read(entry))

    def add(self, withdrawal: Withdrawal) -> None:
        """Count one more, before any artifact was asked about."""
        if withdrawal.kind in ERASED:
            self.erased.append(withdrawal)
            return
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

    def holding(self, digest: str) -> Withdrawal | None:
        """Which withdrawn document or patient an artifact or its ancestors hold, if one.

        Raises:
            ArtifactError: the manifest of something that it was made from was changed.
        """
        if digest not in self._holding:
            self._holding[digest] = self._held(digest)
        return self._holding[digest]

    def _held(self, digest: str) -> Withdrawal | None:
        named = (w for w in self.erased if digest in (*w.corpora, *w.models))
        found = next(named, None)
        if found is not None or not (self._store / digest).is_dir():
            return found
        manifest = Artifact(self._store / digest).manifest
        if manifest.recipe.verb == BUILD:
            # It was begun before the withdrawal, and nobody has looked for it here.
            looked = manifest.facts.get(WITHDRAWN, {}).get("seq", 0)
            unseen = (w for w in self.erased if w.seq > looked and w.time < manifest.created)
            found = next(unseen, None)
        parents = (self.holding(parent) for parent in manifest.parents.values())
        return found or next((one for one in parents if one is not None), None)

    def _inherited(self, digest: str) -> Withdrawal | None:
        if not (self._store / digest).is_dir():
            return None
        artifact = Artifact(self._store / digest)
        named = (self._sources.get(str(s["name"])) for s in describe_sources(artifact))
        parents = (self.of(parent) for parent in artifact.manifest.parents.values())
        return next((found for found in (*named, *parents) if found is not None), None)
