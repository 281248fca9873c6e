"""How the registry shows itself: what is there, what it came from, what was decided."""

from __future__ import annotations

from collections import defaultdict

from bedside_core.artifacts import Artifact
from bedside_core.chain import Entry
from bedside_core.console import table
from bedside_core.errors import ArtifactError
from bedside_core.kinds.corpus import attributions, describe_sources
from bedside_core.kinds.evidence import read_evidence
from bedside_core.purpose import PURPOSE
from bedside_core.registry.keyring import ROLES, TYPE
from bedside_core.registry.promotions import history
from bedside_core.registry.registry import Registry
from bedside_core.signing import KEY_ID_CHARS


class Standing:
    """What the log says of each artifact, read once."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.withdrawn = registry.withdrawals()
        self._ring = registry.keyring()
        promotions = registry.promotions()
        self.now = promotions[-1] if promotions else None
        self._before = {p.model for p in promotions}
        self._left = history(promotions).left

    def of(self, artifact: Artifact) -> str:
        """`withdrawn`, `promoted`, `rolled back`, `promoted before`, or nothing.

        Behind it, where it holds a withdrawn document or patient.
        """
        holds = self.withdrawn.holding(artifact.digest) is not None
        parts = (self._state(artifact), "holds what was withdrawn" if holds else "")
        return ", ".join(part for part in parts if part)

    def _state(self, artifact: Artifact) -> str:
        if self.withdrawn.of(artifact.digest) is not None:
            return "withdrawn"
        if self.now is not None and artifact.digest == self.now.model:
            return "promoted"
        if artifact.digest in self._left:
            return "rolled back"
        return "promoted before" if artifact.digest in self._before else ""

    def mark(self, artifact: Artifact) -> str:
        """The same in brackets, behind a name."""
        text = self.of(artifact)
        return f" ({text})" if text else ""

    def verdict(self, artifact: Artifact) -> str:
        """Of evidence: what it says and by which plan, if this house signed it."""
        if artifact.kind != "evidence":
            return ""
        try:
            head = read_evidence(artifact, self._ring)
            return f"{head.described}, plan {head.plan[:12]}"
        except ArtifactError:
            return "does not verify"

    def summary(self) -> str:
        """What an engine loads at its next start."""
        if self.now is None:
            return "promoted: nothing"
        text = f"promoted: {self.now.model[:12]} on evidence {self.now.evidence[:12]}"
        found = self.withdrawn.of(self.now.model) or self.withdrawn.of(self.now.evidence)
        if found is not None:
            return f"{text}; nothing serves it: {found}"
        return f"{text}; what engines serve now: `bedside inference models list`"


def listing(registry: Registry, artifacts: list[Artifact]) -> str:
    """One line per artifact, oldest first, and what is promoted."""
    standing = Standing(registry)
    runs = defaultdict(list)
    for name, digest in registry.slots():
        runs[digest].append(name)
    rows = [["digest", "kind", "run", "created", "size", "verdict", "state", "licences"]]
    rows += [
        [
            artifact.digest[:12],
            artifact.kind,
            ", ".join(runs[artifact.digest]) or "-",
            f"{artifact.manifest.created:%Y-%m-%d %H:%M}",
            size(sum(entry.size for entry in artifact.manifest.files)),
            standing.verdict(artifact) or "-",
            standing.of(artifact) or "-",
            ", ".join(item.id for item in artifact.manifest.licences),
        ]
        for artifact in artifacts
    ]
    return f"{table(rows)}\n{standing.summary()}"


def source_line(source: dict[str, object], standing: Standing) -> str:
    """A source of a corpus."""
    found = standing.withdrawn.source(str(source["name"]))
    text = f"source {source['name']}: {source['documents']} documents, {source['licences']}"
    return text if found is None else f"{text} ({found})"


def sources(artifact: Artifact, standing: Standing) -> list[str]:
    """The sources of a corpus, a line each."""
    return [source_line(source, standing) for source in describe_sources(artifact)]


def terms(registry: Registry, artifact: Artifact) -> list[str]:
    """What an artifact may be used for, what that obliges to, and whom to name; a line each."""
    purpose = artifact.manifest.facts.get(PURPOSE)
    found = [] if purpose is None else [f"purpose: {purpose}"]
    obliging: defaultdict[str, list[str]] = defaultdict(list)
    for item in artifact.manifest.licences:
        for obligation in item.obligations:
            obliging[obligation].append(item.id)
    for obligation, licences in sorted(obliging.items()):
        found.append(f"obliges to {obligation}: {', '.join(licences)}")
    made_of = [node for _, _, node in registry.ancestors(artifact)]
    named = {name: text for node in made_of for name, text in attributions(node).items()}
    return found + [f"to be named for {name}: {text}" for name, text in named.items()]


def entry_line(entry: Entry) -> str:
    """An entry of the log for people: number, time, type, and what it is about.

    Of keys their ids, of a plan's sets their size; what else has parts of its own is read in the
    log itself.
    """
    shown = {name: _shown(value) for name, value in entry.members.items() if _is_told(name, value)}
    if entry.type == TYPE:
        keys = {role: entry.members[role]["fingerprint"][:KEY_ID_CHARS] for role in ROLES}
        shown = keys | shown
    for name, planned in entry.members.get("sets", {}).items():
        shown[name] = f'"{planned["clusters"]} sealed clusters"'
    about = " ".join(f"{name}={text}" for name, text in shown.items())
    return f"{entry.seq:5} {entry.members['time'][:19]}Z {entry.type:14} {about}"


def _is_told(name: str, value: object) -> bool:
    parts = value if isinstance(value, list) else [value]
    of_the_chain = name in ("seq", "time", "type", "signature", "prev", "hash")
    return not of_the_chain and not any(isinstance(part, dict) for part in parts)


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    text = str(value)
    return f'"{text}"' if " " in text else text


def size(number: int) -> str:
    """Bytes for people."""
    return f"{number / 1e6:.1f} MB"
