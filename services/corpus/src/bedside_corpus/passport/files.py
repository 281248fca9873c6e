"""The files of the passport, as they lie in the artifact of a corpus.

    passport.html     for people
    passport.json     for machines
    funnel.svg        the picture
    croissant.json    for whoever reads data sets by MLCommons Croissant

Tested in tests/corpus/passport/test_passport.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow.parquet as pq

from bedside_core.artifacts import ArtifactWriter
from bedside_core.kinds.corpus import PASSPORT, PASSPORT_PAGE
from bedside_corpus.passport.croissant import croissant
from bedside_corpus.passport.page import page
from bedside_corpus.passport.pictures import funnel

FUNNEL, CROISSANT = "funnel.svg", "croissant.json"


def write_passport(artifact: ArtifactWriter, passport: Mapping[str, Any]) -> None:
    """Write all of them beside the files of the corpus, which are there."""
    title = f"Corpus {passport['content_sha256'][:12]}"
    pages = {
        PASSPORT: as_json(passport),
        PASSPORT_PAGE: page(passport, title).encode(),
        FUNNEL: funnel(passport["funnel"]).encode(),
    }
    for name, data in pages.items():
        (artifact.path / name).write_bytes(data)
    files = artifact.entries()
    first = next(one.path for one in files if one.path.startswith("data/"))
    described = croissant(passport, files, pq.read_schema(artifact.path / first))
    (artifact.path / CROISSANT).write_bytes(as_json(described))


def as_json(value: Mapping[str, Any]) -> bytes:
    """As it lies in a file that people may read, too."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
