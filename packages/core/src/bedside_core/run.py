"""One step of a named run: it takes artifacts from slots and leaves one artifact in a slot."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from bedside_core.artifacts import (
    Artifact,
    ArtifactWriter,
    Kind,
    Producer,
    Recipe,
    hash_inputs,
    write_artifact,
)
from bedside_core.config import Config
from bedside_core.console import say
from bedside_core.errors import ArtifactError, InputError
from bedside_core.kinds.heldout import check_parts
from bedside_core.kinds.serving import Serving
from bedside_core.licences import Licence, union
from bedside_core.purpose import PURPOSE, narrowest
from bedside_core.registry.registry import Registry
from bedside_core.services import MAKERS


@dataclass(frozen=True, slots=True)
class Run:
    """What a service's verb knows of its surroundings."""

    name: str
    service: str
    verb: str
    registry: Registry
    serving: Serving = field(default_factory=Serving)
    """How what this run makes will be served."""

    def input(self, kind: Kind, slot: str | None = None) -> Artifact:
        """The verified artifact that an earlier step of this run left.

        Args:
            kind: of the artifact.
            slot: where it was left, if not under the name of its kind.

        Raises:
            InputError: that step has not run.
            PolicyError: it, or something that it was made from, was withdrawn or holds a document
                that was.
            ArtifactError: its files do not match its manifest.
        """
        slot = slot or kind
        digest = self.registry.slot(self.name, slot)
        if digest is None:
            raise InputError(
                f"run {self.name!r} has no {slot} yet - run `{MAKERS[slot]} --config FILE` first"
            )
        artifact = self.registry.get(digest)
        self.registry.refuse_withdrawn(artifact.kind, artifact.digest)
        self.registry.refuse_erased(artifact.kind, artifact.digest)
        artifact.verify()
        return artifact

    def development(self) -> Artifact:
        """The development parts of the sets and exams, which an earlier step split.

        Raises:
            InputError: that step has not run.
            PolicyError: the artifact was withdrawn.
            ArtifactError: its files do not match its manifest, or it holds what the run's plan has
                not for development.
        """
        artifact = self.input("heldout")
        planned = self.registry.ledger().newest(self.name)
        if planned is not None:
            check_parts(artifact, planned.plan.sets)
        return artifact

    def recipe(
        self,
        config: Config,
        *,
        parents: Mapping[str, Artifact] | None = None,
        inputs: Mapping[str, Path] | None = None,
        formats: Mapping[str, int] | None = None,
        libraries: Iterable[str] = (),
        device: str | None = None,
    ) -> Recipe:
        """The recipe of what this step is about to make.

        Args:
            config: the resolved section.
            parents: artifacts that go in, by role.
            inputs: files from outside the registry that go in; their content is hashed.
            formats: versions of what the artifact holds; with another one it is made again.
            libraries: distributions that make the artifact's numbers; with another version of one
                it is made again.
            device: the kind of device that they are made on.
        """
        release = version(f"bedside-{self.service}")
        labels = [f"{name}.{number}" for name, number in sorted((formats or {}).items())]
        environment = {name: version(name) for name in libraries}
        return Recipe(
            verb=f"{self.service} {self.verb}",
            version="+".join([release, *labels]),
            config=config.model_dump(mode="json"),
            parents={role: artifact.digest for role, artifact in (parents or {}).items()},
            inputs=hash_inputs(inputs or {}),
            environment=environment | ({} if device is None else {"device": device}),
        )

    def reuse(self, kind: Kind, recipe: Recipe, slot: str | None = None) -> Artifact | None:
        """An artifact that the same recipe made before, if its files are intact.

        A damaged one is made again rather than used: its manifest stays for the record.

        Raises:
            PolicyError: what the recipe made was withdrawn, and would be made again.
            ArtifactError: the registry has no keys yet, or its log is not what was written.
        """
        self.registry.refuse_unfounded()
        artifact = self.registry.find(recipe.sha256)
        if artifact is None:
            return None
        self.registry.refuse_withdrawn(artifact.kind, artifact.digest)
        self.registry.refuse_erased(artifact.kind, artifact.digest)
        try:
            artifact.verify()
        except ArtifactError as error:
            say(f"{error}")
            return None
        self.registry.set_slot(self.name, slot or kind, artifact.digest)
        say(f"{slot or kind} {artifact.digest[:12]} is unchanged, reused")
        return artifact

    @contextmanager
    def write(
        self,
        kind: Kind,
        recipe: Recipe,
        *,
        licences: tuple[Licence, ...] = (),
        slot: str | None = None,
    ) -> Iterator[ArtifactWriter]:
        """Write this step's artifact and, when it is complete, put it in its slot.

        Args:
            kind: of the artifact; also the slot's name, if `slot` is not given.
            recipe: what it is made from; the parents' licences flow in by themselves, and so does
                the narrowest of their purposes, but into evidence, which is about models.
            licences: what this step adds from outside the registry, if known by now; the
                writer's `licences` takes what is found out on the way.
            slot: of a run that has several artifacts of one kind.

        Raises:
            PolicyError: the parents may be used for different purposes alone.
        """
        parents = [self.registry.get(digest) for digest in recipe.parents.values()]
        purpose = None if kind == "evidence" else narrowest(parents)
        with write_artifact(
            self.registry.store,
            kind,
            recipe=recipe,
            producer=_producer(self.service),
            licences=union(licences, *(parent.manifest.licences for parent in parents)),
        ) as writer:
            if purpose is not None:
                writer.facts[PURPOSE] = purpose
            yield writer
        self.registry.set_slot(self.name, slot or kind, writer.result.digest)
        say(f"{slot or kind} {writer.result.digest[:12]} written")


def _producer(service: str) -> Producer:
    return Producer(
        service=service,
        version=version(f"bedside-{service}"),
        git_revision=os.environ.get("BEDSIDE_GIT_REVISION") or git_revision(),
        image_digest=os.environ.get("BEDSIDE_IMAGE_DIGEST"),
    )


def git_revision() -> str | None:
    """The commit of the checkout that this code runs from, `-dirty` if it was changed."""
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
