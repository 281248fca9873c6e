"""What all stages of a build need.

Tested in tests/corpus/engine/test_build.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bedside_corpus.classifier.applying import Applied
from bedside_corpus.config import CorpusConfig
from bedside_corpus.engine.shards import Shard


@dataclass(frozen=True, slots=True)
class Work:
    """A build: its settings, what is to be read, and where it works."""

    config: CorpusConfig
    shards: tuple[Shard, ...]
    room: Path
    """A directory that nobody else uses, kept until the corpus is written."""
    key: Path | None = None
    """Of the house's identifiers, where a source names patients or documents."""
    classifiers: tuple[Applied, ...] = ()
    """In the order of their columns."""

    def folder(self, stage: str) -> Path:
        """Where a stage leaves what it makes."""
        return self.room / stage
