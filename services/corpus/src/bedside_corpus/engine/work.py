"""What all stages of a build need, as a file in its room: how a task on another machine finds it.

It is JSON and never a pickle, so a task loads data and no code.

Tested in tests/corpus/clusters/test_slurm.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from bedside_core.files import write_atomic
from bedside_core.registry.withdrawals import Withdrawal
from bedside_corpus.classifier.applying import Applied
from bedside_corpus.config import CorpusConfig, Source
from bedside_corpus.engine.shards import Shard
from bedside_corpus.sources import Part, SourceFile

FILE = "work.json"
CLASSIFIERS = TypeAdapter(tuple[Applied, ...])
WITHDRAWN = TypeAdapter(tuple[Withdrawal, ...])


@dataclass(frozen=True, slots=True)
class Work:
    """A build: its settings, what is to be read, and where it works."""

    config: CorpusConfig
    shards: tuple[Shard, ...]
    room: Path
    """A directory that nobody else uses, kept until the corpus is written."""
    key: Path | None = None
    """Of the house's identifiers, where a source is personal or something was withdrawn."""
    classifiers: tuple[Applied, ...] = ()
    """In the order of their columns."""
    withdrawn: tuple[Withdrawal, ...] = ()
    """Documents and patients that stay out."""

    def folder(self, stage: str) -> Path:
        """Where a stage leaves what it makes."""
        return self.room / stage

    def save(self) -> None:
        """Write the file, readable by its owner alone."""
        value = {
            "config": self.config.model_dump(mode="json", exclude_unset=True),
            "shards": [
                [[file.source.name, str(file.path), file.name, file.part] for file in shard.files]
                for shard in self.shards
            ],
            "sizes": [shard.size for shard in self.shards],
            "key": None if self.key is None else str(self.key),
            "classifiers": CLASSIFIERS.dump_python(self.classifiers, mode="json"),
            "withdrawn": WITHDRAWN.dump_python(self.withdrawn, mode="json"),
        }
        write_atomic(self.room / FILE, json.dumps(value).encode("ascii"), mode=0o600)

    @classmethod
    def load(cls, room: Path) -> Work:
        """Read it back.

        Raises:
            FileNotFoundError: there is no such build.
        """
        value = json.loads((room / FILE).read_bytes())
        config = CorpusConfig.model_validate(value["config"])
        sources = {source.name: source for source in config.sources}
        shards = tuple(
            Shard(tuple(_file(sources, *one) for one in files), size)
            for files, size in zip(value["shards"], value["sizes"], strict=True)
        )
        key = None if value["key"] is None else Path(value["key"])
        classifiers = CLASSIFIERS.validate_python(value["classifiers"])
        withdrawn = WITHDRAWN.validate_python(value["withdrawn"])
        return cls(config, shards, room, key, classifiers, withdrawn)


def _file(
    sources: Mapping[str, Source], source: str, path: str, name: str, part: list[int] | None
) -> SourceFile:
    return SourceFile(sources[source], Path(path), name, None if part is None else Part(*part))
