"""The `corpus` section of a run config.

Tested in tests/corpus/test_sources.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from bedside_core.config import Config

Format = Literal["jsonl", "parquet", "text"]


class Source(Config):
    """Documents of one origin, in one format."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Names the source in the corpus, in the statistics and in `bedside registry lineage`."""
    path: Path
    """A file, or a folder that is searched with its subfolders."""
    format: Format
    """`jsonl` reads .jsonl and .jsonl.gz, `parquet` reads .parquet, `text` reads .txt."""
    licence: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] | None = None
    """SPDX identifier of documents that do not carry their own; without either, a document is
    dropped."""


class MedicalFilter(Config):
    """Keep documents in which enough words carry a medical stem."""

    min_density: float = Field(default=0.03, ge=0, le=1)
    """Smallest share of words with a medical stem; 0.03 is measured in the service's README."""


class CorpusConfig(Config):
    """What goes into a corpus and what is kept out; or the run whose corpus this one takes."""

    existing: Annotated[str, StringConstraints(pattern=r"^[\w-]{1,60}$")] | None = None
    """Name of a run: its corpus is taken as it is, so that several runs need not repeat sources."""
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")] = "und"
    """ISO 639 code of documents that do not carry their own."""
    sources: tuple[Source, ...] = ()
    """Read in this order: of two equal texts, or of two texts with one id, the first is kept."""
    heldout: tuple[Path, ...] = ()
    """Folders of .txt files that are measured on: an equal document is never trained on."""
    medical_filter: MedicalFilter | None = None
    """Leave it out to keep documents of every subject."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = self.model_fields_set - {"existing"}
        if self.existing is not None and given:
            raise ValueError(f"existing and {min(given)} are both set - unset one of them")
        if self.existing is None:
            for name in ("language", "sources"):
                if not (name in given and getattr(self, name)):
                    raise ValueError(f"{name} is missing - set it, or existing")
        names = [source.name for source in self.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two sources are named {twice[0]!r} - give each its own name")
        if self.medical_filter is not None and self.language != "de":
            raise ValueError(
                f"the medical filter's stems are German, not {self.language!r} - leave the section "
                "medical_filter out"
            )
        return self
