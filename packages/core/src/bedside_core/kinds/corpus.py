"""A corpus artifact: its files, and what is known of its documents without their text."""

from __future__ import annotations

import json

from bedside_core.artifacts import Artifact

PARQUET = "corpus.parquet"
"""The texts, a row each; `bedside_corpus.store` has the columns."""
DOCUMENTS = "documents.jsonl"
"""What is in it, a line per document, without the texts: id, source, licence, sha256."""
STATS = "stats.json"
"""What happened to every record that was read."""


def describe_sources(artifact: Artifact) -> list[dict[str, object]]:
    """The document sources that a corpus artifact lists: name, licence, number of documents."""
    sources = artifact.manifest.facts.get("sources", [])
    return [dict(source) for source in sources]


def document_ids(artifact: Artifact) -> list[dict[str, str]]:
    """The documents of a corpus artifact (`documents.jsonl`: id, source, licence, sha256).

    Raises:
        ArtifactError: the list is missing or was changed.
    """
    artifact.verify(DOCUMENTS)
    text = artifact.file(DOCUMENTS).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]
