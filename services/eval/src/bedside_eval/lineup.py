"""Which models sit the paper: the candidate, what it was made from, what it would replace."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bedside_core.artifacts import Artifact
from bedside_core.errors import InputError
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_eval.records import Role

_DIGEST = re.compile(r"[0-9a-f]{8,64}$")
MODELS = ("base", "checkpoint", "merged")
"""Kinds of artifact that are a model."""


def shortlisted(run: Run, slots: Iterable[str]) -> dict[str, Artifact]:
    """The candidates by the names of their slots, verified.

    Raises:
        InputError: a step has not run, or a slot holds no model.
        PolicyError: one was withdrawn.
        ArtifactError: there is no such slot, or files do not match a manifest.
    """
    return {slot: _model(run.registry, slot if "/" in slot else f"{run.name}/{slot}")
            for slot in slots}  # fmt: skip


def named(run: Run, names: Iterable[str]) -> dict[str, Artifact]:
    """Models by what an operator calls them: a slot of this run, `run/slot` or a digest.

    Raises:
        As `shortlisted`.
    """
    return {
        name: _model(
            run.registry, name if "/" in name or _DIGEST.match(name) else f"{run.name}/{name}"
        )
        for name in names
    }


def lineup(registry: Registry, candidate: Artifact, reference: str | None) -> dict[Role, Artifact]:
    """The models by role, verified; base and checkpoint are those of the candidate's own lineage.

    Args:
        registry: where they are.
        candidate: verified.
        reference: digest of a further model.

    Raises:
        InputError: the candidate names no base.
        PolicyError: one was withdrawn.
        ArtifactError: one is missing or was changed.
    """
    parents = candidate.manifest.parents
    if "base" not in parents:
        raise InputError(
            f"{candidate.kind} {candidate.digest[:12]} does not name the base that it was made "
            "from, so there is nothing to compare it with - make it with `bedside trainer run` or "
            "`bedside merger run`"
        )
    wanted: dict[Role, str | None] = {
        "base": parents["base"],
        "checkpoint": parents.get("checkpoint"),
        "candidate": candidate.digest,
        "incumbent": registry.incumbent(candidate.digest),
        "reference": reference,
    }
    return {role: _model(registry, name) for role, name in wanted.items() if name is not None}


def _model(registry: Registry, name: str) -> Artifact:
    artifact = registry.get(name)
    if artifact.kind not in MODELS:
        raise InputError(f"{name} is a {artifact.kind}, no model - name one in eval.shortlist")
    registry.refuse_withdrawn(artifact.kind, artifact.digest)
    artifact.verify()
    return artifact
