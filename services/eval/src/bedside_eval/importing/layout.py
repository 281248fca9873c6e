"""What an importer knows of a published exam, and how it says that a line cannot be an item.

Tested in tests/eval/importing/test_layouts.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bedside_core.config import sha256_of
from bedside_core.matching import canonical
from bedside_eval.importing.tables import SUFFIXES, Row, read_rows

Fields = dict[str, Any]
"""Members of an exam item, without language, source and licence."""
Reader = Callable[[Path], Iterator[Row | None]]
WORKED = "_worked"
"""A field that is no member: how the answer is given in an example, with its way there."""
SPLITS = {
    "train": frozenset({"train"}),
    "dev": frozenset({"dev", "validation", "valid", "val"}),
    "test": frozenset({"test"}),
}
"""Words in a file's name, by split."""


class LeftOutError(Exception):
    """This line is no item; the message is a reason of ours, and quotes nothing."""


class Origin(NamedTuple):
    """Where a row comes from."""

    path: Path
    number: int
    """Of the row in its file, from 1."""
    language: str

    @property
    def name(self) -> str:
        """An id for a row that has none."""
        return f"{self.path.stem[:60]}-{self.number}"


class Layout(NamedTuple):
    """One published exam."""

    help: str
    """What it is, in a line."""
    item: Callable[[Row, Origin], Fields]
    """Raises `LeftOutError`."""
    licence: str
    """SPDX; empty where none was published."""
    obligations: str
    """What the licence or the publisher asks for."""
    languages: tuple[str, ...] = ("en",)
    """Those that it has files of; one that is not here is a translation in the same layout."""
    split: str = "test"
    """The one that is examined on; empty where there is only one."""
    examples: str = "dev"
    """The one that examples come from; empty where there is none to take them from."""
    splits: Mapping[str, frozenset[str]] = SPLITS
    split_of: Callable[[Row], str] | None = None
    """Of a row, where a file holds several."""
    by_specialty: bool = False
    """Whether an item's examples are of its own specialty."""
    read: Reader = read_rows
    suffixes: tuple[str, ...] = SUFFIXES
    expand: Callable[[Iterable[Row]], Iterator[Row]] | None = None
    """Makes rows of one question each from rows that hold several."""
    burnt: str = ""
    """Who trains on it, so that it tests no model made from theirs."""


def text(row: Row, name: str, *, needed: bool = True) -> str:
    """A column as text; numbers are written out.

    Raises:
        LeftOutError: it is missing or empty, and needed.
    """
    value = row.get(name)
    found = "" if value is None or value != value else str(value).strip()
    if needed and not found:
        raise LeftOutError(f"no {name}")
    return found


def letter(value: str, options: int) -> int:
    """The index that a letter names.

    Raises:
        LeftOutError: it names none of the options.
    """
    place = ord(value.strip().upper()) - ord("A") if len(value.strip()) == 1 else -1
    return index(place, options)


def index(place: object, options: int) -> int:
    """A number that is the index of an option.

    Raises:
        LeftOutError: it is none, as the -1 of a split whose key is not published.
    """
    if isinstance(place, str) and place.strip().isdecimal():
        place = int(place)
    if isinstance(place, float) and place.is_integer():
        place = int(place)
    if not isinstance(place, int) or isinstance(place, bool) or not 0 <= place < options:
        raise LeftOutError("no key that names an option")
    return place


def exactly(answer: str, options: list[str]) -> int:
    """The index of the one option that is this text, but for case, blanks and a full stop.

    Raises:
        LeftOutError: none is, or several are; a part of an option is not enough.
    """
    wanted = _plain(answer)
    places = [n for n, one in enumerate(options) if _plain(one) == wanted]
    if len(places) != 1:
        raise LeftOutError("a key that is none of the options, or several")
    return places[0]


def _plain(option: str) -> str:
    return " ".join(option.split()).rstrip(".").casefold()


def cluster(*texts: str) -> str:
    """A name for what items share that has none of its own: a digest of the text."""
    return f"of-{sha256_of([canonical(one) for one in texts])[:16]}"
