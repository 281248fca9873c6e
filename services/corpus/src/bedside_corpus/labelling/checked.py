"""What people say of a labelled set: `bedside corpus agreement`, and the fact that annotate keeps.

Tested in tests/corpus/labelling/test_people.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bedside_core.artifacts import Artifact
from bedside_core.console import say, table
from bedside_core.errors import InputError
from bedside_core.kinds.corpus import text_sha256
from bedside_core.kinds.labels import PARTS, LabelledDocument, sizes
from bedside_core.registry.registry import Registry
from bedside_corpus.labelling.agreement import Agreement, Estimate, Judged, agreement
from bedside_corpus.labelling.review import Row, answered_by, documents_of, read_rows

WORD = {True: "yes", False: "no"}


@dataclass(frozen=True, slots=True)
class Checked:
    """What people said of a labelled set."""

    labels: Artifact
    agreement: Agreement
    disputed: tuple[Row, ...]
    """Documents that the set has in another class than most people; false positives first."""
    false_positives: int
    """How many of these the set says yes of."""


def check_reviews(registry: Registry, paths: Sequence[Path]) -> Checked:
    """Compare the files of several people with each other and with the set.

    Raises:
        InputError: a file is none, two are of one person or of different sets, one names documents
            that are not in the set, or nobody answered.
        ArtifactError: the set was changed.
    """
    votes = _votes(paths)
    digests = {row.labels for rows in votes.values() for row in rows}
    if len(digests) != 1:
        raise InputError("the files are of different labelled sets - take those of one")
    labels = registry.get(digests.pop())
    registry.refuse_withdrawn(labels.kind, labels.digest)
    registry.refuse_erased(labels.kind, labels.digest)
    said: dict[str, list[bool]] = defaultdict(list)
    named = {row.sha256 for rows in votes.values() for row in rows}
    for rows in votes.values():
        for row in rows:
            if row.answer is not None:
                said[row.sha256].append(row.answer)
    if not said:
        raise InputError("none of the files has an answer - `bedside corpus review FILE --by NAME`")
    documents = {
        digest: document
        for document in documents_of(labels)
        if (digest := text_sha256(document.text)) in named
    }
    if named - documents.keys():
        raise InputError(
            f"{len(named - documents.keys())} documents of the files are not in labels "
            f"{labels.digest[:12]} - copy the file as it was written"
        )
    judged = {
        digest: Judged(one.label, said[digest].count(True), said[digest].count(False), one.cluster)
        for digest, one in documents.items()
    }
    counts = sizes(labels)
    population = {label: sum(counts[part][WORD[label]] for part in PARTS) for label in WORD}
    disputed = _disputed(labels, documents, judged)
    return Checked(
        labels,
        agreement([*judged.values()], population, len(votes)),
        tuple(disputed),
        sum(judged[row.sha256].label for row in disputed),
    )


def _votes(paths: Iterable[Path]) -> dict[str, list[Row]]:
    """The rows of each person."""
    votes: dict[str, list[Row]] = {}
    for path in paths:
        rows = read_rows(path)
        person = answered_by(path, rows) or str(path)
        if person in votes:
            raise InputError(f"{path}: the second file of one person - each counts once")
        votes[person] = rows
    return votes


def _disputed(
    labels: Artifact, documents: dict[str, LabelledDocument], judged: dict[str, Judged]
) -> list[Row]:
    found = [
        Row(
            labels.digest,
            digest,
            documents[digest].id,
            said=f"the set says {WORD[one.label]}; people: {one.yes} yes, {one.no} no",
        )
        for digest, one in judged.items()
        if one.majority is not None and one.majority is not one.label
    ]
    return sorted(found, key=lambda row: (not judged[row.sha256].label, row.sha256))


def facts(found: Agreement) -> dict[str, Any]:
    """As the artifact keeps it; no name of a person is in it."""
    return {
        name: {k: round(v, 4) for k, v in value._asdict().items()}
        if isinstance(value, Estimate)
        else value
        for name, value in ((one.name, getattr(found, one.name)) for one in fields(found))
    }


def tell(found: Agreement) -> None:
    """Table 5 of DeFineMed (Doll et al. 2026), with intervals."""
    rows = [["metric", "value", "95 % interval"]]
    for name, value in (
        ("precision", found.precision), ("recall", found.recall), ("F1", found.f1),
        ("accuracy", found.accuracy), ("Fleiss' kappa", found.fleiss_kappa),
        ("free-marginal kappa (Randolph)", found.free_marginal_kappa),
    ):  # fmt: skip
        shown = ("-", "-") if value is None else (
            f"{value.value:.3f}", f"{value.low:.3f} to {value.high:.3f}"
        )  # fmt: skip
        rows.append([name, *shown])
    say(table(rows))
    say(
        f"{found.people} people, {found.documents} documents with a majority, {found.ties} ties; "
        f"the kappas are of {found.by_all} documents that all answered"
    )
