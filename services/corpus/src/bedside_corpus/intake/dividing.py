"""Where a large file may be cut, so that its parts give the records of the whole."""

from __future__ import annotations

from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

from bedside_core.errors import InputError
from bedside_corpus.intake.jsonl import has_lines
from bedside_corpus.intake.sandbox import row_groups
from bedside_corpus.intake.stream import is_seekable
from bedside_corpus.sources import Part, SourceFile

BLOCK = 1 << 20
"""Bytes that are looked through at once."""


class Share(NamedTuple):
    """A part, and about how many bytes it has."""

    part: Part
    size: int


def parts_of(file: SourceFile, total: int, size: int) -> list[Share]:
    """The parts of a file, in order; none where it can only be read as a whole.

    A file of lines is read once to count them: places name the line, and a place must not depend
    on how the work is divided.

    Args:
        file: as a whole.
        total: its bytes.
        size: about how many bytes a part may have.

    Raises:
        InputError: the file cannot be read.
    """
    if file.source.join_parts:  # whose parts of a document might be parted
        return []
    try:
        if file.source.format == "parquet":
            return _by_groups(row_groups(file), total, size)
        named = file.source.format in ("jsonl", "lines")
        if named and is_seekable(file.path, file.source.encoding) and has_lines(file):
            return _by_lines(file.path, size)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{file.path}: cannot be read ({reason})") from None
    return []


def _by_lines(path: Path, size: int) -> list[Share]:
    """Cut behind the line that reaches `size` bytes, and so on."""
    shares: list[Share] = []
    start = lines = 0  # of the part
    counted = position = 0
    with path.open("rb") as content:
        while block := content.read(BLOCK):
            at = 0
            while (end := block.find(b"\n", max(at, start + size - position - 1))) >= 0:
                counted += block.count(b"\n", at, end + 1)
                at = end + 1
                shares.append(Share(Part(start, position + at, lines), position + at - start))
                start, lines = position + at, counted
            counted += block.count(b"\n", at)
            position += len(block)
    if start < position:
        shares.append(Share(Part(start, position, lines), position - start))
    return shares


def _by_groups(rows: list[int], total: int, size: int) -> list[Share]:
    """Row groups together until they have `size` bytes, by their share of the rows.

    What the file says of the groups' bytes is not needed, so it need not be believed.
    """
    if len(rows) < 2:
        return []
    before = list(accumulate(rows, initial=0))
    share = total / max(1, before[-1])
    cuts = [0]
    for number in range(1, len(rows)):
        if (before[number + 1] - before[cuts[-1]]) * share > size:
            cuts.append(number)
    return [
        Share(Part(start, end, before[start]), round((before[end] - before[start]) * share))
        for start, end in pairwise([*cuts, len(rows)])
    ]
