"""Before the first stage: published scores are sorted by id, once for all workers.

Tested in tests/corpus/classifier/test_published.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from bedside_core.errors import InputError
from bedside_corpus.blocks.base import Step
from bedside_corpus.classifier.applying import Applied, setting_of
from bedside_corpus.classifier.published import index_path, write_index
from bedside_corpus.document import Document
from bedside_corpus.engine.progress import Heartbeat
from bedside_corpus.labelling.given import scores_of


class Indexing(Step):
    """Sorts the published scores of one classifier."""

    name = "indexing"

    def __init__(self, applied: Sequence[Applied], folder: Path) -> None:
        """`applied`: those with published scores; `folder`: of the stage."""
        super().__init__()
        self.applied, self.folder = tuple(applied), folder

    def run(self, data: None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Sort those of classifier number `rank`.

        Raises:
            InputError: a file cannot be read, or no row has an id and a score.
        """
        one = self.applied[rank]
        if not write_index(index_path(self.folder, one.column), self._scores(one, rank)):
            raise InputError(
                f"{setting_of(one.column)}: no row has an id and a score - correct id and column"
            )
        yield from ()

    def _scores(self, one: Applied, rank: int) -> Iterator[pa.RecordBatch]:
        heartbeat = Heartbeat(self.folder / "beats", rank)
        if one.published is not None:
            for file in one.published_files().values():
                yield from scores_of(file, one.published, setting_of(one.column))
                heartbeat.update(file.stat().st_size)
