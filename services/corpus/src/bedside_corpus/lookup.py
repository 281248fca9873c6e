"""Finds what was decided on a record, without reading a text or a row group that cannot have it.

By id or by place. An id that is not made of its place (a pseudonym) is looked for in every row
group; docs/corpus.md says how long that takes.

Tested in tests/corpus/test_why.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bedside_core.artifacts import Artifact
from bedside_core.errors import InputError
from bedside_core.kinds.corpus import decisions, decisions_name
from bedside_corpus.decisions import split_place

SHOWN = 10
"""Documents that are listed where one was asked for."""
COMPARED = 100_000
"""Ids of a file that are looked at for one that is alike."""
_NAMES = ["file", "line", "id"]
_LAST = "\U0010ffff"


class Decided(NamedTuple):
    """A row of the decisions."""

    shard: int
    """The number of its file, which is that of the file of documents."""
    file: str
    line: int | None
    id: str | None
    source: str
    step: str | None
    reason: str | None
    by: str | None
    changes: Mapping[str, int]
    row: int | None

    @property
    def place(self) -> str:
        """`source/file:line`."""
        return self.file if self.line is None else f"{self.file}:{self.line}"

    @property
    def name(self) -> str:
        """Its id."""
        return self.id or self.place


class Lookup:
    """Looks records up in the decisions of a corpus."""

    def __init__(self, corpus: Artifact) -> None:
        """`corpus`: with decisions.

        Raises:
            InputError: it has none.
        """
        self.corpus = corpus
        self.files = decisions(corpus)
        if not self.files:
            raise InputError(
                f"corpus {corpus.digest[:12]} holds no decisions (made by "
                f"{corpus.manifest.recipe.verb}, {corpus.manifest.recipe.version}) - build it again"
            )

    def find(self, name: str) -> Decided | None:
        """The record of this id or place, if there is one.

        Raises:
            ArtifactError: the file that has it was changed.
        """
        found = next(self._named(name), None)
        if found is not None:
            self.corpus.verify(decisions_name(found.shard))
        return found

    def beginning(self, prefix: str) -> list[Decided]:
        """The first records whose place or id begins so; one more than `SHOWN` if there are."""

        def fits(names: pa.Table) -> pa.ChunkedArray:
            by_id = pc.fill_null(pc.starts_with(names["id"], prefix), fill_value=False)
            return pc.or_(by_id, pc.starts_with(names["file"], prefix))

        groups = self._groups(prefix.partition("#")[0])
        rows = (row for group in groups for row in group.rows(fits))
        return list(islice(rows, SHOWN + 1))

    def near(self, name: str) -> list[str]:
        """Ids and places that are most like one that is not there."""
        file, line = split_place(name)
        label, has_id, _ = name.partition("#")
        files = self.source_files()
        if has_id and label in files:
            return get_close_matches(name, islice(self._ids(label), COMPARED), SHOWN, 0.6)
        if line is not None and file in files:
            last = max((row.line or 0 for row in self._ends(file)), default=0)
            return [f"{file}:1 to {file}:{last}"]
        return get_close_matches(file, files, SHOWN, 0.6) or files[:SHOWN]

    def source_files(self) -> list[str]:
        """What the corpus was made from, as places name it."""
        inputs = self.corpus.manifest.recipe.inputs
        return sorted(n.removeprefix("source/") for n in inputs if n.startswith("source/"))

    def _named(self, name: str) -> Iterator[Decided]:
        file, line = split_place(name)
        same_line = pc.is_null if line is None else (lambda lines: pc.equal(lines, line))

        def is_place(names: pa.Table) -> pa.ChunkedArray:
            return pc.and_(
                pc.equal(names["file"], file),
                pc.fill_null(same_line(names["line"]), fill_value=False),
            )

        def is_id(names: pa.Table) -> pa.ChunkedArray:
            return pc.fill_null(pc.equal(names["id"], name), fill_value=False)

        for group in self._groups(file, line):
            yield from group.rows(is_place)
        label = name.partition("#")[0]
        for group in self._groups(label):
            yield from group.rows(is_id)
        if re.fullmatch("[0-9a-f]{16}", name):
            for group in self._groups(""):
                yield from group.rows(is_id)

    def _ids(self, file: str) -> Iterator[str]:
        for group in self._groups(file):
            for row in group.rows(lambda names: pc.equal(names["file"], file)):
                yield row.name

    def _ends(self, file: str) -> Iterator[Decided]:
        """Of each group that has records of the file, the one with the greatest line."""
        for group in self._groups(file):
            names = group.names()
            lines = names.filter(pc.equal(names["file"], file))["line"]
            last = pc.max(lines).as_py()
            if last is not None:
                yield Decided(0, file, last, None, "", None, None, None, {}, None)

    def _groups(self, prefix: str, line: int | None = None) -> Iterator[_Group]:
        """Those that may hold files that begin so, and the line."""
        for shard in self.files:
            with pq.ParquetFile(shard.path) as file:
                for number in range(file.num_row_groups):
                    group = _Group(file, number, int(shard.path.stem))
                    if group.may_hold(prefix, line):
                        yield group


class _Group:
    """A row group of a file of decisions."""

    def __init__(self, file: pq.ParquetFile, number: int, shard: int) -> None:
        self.file, self.number, self.shard = file, number, shard

    def may_hold(self, prefix: str, line: int | None) -> bool:
        files, lines = (self._range(name) for name in ("file", "line"))
        if files is not None and (files[1] < prefix or files[0] > prefix + _LAST):
            return False
        return line is None or lines is None or lines[0] <= line <= lines[1]

    def names(self) -> pa.Table:
        """File, line and id of each row."""
        return self.file.read_row_group(self.number, _NAMES)

    def rows(self, fits: Any) -> Iterator[Decided]:
        """The rows for which `fits`, of the names, is true."""
        chosen = pc.indices_nonzero(fits(self.names()))
        if len(chosen):
            for row in self.file.read_row_group(self.number).take(chosen).to_pylist():
                yield Decided(self.shard, **{**row, "changes": dict(row["changes"] or ())})

    def _range(self, name: str) -> tuple[Any, Any] | None:
        index = self.file.schema_arrow.get_field_index(name)
        found = self.file.metadata.row_group(self.number).column(index).statistics
        return (found.min, found.max) if found is not None and found.has_min_max else None
