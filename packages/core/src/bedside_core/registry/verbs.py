"""`bedside registry ...`: what is there, what was decided, and deciding.

Tested in tests/core/registry/test_registry.py, tests/core/registry/test_listing.py.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from bedside_core.artifacts import Artifact
from bedside_core.commands import Command
from bedside_core.config import Config
from bedside_core.console import say
from bedside_core.errors import ArtifactError, ConfigError, PolicyError
from bedside_core.kinds.corpus import LISTED, PASSPORT_PAGE, listed_documents
from bedside_core.kinds.policy import read_policy
from bedside_core.public.write import write_public
from bedside_core.purpose import PURPOSE
from bedside_core.registry import erasure, house, removal
from bedside_core.registry.adoption import adopt
from bedside_core.registry.erasure import Meant
from bedside_core.registry.listing import (
    Standing,
    entry_line,
    listing,
    size,
    sources,
    terms,
)
from bedside_core.registry.registry import Registry


class Why(Config):
    """What a decision that cannot be undone needs."""

    reason: str
    """Why, in one short line without anything of a document; it stays in the log."""


class Withdrawing(Why):
    """What a withdrawal needs."""

    models: bool = False
    """Of a document or patient: also forbid the models that were made with it, at once."""


class Rotation(Why):
    """What a new key needs."""

    lost: bool = False
    """The key is gone or in other hands: what it signed outside the log does not count any more."""


class Promoting(Config):
    """What a person may say of a promotion."""

    reason: str | None = None
    """Why, in one short line which stays in the log; left out, that the verdict says so."""
    again: str | None = None
    """Promote it although it was rolled back, and why: one short line, which stays in the log."""


class Collection(Config):
    """What `gc` does."""

    apply: bool = False
    """Remove what is shown; without it nothing changes."""


def list_artifacts(registry: Registry) -> None:
    """One line per artifact, oldest first, then what is promoted."""
    artifacts = registry.artifacts()
    if not artifacts:
        say(f"{registry.home}: no artifacts yet - `bedside adapt --config configs/demo.yaml`")
        return
    say(listing(registry, artifacts))


def show(registry: Registry, artifact: str) -> None:
    """The whole manifest of one artifact, as JSON; on stderr, what else can be asked of it."""
    found = registry.get(artifact)
    say(json.dumps(found.manifest.model_dump(mode="json"), indent=2, ensure_ascii=False))
    if any(entry.path == PASSPORT_PAGE for entry in found.manifest.files):
        sys.stderr.write(
            f"what it is: {found.path / PASSPORT_PAGE}; `bedside corpus why DOCUMENT "
            f"{found.digest[:12]}` explains one document\n"
        )


def verify(registry: Registry, artifact: str | None) -> None:
    """Compare one artifact with its manifest; or all, and check the log."""
    chosen, problems = ([registry.get(artifact)], []) if artifact else registry.scan()
    for item in chosen:
        try:
            item.verify()
            say(f"{item.digest[:12]} {item.kind}: intact")
        except ArtifactError as error:
            problems.append(str(error))
    if artifact is None:
        try:
            problems += _verify_log(registry)
        except ArtifactError as error:
            problems.append(str(error))
    if problems:
        raise ArtifactError("\n".join(problems))


def _verify_log(registry: Registry) -> list[str]:
    entries = registry.entries()
    say(f"{registry.log.path.name}: {len(entries)} entries, chained and signed")
    back = [d for d in sorted(removal.deleted(entries)) if (registry.store / d).exists()]
    return [
        f"artifact {digest[:12]} was deleted, and its files are here - `bedside registry delete "
        f"{digest[:12]} --reason TEXT` removes them"
        for digest in back
    ]


def log(registry: Registry) -> None:
    """Every entry of the log, oldest first, each checked."""
    entries = registry.entries()
    for entry in entries:
        say(entry_line(entry))
    end = f"; the last one's hash is {entries[-1].hash}" if entries else ""
    say(f"{len(entries)} entries, chained and signed{end}")


def lineage(registry: Registry, what: str | None) -> None:
    """Both ways: what went into an artifact, and what was made from it.

    `what` is an artifact (digest, prefix or run/slot), the id of a document or the name of a
    source; without it, the promoted model.
    """
    standing = Standing(registry)
    if what is None:
        if standing.now is None:
            raise ArtifactError("nothing is promoted - name an artifact, a document or a source")
        what = standing.now.model
    start = _find(registry, what)
    if start is None:
        _uses_of(registry, what, standing)
        return
    for depth, role, node in registry.ancestors(start):
        say("  " * depth + _line(node, role) + standing.mark(node))
        for text in sources(node, standing):
            say("  " * (depth + 1) + text)
    for text in terms(registry, start):
        say(text)
    if (found := standing.withdrawn.of(start.digest)) is not None:
        say(f"it may not be used: {found}")
    made = registry.descendants(start)
    if made:
        say("made from it:")
    for node in made:
        say(f"  {_line(node, '')}{standing.mark(node)}")


def init(registry: Registry, policy: str | None) -> None:
    """Make a new house's keys and its pin; approve the demo's policy, if it is given."""
    house.init(registry, None if policy is None else Path(policy))


def approve_policy(registry: Registry, file: str, why: Why) -> None:
    """Let plans be made by the policy in a file."""
    removal.check_reason(why.reason)
    policy = read_policy(Path(file))
    said = registry.approve(policy, why.reason)
    of = f"of scope {policy.scope} " if policy.scope != "house" else ""
    say(
        f"policy {policy.name!r} {of}is approved since {said.time:%Y-%m-%d %H:%M} UTC by "
        f"{said.by}: {said.reason}\n"
        f"taken back by `bedside registry withdraw {policy.sha256[:12]} --reason WHY`"
    )


def promote(registry: Registry, evidence: str, asked: Promoting) -> None:
    """Promote the model that evidence is about, if its verdict allows it."""
    for said in (asked.reason, asked.again):
        if said is not None:
            removal.check_reason(said)
    entry = registry.promote(registry.get(evidence), reason=asked.reason, again=asked.again)
    say(f"promoted {entry.model[:12]} on evidence {entry.evidence[:12]}")
    for text in terms(registry, registry.get(entry.model)):
        say(text)
    publish(registry, entry.model)


def publish(registry: Registry, model: str | None) -> None:
    """Write what others can verify of a model, as its newest promotion or rollback has it."""
    digest = registry.get(model).digest if model else None
    decisions = [p for p in registry.promotions() if digest in (None, p.model)]
    if not decisions:
        raise PolicyError(
            "nothing was promoted yet" if digest is None else f"{digest[:12]} was never promoted"
        )
    say(f"for others to verify: {write_public(registry, decisions[-1])}")


def rollback(registry: Registry, why: Why) -> None:
    """Return to the model that was promoted before."""
    removal.check_reason(why.reason)
    entry = registry.rollback(why.reason)
    say(f"rolled back to {entry.model[:12]} on evidence {entry.evidence[:12]}")
    publish(registry, entry.model)


def _erase(registry: Registry, about: Meant, why: Withdrawing) -> None:
    withdrawal, new = erasure.erase(registry, about, why.reason)
    say(f"{withdrawal}" if new else f"nothing to do: {withdrawal}")
    removed, busy = erasure.clear_rooms(registry)
    if removed:
        say(f"removed with their documents: {removed} unfinished builds and quarantines")
    for name in busy:
        say(
            f"a build is running ({name}): what it makes is refused; run this again when it is done"
        )
    standing = Standing(registry)
    holding = erasure.affected(registry, withdrawal)
    models = [node for node in holding if node.kind in removal.MODELS]
    if holding:
        say("holds it, and is neither trained on nor promoted any more:")
    for node in holding:
        say(f"  {_line(node, '')}{standing.mark(node)}")
    if why.models:
        for node in models:
            if standing.withdrawn.of(node.digest) is None:
                said, _ = removal.withdraw(registry, node.digest, why.reason)
                say(f"{said}")
    elif models:
        say(
            "these models may still be served, until `bedside registry withdraw MODEL`, or this "
            "command again with --models, ends that"
        )
    say("the next `bedside corpus build` leaves it out; `bedside corpus absence` proves it")


def withdraw(registry: Registry, what: str, why: Withdrawing) -> None:
    """Forbid an artifact or a source, and all made from it; keep out a document or patient."""
    if (about := erasure.meant(registry, what)) is not None:
        _erase(registry, about, why)
        return
    if why.models:
        raise ConfigError("--models is for documents and patients - leave it out")
    withdrawal, new = removal.withdraw(registry, what, why.reason)
    say(f"{withdrawal}" if new else f"nothing to do: {withdrawal}")
    artifacts = removal.affected(registry, withdrawal)
    if artifacts:
        say("may not be used any more, by any step or engine:")
    standing = Standing(registry)
    for node in artifacts:
        promoted = standing.now is not None and node.digest == standing.now.model
        runs = [name for name, digest in registry.slots() if digest == node.digest]
        names = f", {', '.join(runs)}" if runs else ""
        say(f"  {_line(node, '')}{names}{' (promoted)' if promoted else ''}")
    for damaged in registry.scan()[1]:
        say(f"  unknown, what it was made from: {damaged}")


def delete(registry: Registry, artifact: str, why: Why) -> None:
    """Remove an artifact's files; an entry in the log proves it."""
    digest = removal.delete(registry, artifact, why.reason)
    say(f"deleted {digest}; `bedside registry log` has the entry")


