"""Texts for the private copy of a passport: some that were kept, and some for each reason.

Tested in tests/corpus/passport/test_copy.py.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import ValidationError

from bedside_core.artifacts import Artifact
from bedside_core.errors import BedsideError
from bedside_core.files import sha256_file
from bedside_core.kinds.corpus import SELECTED, TEXT, data_name, decisions, shards
from bedside_corpus.config import Source
from bedside_corpus.document import Dropped, make_document
from bedside_corpus.intake.fetching import copy_of
from bedside_corpus.intake.read import read
from bedside_corpus.lookup import Decided
from bedside_corpus.passport.page import paragraph, section
from bedside_corpus.reasons import reason
from bedside_corpus.sources import SourceFile, find_files

EACH = 3
"""Examples of a reason."""
GROUPS = 64
"""Row groups of the decisions among which examples are drawn: a million records."""
SHOWN_CHARACTERS = 1500


def examples(corpus: Artifact, seed: str, other: Artifact | None, work: Path) -> str:
    """The sections of the page; what is drawn follows from the seed alone.

    Args:
        corpus: with a passport.
        seed: of the draw.
        other: the corpus that it was selected from, if it was and that is still here.
        work: where the home keeps what was fetched.

    Raises:
        ArtifactError: a file that is read was changed.
    """
    drawn = _drawn(corpus, random.Random(seed))  # noqa: S311 - a draw, not a secret
    files = _source_files(corpus, work)
    parts = []
    for name in sorted(drawn, key=lambda one: (one != "", one)):
        title = f"Out: {name}" if name else "Kept"
        said = [paragraph(f"The record {reason(name).says}.", soft=True)] if name else []
        for decided in drawn[name]:
            text, why = _text(corpus, decided, files, other)
            label = f"{decided.name}{f' ({decided.by})' if decided.by else ''}"
            said.append(f"<p><code>{escape(label)}</code></p>")
            said.append(f"<pre>{escape(_cut(text))}</pre>" if text else paragraph(why, soft=True))
        parts.append(section(title, *said))
    return "\n".join(parts) + "\n"


def _drawn(corpus: Artifact, chance: random.Random) -> dict[str, list[Decided]]:
    """Some records of each reason, by reservoir; the reason of kept ones is empty."""
    groups = []
    for shard in decisions(corpus):
        corpus.verify(str(shard.path.relative_to(corpus.path)))
        rows = range(pq.read_metadata(shard.path).num_row_groups)
        groups += [(shard.path, number) for number in rows]
    drawn: dict[str, list[Decided]] = {}
    seen: dict[str, int] = {}
    for path, number in sorted(chance.sample(groups, min(GROUPS, len(groups)))):
        for decided in _rows(path, number):
            name = decided.reason or ""
            seen[name] = seen.get(name, 0) + 1
            of = drawn.setdefault(name, [])
            if len(of) < EACH:
                of.append(decided)
            elif (at := chance.randrange(seen[name])) < EACH:
                of[at] = decided
    return drawn


def _rows(path: Path, number: int) -> Iterator[Decided]:
    with pq.ParquetFile(path) as file:
        for row in file.read_row_group(number).to_pylist():
            yield Decided(int(path.stem), **{**row, "changes": dict(row["changes"] or ())})


def _source_files(corpus: Artifact, work: Path) -> dict[str, SourceFile]:
    """By the name in a place; those that are where they were."""
    found: dict[str, SourceFile] = {}
    for given in corpus.manifest.recipe.config.get("sources", ()):
        try:
            source = Source.model_validate(_as_written(given))
            root = copy_of(source, work) if source.url else None
            found |= {file.label: file for file in find_files(source, root)}
        except (ValidationError, BedsideError):
            continue
    return found


def _as_written(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a source without those at their defaults, which some formats may not have."""
    needed = {"name": "s", "path": "s", "format": "text", "personal_data": "none"}
    defaults = Source.model_validate(needed).model_dump(mode="json")
    return {n: value for n, value in given.items() if n in needed or value != defaults.get(n)}


def _text(
    corpus: Artifact, decided: Decided, files: dict[str, SourceFile], other: Artifact | None
) -> tuple[str | None, str]:
    """The text of a record; else why there is none to show."""
    if decided.row is not None:
        corpus.verify(data_name(decided.shard))
        table = pq.read_table(corpus.path / data_name(decided.shard), columns=[TEXT])
        return table.slice(decided.row, 1)[TEXT][0].as_py(), ""
    if SELECTED in corpus.manifest.facts:
        return _of_other(other, decided)
    file = files.get(decided.file)
    if file is None:
        return None, "its file is not where it was, so the text cannot be shown"
    if corpus.manifest.recipe.inputs.get(f"source/{file.label}") != sha256_file(file.path):
        return None, "its file was changed since, so the text cannot be shown"
    for record in read(file):
        if record.line == decided.line and record.fields is not None:
            language = file.source.language or "und"
            try:
                return make_document(record.fields, file, record.line, language).text, ""
            except Dropped:
                break
        if record.line == decided.line:
            break
    return None, "no text could be read there"


def _of_other(other: Artifact | None, decided: Decided) -> tuple[str | None, str]:
    """The text of a document that was not selected: it is where it was selected from."""
    if other is None:
        return None, "the corpus that it was not selected from is not here any more"
    path = shards(other)[decided.shard].path
    other.verify(str(path.relative_to(other.path)))
    found = pq.read_table(path, columns=[TEXT], filters=[("id", "=", decided.name)])[TEXT]
    return (found[0].as_py(), "") if len(found) else (None, "no text could be read there")


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]} [...]"
