"""Short ways to write a source of one file and to read it. All texts are our own inventions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedside_corpus.config import Source
from bedside_corpus.intake.read import read
from bedside_corpus.intake.record import RawRecord
from bedside_corpus.sources import SourceFile

ReadBytes = Callable[..., list[RawRecord]]


@pytest.fixture
def read_bytes(tmp_path: Path) -> ReadBytes:
    """Write a file of this name and read it as a source of this format and settings."""

    def run(name: str, data: bytes, kind: str, **settings: Any) -> list[RawRecord]:
        path = tmp_path / name
        path.write_bytes(data)
        source = Source(name="s", path=path, format=kind, personal_data="none", **settings)
        return list(read(SourceFile(source, path, name)))

    return run