def gc(registry: Registry, collection: Collection) -> None:
    """Show, or remove, what nothing needs any more."""
    now = datetime.now(UTC)
    find = removal.collect if collection.apply else removal.garbage
    found = find(registry, now)
    for piece in found:
        name = piece.record.get("path") or f"{piece.record['kind']} {piece.record['digest'][:12]}"
        say(f"{size(piece.size):>12}  {name}")
    total = size(sum(piece.size for piece in found))
    done = "removed" if collection.apply else "would be removed - `bedside registry gc --apply`"
    say(f"{len(found)} pieces, {total}: {done}" if found else "nothing that is not needed")


def rotate(registry: Registry, key: str, why: Rotation) -> None:
    """Put a new key in the place of the operator's, the evidence or the publisher's."""
    house.rotate(registry, key, why.reason, lost=why.lost)


def _find(registry: Registry, what: str) -> Artifact | None:
    try:
        return registry.get(what)
    except ArtifactError:
        return None


def _uses_of(registry: Registry, what: str, standing: Standing) -> None:
    found = False
    about = erasure.meant(registry, what)
    for corpus in (a for a in registry.artifacts() if a.kind in LISTED):
        licences = Counter(
            d["licence"]
            for d in listed_documents(corpus)
            if (about.is_in(d) if about is not None else what in (d["id"], d["source"]))
        )
        if not licences:
            continue
        found = True
        say(
            f"{what}: {licences.total()} document(s), {', '.join(sorted(licences))}, in "
            f"{_line(corpus, '')}{standing.mark(corpus)}"
        )
        for node in registry.descendants(corpus):
            say(f"  {_line(node, '')}{standing.mark(node)}")
    if not found:
        raise ArtifactError(f"{what!r} is no artifact, document or source of this registry")


