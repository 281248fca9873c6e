"""What a reader yields.

Tested in tests/corpus/intake/test_jsonl.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from bedside_core.errors import InputError

MAX_DOCUMENT_BYTES = 32 * 2**20
"""A longer line, cell or file is `too_large`: 32 MiB are seven Bibles, and no clinical text."""


@dataclass(frozen=True, slots=True)
class RawRecord:
    """What one line, row, entry or file holds: the fields of a document, or why there are none."""

    line: int | None
    """Line, row or entry, from 1; None where the file is the document."""
    size: int
    """Bytes of the file that were read for it, for the progress bar."""
    fields: Mapping[str, Any] | None
    """`text`, `id`, `licence`, `language`, `patient`, `document`, as far as there are any; see
    `fields.py`."""
    damage: str | None = None
    """Why there are no fields: a reason of docs/corpus.md."""
    notes: tuple[str, ...] = ()
    """What is counted although the document stays, for example `encoding cp1252`."""


class Parsed(NamedTuple):
    """A document that is a whole file."""

    text: str
    language: str | None = None
    notes: tuple[str, ...] = ()
    patient: str | None = None
    """The number as the file has it."""


class DamagedFileError(InputError):
    """A file of many documents is cut off or damaged, so how many are missing is not known."""


class UnreadableError(Exception):
    """There is no document here; `str()` is the reason that is counted."""
