"""What leaves the registry: `bedside registry withdraw`, `delete` and `gc`.

Each leaves an entry in the log, written before the files go, so that a deletion can be proved and
one that was cut short is finished by the same command. A verb that is refused writes nothing.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError, ConfigError, PolicyError
from bedside_core.files import disk_errors, lock_directory
from bedside_core.kinds.corpus import LISTED, describe_sources
from bedside_core.registry.ledger import Ledger
from bedside_core.registry.registry import MIN_PREFIX, Registry, account
from bedside_core.registry.withdrawals import POLICY, Withdrawal, Withdrawals

MAX_REASON_CHARS = 300
YOUNG = timedelta(days=1)
"""What is newer is kept: the step that wrote it may be about to name it."""
STALE = timedelta(days=30)
"""State of an unfinished step that nobody has touched for so long counts as given up."""


def withdraw(registry: Registry, what: str, reason: str) -> tuple[Withdrawal, bool]:
    """Forbid an artifact or a source, and all that was or will be made from it; or a policy.

    Returns:
        The withdrawal, and whether it is new.

    Raises:
        ArtifactError: there is no such artifact, source or approved policy.
        ConfigError: the reason is none.
    """
    check_reason(reason)
    kind, target = _resolve(registry, what)
    with registry.log.writing() as log:
        known = Withdrawals(log.entries, registry.store)
        past = known.source(target) if kind == "source" else known.of(target)
        if past is not None and past.target == target:
            return past, False
        asked = Withdrawal(datetime.now(UTC), kind, target, reason, account(), ())
        models = [a.digest for a in affected(registry, asked) if a.kind in MODELS]
        members = {"kind": kind, "target": target, "reason": reason, "by": asked.by}
        withdrawal = Withdrawal.read(log.add("withdraw", {**members, "models": models}))
        for digest in models:
            _remove(registry, registry.public / digest)  # it would still say PASSED
        return withdrawal, True


MODELS = ("base", "checkpoint", "merged")
"""The kinds of artifacts that are models."""


def affected(registry: Registry, withdrawal: Withdrawal) -> list[Artifact]:
    """Every artifact that a withdrawal forbids, oldest first; those that cannot be read are not."""
    alone = Withdrawals((), registry.store)
    alone.add(withdrawal)
    return [a for a in registry.scan()[0] if alone.of(a.digest) is not None]


def _resolve(registry: Registry, what: str) -> tuple[str, str]:
    holding = (a for a in registry.scan()[0] if a.kind in LISTED)
    sources = {str(s["name"]) for artifact in holding for s in describe_sources(artifact)}
    if what in sources:
        return "source", what
    policies = [sha for sha in Ledger(registry.entries()).approvals if sha.startswith(what)]
    if len(policies) == 1 and len(what) >= MIN_PREFIX:
        return POLICY, policies[0]
    try:
        artifact = registry.get(what)
    except ArtifactError:
        names = ", ".join(sorted(sources)) or "none"
        raise ArtifactError(
            f"{what!r} is no artifact, source or policy of this registry - its sources: {names}; "
            "`bedside registry list` shows the artifacts, `log` the approved policies"
        ) from None
    return artifact.kind, artifact.digest


def delete(registry: Registry, reference: str, reason: str) -> str:
    """Remove an artifact's files and what points at them; an entry of the log stays.

    Returns:
        Its digest.

    Raises:
        PolicyError: something was made from it, or it is promoted and not withdrawn.
        ArtifactError: there is no such artifact.
        ConfigError: the reason is none.
    """
    check_reason(reason)
    artifact = registry.get(reference)
    with registry.log.writing() as log:
        needed = [*_dependents(registry, artifact), *_promotion(registry, artifact)]
        if needed:
            raise PolicyError(
                f"{artifact.kind} {artifact.digest[:12]} is not deleted, as it is needed by "
                f"{'; '.join(needed)} - delete or roll back these first"
            )
        if artifact.digest not in deleted(log.entries):
            log.add("delete", {**_record(artifact), "reason": reason, "by": account()})
        _remove_artifact(registry, artifact)
    return artifact.digest


def deleted(entries: Iterable[Any]) -> set[str]:
    """Digests of the artifacts that were deleted."""
    gone = (e.members.get("digest") for e in entries if e.type in ("delete", "gc"))
    return {digest for digest in gone if digest}


def check_reason(reason: str) -> None:
    """A reason is a short line that a person wrote; it stays in the log for good.

    Raises:
        ConfigError: it is empty, too long or not one printable line.
    """
    if not reason.strip() or len(reason) > MAX_REASON_CHARS or not reason.isprintable():
        raise ConfigError(
            f"the reason must be one printable line of 1 to {MAX_REASON_CHARS} characters, this "
            f"one has {len(reason)} - say in a few words why; it stays in the log"
        )


class Garbage(NamedTuple):
    """Something that nothing needs any more."""

    path: Path
    size: int
    """In bytes."""
    record: dict[str, Any]
    """What its entry in the log says."""
    artifact: Artifact | None = None


def garbage(registry: Registry, now: datetime) -> list[Garbage]:
    """What no slot, no promotion and no lineage of theirs needs, newest first; and stale state.

    An artifact that cannot be read is not in it: nobody knows what it is.
    """
    everything = {a.digest: a for a in registry.scan()[0]}
    kept = {a.digest for a in everything.values() if now - a.manifest.created < YOUNG}
    kept |= {digest for _, digest in registry.slots()}
    for promotion in registry.promotions():
        kept |= {promotion.model, promotion.evidence}
    _with_ancestors(kept, everything)
    found = [
        Garbage(a.path, _record(a)["bytes"], _record(a), a)
        for a in reversed(everything.values())
        if a.digest not in kept
    ]
    stale = [piece for room in registry.workrooms for piece in _stale(room, now, STALE)]
    return [*found, *_unfounded(registry, everything), *stale, *_stale_temporary(registry, now)]


def collect(registry: Registry, now: datetime) -> list[Garbage]:
    """Remove the garbage; each piece leaves an entry.

    Raises:
        PolicyError: a step is running, and might need some of it.
    """
    rooms = (*registry.workrooms, registry.home / "tmp")
    busy = [path.name for room in rooms for path in _children(room) if _is_locked(path)]
    if busy:
        raise PolicyError(
            f"a step is running ({', '.join(busy)}) and might need what looks unused - wait until "
            "it has ended"
        )
    if not garbage(registry, now):
        return []
    with registry.log.writing() as log:
        found = garbage(registry, now)
        for piece in found:
            log.add("gc", {**piece.record, "by": account()})
            if piece.artifact is not None:
                _remove_artifact(registry, piece.artifact)
            else:
                shutil.rmtree(piece.path, ignore_errors=True)
    return found


def _with_ancestors(kept: set[str], everything: dict[str, Artifact]) -> None:
    queue = list(kept)
    while queue:
        artifact = everything.get(queue.pop())
        parents = set(artifact.manifest.parents.values()) - kept if artifact else set()
        kept |= parents
        queue += parents


def _unfounded(registry: Registry, everything: Mapping[str, Artifact]) -> Iterator[Garbage]:
    """Public files of what is not promoted, withdrawn or gone."""
    withdrawals = registry.withdrawals()
    promoted = {p.model for p in registry.promotions() if withdrawals.of(p.model) is None}
    for path in _children(registry.public):
        if path.name not in promoted & everything.keys():
            size = _touched(path)[1]
            yield Garbage(path, size, {"path": f"public/{path.name}", "bytes": size})


def _stale(root: Path, now: datetime, age: timedelta) -> Iterator[Garbage]:
    for path in _children(root):
        newest, size = _touched(path)
        if now.timestamp() - newest > age.total_seconds() and not _is_locked(path):
            record = {"path": f"{root.name}/{path.name}", "bytes": size}
            yield Garbage(path, size, record)


def _stale_temporary(registry: Registry, now: datetime) -> Iterator[Garbage]:
    # What a killed writer left: nobody goes on with it, so its age does not matter.
    return _stale(registry.home / "tmp", now, timedelta(0))


def _children(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def _touched(path: Path) -> tuple[float, int]:
    """When anything below a directory was changed last, and how many bytes it holds."""
    stats = [entry.lstat() for entry in (path, *path.rglob("*"))]
    return max(s.st_mtime for s in stats), sum(s.st_size for s in stats[1:])


def _is_locked(path: Path) -> bool:
    try:
        handle = lock_directory(path, wait=False)
    except BlockingIOError:
        return True
    if handle is not None:
        os.close(handle)
    return False


def _record(artifact: Artifact) -> dict[str, Any]:
    return {
        "digest": artifact.digest,
        "kind": artifact.kind,
        "bytes": sum(entry.size for entry in artifact.manifest.files),
        "sources": sorted(str(source["name"]) for source in describe_sources(artifact)),
    }


def _dependents(registry: Registry, artifact: Artifact) -> list[str]:
    return [
        f"{a.kind} {a.digest[:12]}"
        for a in registry.scan()[0]
        if artifact.digest in a.manifest.parents.values()
    ]


def _promotion(registry: Registry, artifact: Artifact) -> list[str]:
    now = registry.current()
    if now is None or artifact.digest not in (now.model, now.evidence):
        return []
    # Nothing serves a withdrawn one, and a person's right to erasure does not wait for the next.
    return [] if registry.withdrawals().of(now.model) else ["the promotion that stands"]


def _remove_artifact(registry: Registry, artifact: Artifact) -> None:
    for name, digest in list(registry.slots()):
        if digest == artifact.digest:
            (registry.home / "runs" / name).unlink(missing_ok=True)
    _remove(registry, registry.public / artifact.digest)
    _remove(registry, artifact.path)


def _remove(registry: Registry, path: Path) -> None:
    if not path.exists():
        return
    with disk_errors("a deletion"):
        temporary = registry.home / "tmp"
        temporary.mkdir(exist_ok=True)
        # Gone under its name at once, whatever kills this process; the rest is swept.
        doomed = temporary / f"deleted-{path.name[:16]}-{time.monotonic_ns()}"
        path.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
