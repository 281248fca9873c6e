"""What a step leaves of a shard beside its files: a small record, complete or absent.

Tested in tests/corpus/engine/test_build.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from bedside_core.artifacts import FileEntry
from bedside_core.files import write_atomic
from bedside_corpus.blocks.base import Step


class Record(BaseModel):
    """Of the documents that left the steps, and of what each step did."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    documents: int = 0
    words: int = 0
    licences: dict[str, dict[str, int]] = {}
    """Documents per source and licence."""
    files: tuple[FileEntry, ...] = ()
    """By their names in the corpus."""
    decisions: FileEntry | None = None
    """Of the shard's records, kept or not; complete in the last stage."""
    outcomes: dict[str, dict[str, int]] = {}
    """Records per source and reason, which is empty for those kept; complete in the last stage."""
    measures: dict[str, Any] = {}
    """Of the documents (`bedside_corpus.passport.measures`)."""
    steps: dict[str, dict[str, Any]] = {}
    """Counts by the steps' names, in their order."""


def write_record(folder: Path, rank: int, record: Record, steps: Sequence[Step]) -> None:
    """Write the record of a shard, with the counts of these steps."""
    counts = {step.name: step.counts.to_json() for step in steps}
    complete = record.model_copy(update={"steps": counts})
    write_atomic(_path(folder, rank), complete.model_dump_json().encode())


def read_records(folder: Path, shards: int) -> Iterator[Record]:
    """The records of all shards, in order."""
    for rank in range(shards):
        yield Record.model_validate_json(_path(folder, rank).read_bytes())


def _path(folder: Path, rank: int) -> Path:
    return folder / "records" / f"{rank:05d}.json"
