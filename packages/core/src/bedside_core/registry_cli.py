"""`bedside registry list | show | verify | lineage | promote | rollback`."""

from __future__ import annotations

import json

from bedside_core.adoption import adopt
from bedside_core.artifacts import Artifact
from bedside_core.commands import Command
from bedside_core.console import say, table
from bedside_core.errors import ArtifactError
from bedside_core.kinds.corpus import describe_sources, document_ids
from bedside_core.registry import Promotion, Registry


def list_artifacts(registry: Registry) -> None:
    """One line per artifact, oldest first, then what is promoted."""
    artifacts = registry.artifacts()
    if not artifacts:
        say(f"{registry.home}: no artifacts yet - `bedside adapt --config configs/demo.yaml`")
        return
    rows = [["digest", "kind", "created", "size", "licences"]]
    for artifact in artifacts:
        manifest = artifact.manifest
        size = sum(entry.size for entry in manifest.files) / 1e6
        licences = ", ".join(item.id for item in manifest.licences)
        created = f"{manifest.created:%Y-%m-%d %H:%M}"
        rows.append([artifact.digest[:12], artifact.kind, created, f"{size:.1f} MB", licences])
    say(table(rows))
    now = registry.current()
    say(
        f"promoted: {now.model[:12]} on evidence {now.evidence[:12]}"
        if now
        else "promoted: nothing"
    )


def show(registry: Registry, artifact: str) -> None:
    """The whole manifest of one artifact."""
    manifest = registry.get(artifact).manifest
    say(json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False))


def verify(registry: Registry, artifact: str | None) -> None:
    """Compare one artifact, or all, with their manifests."""
    chosen, problems = ([registry.get(artifact)], []) if artifact else registry.scan()
    for item in chosen:
        try:
            item.verify()
            say(f"{item.digest[:12]} {item.kind}: intact")
        except ArtifactError as error:
            problems.append(str(error))
    if problems:
        raise ArtifactError("\n".join(problems))


def lineage(registry: Registry, what: str | None) -> None:
    """Both ways: what went into an artifact, and what was made from it.

    `what` is an artifact (digest, prefix or run/slot), the id of a document or the name of a
    source; without it, the promoted model.
    """
    now = registry.current()
    if what is None:
        if now is None:
            raise ArtifactError("nothing is promoted - name an artifact, a document or a source")
        what = now.model
    start = _find(registry, what)
    if start is None:
        _uses_of(registry, what)
        return
    for depth, role, node in registry.ancestors(start):
        say("  " * depth + _line(node, role))
        for source in describe_sources(node):
            detail = f"{source['documents']} documents, {source['licences']}"
            say("  " * (depth + 1) + f"source {source['name']}: {detail}")
    made = registry.descendants(start)
    if made:
        say("made from it:")
    for node in made:
        say(f"  {_line(node, '')}{_promoted(node, now)}")


def promote(registry: Registry, evidence: str) -> None:
    """Promote the model that evidence is about, if its verdict allows it."""
    entry = registry.promote(registry.get(evidence))
    say(f"promoted {entry.model[:12]} on evidence {entry.evidence[:12]}")


def rollback(registry: Registry) -> None:
    """Return to the model that was promoted before."""
    entry = registry.rollback()
    say(f"rolled back to {entry.model[:12]} on evidence {entry.evidence[:12]}")


def _find(registry: Registry, what: str) -> Artifact | None:
    try:
        return registry.get(what)
    except ArtifactError:
        return None


def _uses_of(registry: Registry, what: str) -> None:
    now = registry.current()
    found = False
    for corpus in (a for a in registry.artifacts() if a.kind == "corpus"):
        documents = [d for d in document_ids(corpus) if what in (d["id"], d["source"])]
        if not documents:
            continue
        found = True
        licences = ", ".join(sorted({d["licence"] for d in documents}))
        say(f"{what}: {len(documents)} document(s), {licences}, in {_line(corpus, '')}")
        for node in registry.descendants(corpus):
            say(f"  {_line(node, '')}{_promoted(node, now)}")
    if not found:
        raise ArtifactError(f"{what!r} is no artifact, document or source of this registry")


def _line(node: Artifact, role: str) -> str:
    label = node.kind if role in ("", node.kind) else f"{role} ({node.kind})"
    return f"{label} {node.digest[:12]} by {node.manifest.recipe.verb}"


def _promoted(node: Artifact, now: Promotion | None) -> str:
    return " (promoted)" if now and now.model == node.digest else ""


COMMANDS = (
    Command("list", "every artifact, and what is promoted", list_artifacts),
    Command("show", "the manifest of one artifact", show, words=("artifact",)),
    Command("verify", "compare artifacts with their manifests", verify, words=("artifact?",)),
    Command(
        "lineage",
        "what is in a model; which models contain a document or a source",
        lineage,
        words=("what?",),
    ),
    Command("promote", "promote the model of an evidence artifact", promote, words=("evidence",)),
    Command("rollback", "return to the model promoted before", rollback),
    Command("adopt", "take over the keys and promotions of Bedside 0.1", adopt),
)
