"""A `labels` artifact: documents of the sources, each with whether it is what a filter looks for.

    train.parquet, test.parquet    a row each, see `LabelledDocument`
    documents/00000.jsonl          both without their texts, as a corpus lists its own

Near copies, and documents of one patient, are in one part. Facts: `classes` and `words` (of each
part the documents, and the words, of each class), `annotator`, `drawn`, `sources`, and `agreement`
where people looked at some of them. Needs the extra `bedside-core[parquet]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError

Part = Literal["train", "test"]
PARTS: tuple[Part, ...] = ("train", "test")
GROUP_DOCUMENTS = 1024
"""In memory at a time, of what is written and of what is read."""


@dataclass(frozen=True, slots=True)
class LabelledDocument:
    """A row."""

    id: str
    text: str
    source: str
    language: str
    licence: str
    label: bool
    """Whether it is what the filter keeps: medical and good."""
    probability: float | None
    """Of `label` being true, 0 to 1, as the model had it; None where people or files gave it."""
    cluster: str
    """Documents of one cluster are no independent measurements."""

    @property
    def words(self) -> int:
        """Blank-separated, as the corpus counts them."""
        return len(self.text.split())


class Size(NamedTuple):
    """How many of a part are of each class."""

    yes: int
    no: int


SCHEMA = pa.schema(
    [
        pa.field(name, kind, nullable=name == "probability")
        for name, kind in (
            *((name, pa.string()) for name in ("id", "text", "source", "language", "licence")),
            ("label", pa.bool_()),
            ("probability", pa.float32()),
            ("cluster", pa.string()),
        )
    ]
)


def file_name(part: Part) -> str:
    """What a part is called in the artifact."""
    return f"{part}.parquet"


def write_part(
    folder: Path, part: Part, documents: Iterable[LabelledDocument]
) -> tuple[Size, Size]:
    """Write a part, one group of documents in memory at a time.

    Returns:
        Its documents and their words, of each class.
    """
    count, words = {True: 0, False: 0}, {True: 0, False: 0}
    with pq.ParquetWriter(folder / file_name(part), SCHEMA, compression="zstd") as file:
        for group in _grouped(documents):
            for document in group:
                count[document.label] += 1
                words[document.label] += document.words
            file.write_table(pa.Table.from_pylist([asdict(d) for d in group], SCHEMA))
    return Size(count[True], count[False]), Size(words[True], words[False])


def read_part(labels: Artifact, part: Part) -> Iterator[LabelledDocument]:
    """The documents of a part in their order, one group in memory at a time.

    Raises:
        ArtifactError: the file is missing, was changed, or has other columns.
    """
    labels.verify(file_name(part))
    with pq.ParquetFile(labels.file(file_name(part))) as file:
        if not file.schema_arrow.equals(SCHEMA):
            raise ArtifactError(
                f"labels {labels.digest[:12]}: {file_name(part)} has other columns than this "
                "version writes - annotate again"
            )
        for batch in file.iter_batches(GROUP_DOCUMENTS):
            for row in batch.to_pylist():
                yield LabelledDocument(**row)


def sizes(labels: Artifact) -> dict[str, dict[str, int]]:
    """Of each part the documents of each class: `{"train": {"yes": 3, "no": 5}, ...}`."""
    found: dict[str, Any] = labels.manifest.facts.get("classes", {})
    return {part: dict(found.get(part, {})) for part in PARTS}


def _grouped(documents: Iterable[LabelledDocument]) -> Iterator[list[LabelledDocument]]:
    group: list[LabelledDocument] = []
    for document in documents:
        group.append(document)
        if len(group) == GROUP_DOCUMENTS:
            yield group
            group = []
    if group:
        yield group
