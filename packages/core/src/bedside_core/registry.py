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
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core.artifacts import Artifact
from bedside_core.config import canonical_json
from bedside_core.errors import ArtifactError, ConfigError, PolicyError
from bedside_core.files import disk_errors, lock_directory, sync, write_atomic
from bedside_core.kinds.evidence import read_evidence
from bedside_core.signing import Keys

MIN_PREFIX = 6
_RUN_SLOT = re.compile(r"([\w-]{1,60})/([a-z]{1,20})")


class Promotion(BaseModel):
    """One line of `promotions.jsonl`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time: datetime
    action: Literal["promote", "rollback"]
    model: str
    evidence: str


class Registry:
    """All artifacts of one house, under one directory."""

    def __init__(self, home: Path, signing_key: Path | None = None) -> None:
        """`signing_key`: the private key, where only the evaluation can read it."""
        self.home = home
        self.store = home / "artifacts"
        self.keys = Keys(home / "keys", private_path=signing_key)
        self.log_path = home / "promotions.jsonl"

    @classmethod
    def from_environment(cls) -> Registry:
        """The registry at `BEDSIDE_HOME`, by default `./bedside-home`.

        `BEDSIDE_SIGNING_KEY` names the file of the private key where that is kept apart.

        Raises:
            ConfigError: something that is not a directory has that name.
        """
        home = Path(os.environ.get("BEDSIDE_HOME") or "bedside-home").absolute()
        if home.exists() and not home.is_dir():
            raise ConfigError(f"BEDSIDE_HOME: {home} is not a directory - name one, or a free path")
        signing_key = os.environ.get("BEDSIDE_SIGNING_KEY")
        return cls(home, Path(signing_key).absolute() if signing_key else None)

    def artifacts(self) -> list[Artifact]:
        """Every artifact, oldest first.

        Raises:
            ArtifactError: names each manifest that is missing or was changed.
        """
        found, damaged = self.scan()
        if damaged:
            raise ArtifactError("\n".join(damaged))
        return found

    def scan(self) -> tuple[list[Artifact], list[str]]:
        """Every artifact, oldest first, and what is wrong with those that cannot be read."""
        found, damaged = [], []
        for path in sorted(self.store.iterdir()) if self.store.is_dir() else ():
            try:
                found.append(Artifact(path))
            except ArtifactError as error:
                damaged.append(str(error))
        return sorted(found, key=lambda a: (a.manifest.created, a.digest)), damaged

    def get(self, reference: str) -> Artifact:
        """An artifact by digest, by the first characters of one, or by `run/slot`.

        Raises:
            ArtifactError: nothing fits, or several do.
        """
        if fit := _RUN_SLOT.fullmatch(reference):
            name, slot = fit.groups()
            digest = self.slot(name, slot)
            if digest is None:
                raise ArtifactError(
                    f"run {name!r} has no {slot} yet - `bedside registry list` shows what there is"
                )
            return Artifact(self.store / digest)
        matches = []
        if len(reference) >= MIN_PREFIX and self.store.is_dir():
            matches = [p for p in self.store.iterdir() if p.name.startswith(reference)]
        if len(matches) != 1:
            problem = "several artifacts begin with" if matches else "there is no artifact"
            raise ArtifactError(
                f"{problem} {reference!r} - give a digest of at least {MIN_PREFIX} characters, or "
                "run/slot; `bedside registry list` shows them"
            )
        return Artifact(matches[0])

    def find(self, recipe_sha256: str) -> Artifact | None:
        """The newest artifact that was made by an equal recipe.

        One with a damaged manifest is passed over, so that it can be made again.
        """
        same = [a for a in self.scan()[0] if a.manifest.recipe_sha256 == recipe_sha256]
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
            ArtifactError: another process works on the same recipe, or the disk is full.
        """
        path = self.home / "work" / recipe_sha256[:16]
        lock = None
        with disk_errors("resumable state"):
            while lock is None:
                path.mkdir(parents=True, exist_ok=True)
                try:
                    lock = lock_directory(path, wait=False)
                except BlockingIOError:
                    raise ArtifactError(
                        f"another process is doing this step ({path}) - wait for it or stop it"
                    ) from None
            try:
                yield path
                shutil.rmtree(path)
            finally:
                os.close(lock)

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
        everything = self.artifacts()
        found: set[str] = set()
        newest = {artifact.digest}
        while newest:  # by generations: a clock that was set back must not hide a child
            newest = {
                a.digest for a in everything if newest & set(a.manifest.parents.values())
            } - found
            found |= newest
        return [a for a in everything if a.digest in found]

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
        model = self.check_promotable(evidence)
        with self._log_lock():
            now = self.current()
            if now and (now.model, now.evidence) == (model.digest, evidence.digest):
                return now
            entry = Promotion(
                time=datetime.now(UTC),
                action="promote",
                model=model.digest,
                evidence=evidence.digest,
            )
            self._append(entry)
            return entry

    def check_promotable(self, evidence: Artifact) -> Artifact:
        """The model that signed evidence allows to serve, with its own hashes checked.

        Raises:
            PolicyError: the verdict is not PROMOTE.
            ArtifactError: evidence or weights do not match their manifests or the signature.
        """
        head = read_evidence(evidence, self.keys)
        if head.verdict != "PROMOTE":
            raise PolicyError(
                f"the verdict on {head.candidate[:12]} is {head.verdict}: {' '.join(head.reasons)}"
            )
        model = self.get(head.candidate)
        if model.digest != head.candidate:
            raise ArtifactError(
                f"evidence {evidence.digest[:12]} does not name one model by its whole digest - "
                "run the evaluation again"
            )
        model.verify()
        return model

    def rollback(self) -> Promotion:
        """Go back to the model that was promoted before the current one.

        Raises:
            PolicyError: there is none.
        """
        with self._log_lock():
            stack: list[Promotion] = []
            for past in self.promotions():
                if past.action == "promote":
                    stack.append(past)
                elif stack:
                    stack.pop()
            if len(stack) < 2:
                raise PolicyError(
                    "nothing was promoted before the current model - cannot roll back"
                )
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

    @contextmanager
    def _log_lock(self) -> Iterator[None]:
        """From reading the log to adding to it, nobody else may add."""
        with disk_errors(self.log_path.name):
            self.home.mkdir(parents=True, exist_ok=True)
            with self.log_path.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield

    def _append(self, entry: Promotion) -> None:
        line = canonical_json(entry.model_dump(mode="json")) + b"\n"
        with self.log_path.open("a+b") as file:
            file.seek(0)
            # A line that a crash tore was never a record; it must not swallow this one.
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        sync(self.home)
