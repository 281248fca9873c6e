"""The registry: artifacts, the slots of named runs, and the append-only log of promotions.

BEDSIDE_HOME/
  artifacts/<digest>/     immutable, content-addressed
  runs/<name>/<slot>      a digest: the newest artifact of that step in that run
  work/<recipe>/          resumable state of a step that is not finished
  keys/                   the house's signing key
  promotions.jsonl        who was promoted or rolled back, when, on which evidence
  tmp/                    artifacts being written; swept by the next writer
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core.artifacts import Artifact, write_atomic
from bedside_core.config import canonical_json
from bedside_core.errors import ArtifactError, PolicyError
from bedside_core.evidence import read_evidence
from bedside_core.signing import Keys

MIN_PREFIX = 6


class Promotion(BaseModel):
    """One line of `promotions.jsonl`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time: datetime
    action: Literal["promote", "rollback"]
    model: str
    evidence: str


class Registry:
    """All artifacts of one house, under one directory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = home / "artifacts"
        self.keys = Keys(home / "keys")
        self.log_path = home / "promotions.jsonl"

    @classmethod
    def from_environment(cls) -> Registry:
        """The registry at `BEDSIDE_HOME`, by default `./bedside-home`."""
        return cls(Path(os.environ.get("BEDSIDE_HOME") or "bedside-home").absolute())

    def artifacts(self) -> list[Artifact]:
        """Every artifact, oldest first."""
        if not self.store.is_dir():
            return []
        found = [Artifact(path) for path in self.store.iterdir() if path.is_dir()]
        return sorted(found, key=lambda a: (a.manifest.created, a.digest))

    def get(self, reference: str) -> Artifact:
        """An artifact by digest, by the first characters of one, or by `run/slot`.

        Raises:
            ArtifactError: nothing fits, or several do.
        """
        if "/" in reference:
            name, _, slot = reference.partition("/")
            digest = self.slot(name, slot)
            if digest is None:
                raise ArtifactError(
                    f"run {name!r} has no {slot} yet - `bedside registry list` shows what there is"
                )
            return Artifact(self.store / digest)
        if (self.store / reference).is_dir() and len(reference) == 64:
            return Artifact(self.store / reference)
        matches = []
        if len(reference) >= MIN_PREFIX and self.store.is_dir():
            matches = [p for p in self.store.iterdir() if p.name.startswith(reference)]
        if len(matches) != 1:
            problem = "several artifacts begin with" if matches else "no artifact"
            raise ArtifactError(
                f"{problem} {reference!r} - give a digest of at least {MIN_PREFIX} characters, or "
                "run/slot; `bedside registry list` shows them"
            )
        return Artifact(matches[0])

    def find(self, recipe_sha256: str) -> Artifact | None:
        """The newest artifact that was made by an equal recipe."""
        same = [a for a in self.artifacts() if a.manifest.recipe_sha256 == recipe_sha256]
        return same[-1] if same else None

    def slot(self, name: str, slot: str) -> str | None:
        """The digest in a run's slot, if that step has run."""
        try:
            return (self.home / "runs" / name / slot).read_text(encoding="ascii").strip()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def set_slot(self, name: str, slot: str, digest: str) -> None:
        """Point a run's slot at an artifact."""
        write_atomic(self.home / "runs" / name / slot, digest.encode() + b"\n")

    @contextmanager
    def work(self, recipe_sha256: str) -> Iterator[Path]:
        """The directory for resumable state of one recipe; removed when the step succeeds.

        Raises:
            ArtifactError: another process works on the same recipe.
        """
        path = self.home / "work" / recipe_sha256[:16]
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ArtifactError(
                    f"another process is doing this step ({path}) - wait for it or stop it"
                ) from None
            yield path
            shutil.rmtree(path)
        finally:
            os.close(handle)

    def ancestors(self, artifact: Artifact) -> Iterator[tuple[int, str, Artifact]]:
        """Walk to the sources, depth first: (depth, role in its child, artifact)."""
        seen = set()
        stack = [(0, "", artifact)]
        while stack:
            depth, role, node = stack.pop()
            yield depth, role, node
            if node.digest in seen:
                continue
            seen.add(node.digest)
            for parent_role, digest in reversed(node.manifest.parents.items()):
                stack.append((depth + 1, parent_role, self.get(digest)))

    def descendants(self, artifact: Artifact) -> list[Artifact]:
        """Everything that was made from an artifact, directly or not, oldest first."""
        found = {artifact.digest}
        result = []
        for candidate in self.artifacts():  # oldest first, so parents precede children
            if found & set(candidate.manifest.parents.values()):
                found.add(candidate.digest)
                result.append(candidate)
        return result

    def promotions(self) -> list[Promotion]:
        """The log of promotions, oldest first.

        Raises:
            ArtifactError: a line is not ours. A torn last line (a crash while writing it) counts
                as not written.
        """
        if not self.log_path.exists():
            return []
        lines = self.log_path.read_bytes().split(b"\n")[:-1]
        try:
            return [Promotion.model_validate_json(line) for line in lines if line]
        except ValidationError:
            raise ArtifactError(f"{self.log_path}: a line is not a promotion record") from None

    def current(self) -> Promotion | None:
        """What is promoted now."""
        log = self.promotions()
        return log[-1] if log else None

    def promote(self, evidence: Artifact) -> Promotion:
        """Promote the model that an evidence artifact is about.

        Raises:
            PolicyError: the verdict is not PROMOTE.
            ArtifactError: evidence or weights do not match their manifests or the signature.
        """
        promotion = Promotion(
            time=datetime.now(UTC),
            action="promote",
            model=self.check_promotable(evidence).digest,
            evidence=evidence.digest,
        )
        now = self.current()
        if now and (now.model, now.evidence) == (promotion.model, promotion.evidence):
            return now
        self._append(promotion)
        return promotion

    def check_promotable(self, evidence: Artifact) -> Artifact:
        """The model that signed evidence allows to serve, with its own hashes checked.

        Raises:
            PolicyError: the verdict is not PROMOTE.
            ArtifactError: evidence or weights do not match their manifests or the signature.
        """
        head = read_evidence(evidence, self.keys)
        if head.verdict != "PROMOTE":
            raise PolicyError(
                f"the verdict on {head.candidate[:12]} is {head.verdict}: {'; '.join(head.reasons)}"
            )
        model = self.get(head.candidate)
        model.verify()
        return model

    def rollback(self) -> Promotion:
        """Go back to the model that was promoted before the current one.

        Raises:
            PolicyError: there is none.
        """
        stack: list[Promotion] = []
        for entry in self.promotions():
            if entry.action == "promote":
                stack.append(entry)
            elif stack:
                stack.pop()
        if len(stack) < 2:
            raise PolicyError("nothing was promoted before the current model - cannot roll back")
        previous = stack[-2]
        self.check_promotable(self.get(previous.evidence))
        entry = Promotion(
            time=datetime.now(UTC),
            action="rollback",
            model=previous.model,
            evidence=previous.evidence,
        )
        self._append(entry)
        return entry

    def _append(self, promotion: Promotion) -> None:
        line = canonical_json(promotion.model_dump(mode="json")) + b"\n"
        self.home.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            # A line that a crash tore was never a record; it must not swallow this one.
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())


def describe_sources(artifact: Artifact) -> list[dict[str, object]]:
    """The document sources that a corpus artifact lists: name, licence, number of documents."""
    sources = artifact.manifest.facts.get("sources", [])
    return [dict(source) for source in sources]


def document_ids(artifact: Artifact) -> list[dict[str, str]]:
    """The documents of a corpus artifact (`documents.jsonl`: id, source, licence, sha256)."""
    text = artifact.file("documents.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