def _line(node: Artifact, role: str) -> str:
    label = node.kind if role in ("", node.kind) else f"{role} ({node.kind})"
    purpose = node.manifest.facts.get(PURPOSE)
    told = "" if purpose is None else f", for {purpose} use"
    return f"{label} {node.digest[:12]} by {node.manifest.recipe.verb}{told}"


COMMANDS = (
    Command(
        "init",
        "make a new house's keys and its pin, once",
        init,
        words=("demo-policy?",),
        examples=("", "configs/policies/demo.yaml"),
    ),
    Command("list", "every artifact with its run, verdict and state", list_artifacts),
    Command("show", "the manifest of one artifact", show, words=("artifact",)),
    Command(
        "verify", "compare artifacts with their manifests, check the log", verify,
        words=("artifact?",),
    ),
    Command(
        "lineage",
        "what is in a model; which models contain a document or a source",
        lineage,
        words=("what?",),
    ),
    Command("log", "what was decided, each entry checked", log),
    Command(
        "approve-policy",
        "let plans be made by the policy in a file",
        approve_policy,
        words=("file",),
        arguments=Why,
        examples=('configs/policies/hospital-default.yaml --reason "board of 12 May"',),
    ),
    Command(
        "promote",
        "promote the model of an evidence artifact",
        promote,
        words=("evidence",),
        arguments=Promoting,
        examples=("demo/evidence", 'demo/evidence --again "the fault was in the template"'),
    ),
    Command(
        "rollback",
        "return to the model promoted before",
        rollback,
        arguments=Why,
        examples=('--reason "answers in the wrong language"',),
    ),
    Command(
        "publish",
        "write again what others can verify of a promoted model",
        publish,
        words=("model?",),
    ),
    Command(
        "withdraw",
        "forbid an artifact or a source, and all made from it; keep out a document or patient",
        withdraw,
        words=("artifact-source-policy-document-or-patient",),
        arguments=Withdrawing,
        examples=(
            'letters --reason "consent withdrawn, case 12"',
            'document:letters/2024.jsonl#4711 --reason "objection of 3 May"',
            'patient:4711990815 --reason "objection of 3 May" --models',
        ),
    ),
    Command(
        "delete",
        "remove an artifact's files; the log keeps what it was",
        delete,
        words=("artifact",),
        arguments=Why,
        examples=('demo/corpus --reason "erasure request of 30 November"',),
    ),
    Command(
        "gc",
        "what no run, promotion or lineage needs; removed with --apply",
        gc,
        arguments=Collection,
        examples=("", "--apply"),
    ),
    Command("keys", "the house's keys, since when, and whether the pin agrees", house.show_keys),
    Command(
        "rotate",
        "put a new key in the place of `operator`, `evidence` or `publisher`",
        rotate,
        words=("key",),
        arguments=Rotation,
        examples=(
            'evidence --reason "yearly"', 'operator --lost --reason "laptop stolen, case 7"',
        ),
    ),
    Command("adopt", "take over the keys and promotions of Bedside 0.1", adopt),
)  # fmt: skip
