"""A corpus artifact: its files, and what is known of its documents without their text.

    data/00000.parquet         documents, a row each, in as many files as it takes
    documents/00000.jsonl      what is in the file of that number, without the texts
    decisions/00000.parquet    what became of each record that was read for them, kept or not
    removed.jsonl              how many documents went for each text or item that is measured on
    stats.json                 what happened to every record that was read
    passport.json, .html       what the corpus is, for machines and for people

Tested in tests/corpus/test_run.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Set
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, NotRequired, TypedDict

from bedside_core.artifacts import Artifact, FileEntry, Kind
from bedside_core.errors import ArtifactError
from bedside_core.matching import VERSION

TEXT = "text"
"""The column of the texts; `bedside_corpus.engine.tables` has the others."""
LISTED: frozenset[Kind] = frozenset({"corpus", "labels"})
"""The kinds of artifacts that hold documents and list them."""
STATS = "stats.json"
PASSPORT, PASSPORT_PAGE = "passport.json", "passport.html"
MATCHING_VERSION = "matching_version"
"""The fact that says which version of `bedside_core.matching` made the hashes for matching."""
IDENTIFIERS = "identifiers"
"""The fact that names the key under which patients and source documents were hashed."""
WITHDRAWN = "withdrawn"
"""The fact that says which withdrawals of documents and patients were looked for: `seq` of the
log's newest entry of them, `hash` of that entry, how many `entries`."""
SELECTED = "selected"
"""The fact that says from which corpus (`from`) a narrowed one was selected, and how."""
_DATA, _LISTING = re.compile(r"data/(\d+)\.parquet"), re.compile(r"documents/(\d+)\.jsonl")
_DECISIONS = re.compile(r"decisions/(\d+)\.parquet")


class Shard(NamedTuple):
    """A file of documents."""

    path: Path
    sha256: str


class ListedDocument(TypedDict):
    """A line of a listing."""

    id: str
    source: str
    licence: str
    sha256: str
    """Of the text as it is stored and trained on (`text_sha256`)."""
    matching_sha256: str
    """Of its canonical form for matching: equal for all copies of a text, whoever cleaned them."""
    patient: NotRequired[str | None]
    """`bedside_core.identifiers` names patients and source documents; None where nobody said."""
    document: NotRequired[str | None]
    trace: NotRequired[str | None]
    """`bedside_core.identifiers.Trace` of what was read, before it was pseudonymised."""


def data_name(number: int) -> str:
    """What a file of documents is called in the artifact."""
    return f"data/{number:05d}.parquet"


def listing_name(number: int) -> str:
    """What the listing of that file is called."""
    return f"documents/{number:05d}.jsonl"


def decisions_name(number: int) -> str:
    """What the file with the decisions on the records of that shard is called."""
    return f"decisions/{number:05d}.parquet"


def decisions(corpus: Artifact) -> list[Shard]:
    """The files of decisions, in order; none in a corpus of an earlier version or of `replay`."""
    return [
        Shard(corpus.path / entry.path, entry.sha256) for entry in _numbered(corpus, _DECISIONS)
    ]


def shards(corpus: Artifact) -> list[Shard]:
    """The files of documents, in the order of the documents.

    Raises:
        ArtifactError: there is none.
    """
    entries = _numbered(corpus, _DATA)
    if not entries:
        raise ArtifactError(
            f"corpus {corpus.digest[:12]} has no files of documents under data/ - build it again "
            "with this version"
        )
    return [Shard(corpus.path / entry.path, entry.sha256) for entry in entries]


def listings(corpus: Artifact) -> list[Shard]:
    """The listings of those files, in the same order."""
    return [Shard(corpus.path / entry.path, entry.sha256) for entry in _numbered(corpus, _LISTING)]


def _numbered(corpus: Artifact, name: re.Pattern[str]) -> list[FileEntry]:
    fits = ((name.fullmatch(entry.path), entry) for entry in corpus.manifest.files)
    numbered = [(int(fit[1]), entry) for fit, entry in fits if fit]
    return [entry for _, entry in sorted(numbered, key=lambda one: one[0])]


def text_sha256(text: str) -> str:
    """SHA-256 (hex) of a document's text as it is stored, without any cleaning of its own."""
    return sha256(text.encode()).hexdigest()


def describe_sources(artifact: Artifact) -> list[dict[str, object]]:
    """The document sources that a corpus artifact lists: name, licence, number of documents."""
    sources = artifact.manifest.facts.get("sources", [])
    return [dict(source) for source in sources]


def attributions(artifact: Artifact) -> dict[str, str]:
    """Whom to name for the documents of a corpus artifact, by source; others ask for nothing."""
    declared = artifact.manifest.facts.get("declared", {})
    named = [str(source["name"]) for source in describe_sources(artifact)]
    said = {name: declared.get(name, {}).get("attribution") for name in named}
    return {name: text for name, text in said.items() if text is not None}


def listed_documents(artifact: Artifact) -> Iterator[ListedDocument]:
    """The documents of a corpus artifact, one at a time.

    Raises:
        ArtifactError: the list is missing or was changed.
    """
    listings = _numbered(artifact, _LISTING)
    if not listings:
        raise ArtifactError(f"corpus {artifact.digest[:12]} has no listing - build it again")
    for entry in listings:
        artifact.verify(entry.path)
        with (artifact.path / entry.path).open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


def matching_documents(artifact: Artifact, digests: Set[str]) -> set[str]:
    """Which of these digests of canonical forms belong to documents of the corpus.

    Raises:
        ArtifactError: the list is missing or was changed, or knows no canonical form of ours.
    """
    version = artifact.manifest.facts.get(MATCHING_VERSION)
    if version != VERSION:
        raise ArtifactError(
            f"corpus {artifact.digest[:12]} was built with version {version or 0} of the form for "
            f"matching, this is version {VERSION} - build the corpus again and train on it "
            "(`bedside adapt` does both)"
        )
    return {
        document["matching_sha256"]
        for document in listed_documents(artifact)
        if document["matching_sha256"] in digests
    }
