"""What a corpus was kept free of: `removed.jsonl` of a corpus artifact, a line per text or item.

It says which documents had to go for what is asked of models, in counts; it holds no text.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError

REMOVED = "removed.jsonl"
WAYS = ("exact", "near", "ngram", "spread")
"""In which documents were found, each as in `bedside_core.overlap`; `spread` are those that would
have made `ngram` of many that hold a little."""


class RemovedFor(BaseModel):
    """The documents that were left out because of one held-out text or exam item."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    set: str
    """Folder or file, as the corpus's config names it."""
    id: str
    identity: str
    """SHA-256 (hex) that all copies of it share, by which another service knows it again."""
    exact: int = 0
    near: int = 0
    ngram: int = 0
    spread: int = 0
    let_in: bool = False
    """So many documents hold a little of it that none was left out for that; an evaluation counts
    it as seen."""

    @property
    def documents(self) -> int:
        """All of them; one that holds several texts counts for each."""
        return self.exact + self.near + self.ngram + self.spread


def removed_lines(removed: Iterable[RemovedFor]) -> bytes:
    """The content of the file."""
    return b"".join(one.model_dump_json().encode() + b"\n" for one in removed)


def read_removed(corpus: Artifact) -> list[RemovedFor]:
    """What documents were left out for, in the order of the corpus's config.

    Empty where nothing was looked for, and for corpora that have no such file.

    Raises:
        ArtifactError: the file was changed, or has another schema.
    """
    if all(entry.path != REMOVED for entry in corpus.manifest.files):
        return []
    corpus.verify(REMOVED)
    try:
        lines = corpus.file(REMOVED).read_bytes().splitlines()
        return [RemovedFor.model_validate_json(line) for line in lines]
    except ValidationError:
        raise ArtifactError(
            f"corpus {corpus.digest[:12]}: {REMOVED} has a schema that this version does not know"
        ) from None
