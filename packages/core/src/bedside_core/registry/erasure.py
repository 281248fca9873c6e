"""Withdrawing one document or one patient: who is meant, which corpora and models hold them.

`document:ID` is a document by its id in a corpus, or all parts of a source document by its name;
`patient:NUMBER` is a patient by the number in the records. The log is kept for ever, so the entry
holds neither, and no text: it holds keyed names (`bedside_core.identifiers`) of the id or number
and of every document that was found, by which the next build recognises them again, whatever their
file, encoding or source is called.

What a build left unfinished, and documents that lie aside for review, may hold them too: those
rooms are removed, as no build goes on with them after a withdrawal.

Tested in tests/corpus/test_withdrawal.py.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError, ConfigError
from bedside_core.files import lock_directory
from bedside_core.identifiers import Identifiers, Trace
from bedside_core.kinds.corpus import LISTED, ListedDocument, listed_documents
from bedside_core.registry.registry import Registry, account
from bedside_core.registry.removal import MODELS, check_reason
from bedside_core.registry.withdrawals import Withdrawal, Withdrawals

Kind = Literal["document", "patient"]
STAGES = ("read", "draw", "select")
"""Folders of unfinished work that hold documents: of a build, of `annotate`, and of a build that
narrows another corpus."""


class Meant(NamedTuple):
    """Whom or what a withdrawal is about."""

    kind: Kind
    given: str
    """Id or number, as it was typed; it is never kept."""
    name: str
    """The keyed one."""

    def is_in(self, line: ListedDocument) -> bool:
        """Whether a line of a listing is of it."""
        if self.kind == "patient":
            return line.get("patient") == self.name
        return line["id"] == self.given or line.get("document") == self.name


def meant(registry: Registry, what: str) -> Meant | None:
    """What `document:ID` or `patient:NUMBER` is about; None where it is neither.

    Raises:
        ArtifactError: the key of identifiers is missing.
        ConfigError: the number stands for a missing one.
    """
    kind, colon, given = what.partition(":")
    if not colon or kind not in ("document", "patient"):
        return None
    names = Identifiers.read(registry.identifiers_key())
    name = names.document(given) if kind == "document" else names.patient(given)
    if name is None or not given.strip():
        raise ConfigError(f"{kind}: nothing is named behind the colon - write the id or the number")
    return Meant(cast(Kind, kind), given, name)


class Holding(NamedTuple):
    """A corpus that holds what is meant."""

    corpus: Artifact
    documents: tuple[ListedDocument, ...]
    """Empty where its listing cannot be read; then it counts as holding it."""


def holding(registry: Registry, what: Meant) -> Iterator[Holding]:
    """The corpora that hold it, oldest first."""
    for corpus in (a for a in registry.scan()[0] if a.kind in LISTED):
        try:
            found = tuple(line for line in listed_documents(corpus) if what.is_in(line))
        except ArtifactError:
            yield Holding(corpus, ())
        else:
            if found:
                yield Holding(corpus, found)


def erase(registry: Registry, what: Meant, reason: str) -> tuple[Withdrawal, bool]:
    """Let the next build leave it out, and nothing be made from the corpora that hold it.

    Returns:
        The withdrawal, and whether it is new.

    Raises:
        ArtifactError: no corpus holds such a document.
        ConfigError: the reason is none, or names whom it is about.
    """
    check_reason(reason)
    if what.given.strip().casefold() in reason.casefold():
        raise ConfigError(
            f"the reason names the {what.kind} - leave it out: the reason stays in the log for good"
        )
    names = Identifiers.read(registry.identifiers_key())
    with registry.log.writing() as log:
        known = Withdrawals(log.entries, registry.store)
        past = next((w for w in known.erased if w.target == what.name), None)
        if past is not None:
            return past, False
        found = list(holding(registry, what))
        if what.kind == "document" and not any(one.documents for one in found):
            raise ArtifactError(
                "no corpus of this registry holds that document - give its id as `bedside corpus "
                "why` shows it; one that was never built is removed from its source"
            )
        traces = {_trace(names, line) for one in found for line in one.documents}
        corpora = {one.corpus.digest for one in found}
        members: dict[str, Any] = {
            "kind": what.kind,
            "target": what.name,
            "identifiers": names.key_id,
        }
        members |= {"reason": reason, "by": account()}
        asked = Withdrawal(
            datetime.now(UTC), what.kind, what.name, reason, "", (), corpora=tuple(sorted(corpora))
        )
        models = [a.digest for a in affected(registry, asked) if a.kind in MODELS]
        members |= {
            "traces": [trace._asdict() for trace in sorted(traces)],
            "corpora": sorted(corpora),
            "models": models,
        }
        return Withdrawal.read(log.add("withdraw", members)), True


def affected(registry: Registry, withdrawal: Withdrawal) -> list[Artifact]:
    """Every artifact that holds what was withdrawn, oldest first."""
    alone = Withdrawals((), registry.store)
    alone.add(withdrawal)
    return [a for a in registry.scan()[0] if alone.holding(a.digest) is not None]


def clear_rooms(registry: Registry) -> tuple[int, list[str]]:
    """Remove what builds have left unfinished, and what lies aside for review.

    Returns:
        How many folders, and the names of those that a running build holds: what it makes is
        refused, since it was begun before the withdrawal.
    """
    removed, busy = 0, []
    for room in _rooms(registry.workrooms[0]):
        try:
            lock = lock_directory(room, wait=False)
        except BlockingIOError:
            busy.append(room.name)
            continue
        if lock is not None:
            shutil.rmtree(room)
            os.close(lock)
            removed += 1
    return removed, busy


def _rooms(work: Path) -> list[Path]:
    """Those with documents: a build's by the folders of its stages, others by their names."""
    there = sorted(work.iterdir()) if work.is_dir() else []
    named = ("phi-", "fetched-")
    return [
        room
        for room in there
        if room.name.startswith(named) or any((room / stage).is_dir() for stage in STAGES)
    ]


def _trace(names: Identifiers, line: ListedDocument) -> Trace:
    written = line.get("trace")
    if written is not None:
        return Trace.parse(written)
    return Trace(names.document(line["id"]), names.text(line["matching_sha256"]))
