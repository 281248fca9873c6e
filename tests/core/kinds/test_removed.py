"""What was left out is told by ids and hashes, and read back only as it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedside_core.artifacts import Artifact
from bedside_core.config import Config
from bedside_core.errors import ArtifactError
from bedside_core.kinds.removed import REMOVED, RemovedFor, read_removed, removed_lines
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry
from bedside_core.run import Run

LINES = [
    RemovedFor(set="demo/exam/a.jsonl", id="q1", identity="0" * 64, exact=2, spread=1),
    RemovedFor(set="demo/held", id="Brief ä", identity="1" * 64, let_in=True),
]


class Step(Config):
    number: int = 0


def corpus(home: Path, content: bytes | None) -> Artifact:
    registry = Registry(home)
    found(registry)
    run = Run("r", "corpus", "build", registry)
    with run.write("corpus", run.recipe(Step())) as artifact:
        (artifact.path / "x").write_text("")
        if content is not None:
            (artifact.path / REMOVED).write_bytes(content)
    return artifact.result


def test_lines_are_read_back_in_their_order(tmp_path: Path) -> None:
    made = corpus(tmp_path, removed_lines(LINES))
    assert read_removed(made) == LINES
    assert [one.documents for one in LINES] == [3, 0]
    made.file(REMOVED).write_bytes(removed_lines(LINES[:1]))
    with pytest.raises(ArtifactError, match=r"removed\.jsonl was changed"):
        read_removed(made)


def test_a_corpus_that_tells_nothing(tmp_path: Path) -> None:
    assert read_removed(corpus(tmp_path / "none", None)) == []
    assert read_removed(corpus(tmp_path / "empty", b"")) == []


def test_another_schema_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="schema that this version does not know"):
        read_removed(corpus(tmp_path, b'{"set": "a", "id": "b"}\n'))
