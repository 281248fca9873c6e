"""A corpus artifact: its files, and what is known of its documents without their text.

Tested in tests/corpus/test_run.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Set
from hashlib import sha256
from typing import TypedDict

from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError
from bedside_core.matching import VERSION

PARQUET = "corpus.parquet"
"""The texts, a row each; `bedside_corpus.store` has the columns."""
TEXT = "text"
"""The column of the texts."""
DOCUMENTS = "documents.jsonl"
"""What is in it, a `ListedDocument` per line, without the texts."""
STATS = "stats.json"
"""What happened to every record that was read."""
MATCHING_VERSION = "matching_version"
"""The fact that says which version of `bedside_core.matching` made the hashes for matching."""


class ListedDocument(TypedDict):
    """A line of `documents.jsonl`."""

    id: str
    source: str
    licence: str
    sha256: str
    """Of the text as it is stored and trained on (`text_sha256`)."""
    matching_sha256: str
    """Of its canonical form for matching: equal for all copies of a text, whoever cleaned them."""


def text_sha256(text: str) -> str:
    """SHA-256 (hex) of a document's text as it is stored, without any cleaning of its own."""
    return sha256(text.encode()).hexdigest()


def describe_sources(artifact: Artifact) -> list[dict[str, object]]:
    """The document sources that a corpus artifact lists: name, licence, number of documents."""
    sources = artifact.manifest.facts.get("sources", [])
    return [dict(source) for source in sources]


def listed_documents(artifact: Artifact) -> Iterator[ListedDocument]:
    """The documents of a corpus artifact, one at a time.

    Raises:
        ArtifactError: the list is missing or was changed.
    """
    artifact.verify(DOCUMENTS)
    with artifact.file(DOCUMENTS).open(encoding="utf-8") as lines:
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
