"""Token ids of all documents, written once and read in place.

    WORK/tokens-<what they are made from>/
      tokens.bin    ids of all documents, end to end
      ends.bin      where each document ends, in tokens
      names.bin     a keyed hash of each document's id
      sources.bin   number of each document's source
      store.json    what the tokens are made from, and the complete parts with their hashes

A part is written through to the disk before `store.json` names it; after a kill the files are cut
back to the last part, and writing goes on behind it. Memory is needed for one row group of the
corpus, whatever its size.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from bedside_core.artifacts import showing
from bedside_core.config import sha256_of
from bedside_core.console import say
from bedside_core.files import PIECE_BYTES, disk_errors, write_atomic
from bedside_core.progress import Progress
from bedside_trainer.data.room import alone_in
from bedside_trainer.data.texts import Texts
from bedside_trainer.data.tokens import Dtype, Tokeniser, Tokens

FORMAT = 1
RECORD = "store.json"
PART_BYTES = 64 << 20
"""Tokens that a kill costs at most, but for the end of a row group."""
DOCUMENT_DTYPES: dict[str, np.dtype[Any]] = {
    "ends": np.dtype("<i8"),
    "names": np.dtype("<u8"),
    "sources": np.dtype("<u2"),
}


class Part(BaseModel):
    """Row groups that were tokenised and written through to the disk."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    groups: int
    documents: int
    tokens: int
    sha256: dict[str, str]
    """Of what the part added to each file."""


class StoreRecord(BaseModel):
    """`store.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    made_from: dict[str, Any]
    dtype: Dtype
    sources: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    spelling: int = 0
    """Documents with strings that spell control tokens."""
    unknown: int = 0
    """Tokens that stand for what the tokenizer does not know."""
    complete: bool = False

    def total(self, what: Literal["groups", "documents", "tokens"]) -> int:
        return sum(getattr(part, what) for part in self.parts)

    def dtypes(self) -> dict[str, np.dtype[Any]]:
        """Of each file, by its name without suffix."""
        return DOCUMENT_DTYPES | {"tokens": np.dtype(self.dtype).newbyteorder("<")}


class Store:
    """Complete token ids of documents."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = StoreRecord.model_validate_json((path / RECORD).read_bytes())
        files = {
            name: np.memmap(path / f"{name}.bin", dtype, mode="r")
            for name, dtype in self.record.dtypes().items()
        }
        self.tokens: NDArray[Any] = files["tokens"]
        self.ends: NDArray[np.int64] = files["ends"]
        self.names: NDArray[np.uint64] = files["names"]
        """Of documents, as `name_of` makes them."""
        self.sources: NDArray[np.uint16] = files["sources"]
        """Of documents: indices into the record's `sources`."""

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def origin(self) -> str:
        """SHA-256 (hex) of the texts."""
        return str(self.record.made_from["texts"])

    def lengths(self) -> NDArray[np.int64]:
        """Tokens of every document."""
        lengths: NDArray[np.int64] = np.diff(self.ends, prepend=0)
        return lengths

    def read(self, document: int, start: int, end: int) -> NDArray[Any]:
        """Some tokens of a document."""
        first = int(self.ends[document - 1]) if document else 0
        return self.tokens[first + start : first + end]


class Documents:
    """The documents of several stores, numbered through."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self.stores = tuple(stores)
        self.firsts = np.cumsum([0, *map(len, self.stores)])
        """Number of each store's first document, and of all documents."""

    def __len__(self) -> int:
        return int(self.firsts[-1])

    def read(self, document: int, start: int, end: int) -> NDArray[Any]:
        """Some tokens of a document."""
        store = int(np.searchsorted(self.firsts, document, side="right")) - 1
        return self.stores[store].read(document - int(self.firsts[store]), start, end)

    def lengths(self) -> NDArray[np.int64]:
        """Tokens of every document."""
        return np.concatenate([store.lengths() for store in self.stores])

    def names(self) -> NDArray[np.uint64]:
        """Keyed hashes of the ids of every document."""
        return np.concatenate([store.names for store in self.stores])


def name_of(identifier: str, origin: str) -> int:
    """A document's id as 64 bits, which say nothing without the id at hand.

    Args:
        identifier: the document's.
        origin: SHA-256 (hex) of the texts; the key, so that equal ids of other texts differ.
    """
    key = bytes.fromhex(origin)
    digest = hashlib.blake2b(identifier.encode(), digest_size=8, key=key).digest()
    return int.from_bytes(digest, "little")


def tokenised(room: Path, texts: Texts, tokeniser: Tokeniser, *, check: bool = True) -> Store:
    """The store of these texts, made if it is not there.

    Args:
        room: where stores lie.
        texts: the documents.
        tokeniser: makes their token ids.
        check: whether the hashes of one that is there are compared.

    Raises:
        InputError: the texts cannot be tokenised for the model.
        ArtifactError: the disk is full.
    """
    made_from = {"format": FORMAT, "texts": texts.sha256, **tokeniser.identity}
    path = room / f"tokens-{sha256_of(made_from)[:16]}"
    with alone_in(path), disk_errors("the tokens of the corpus"):
        record = _read(path, made_from, tokeniser.dtype)
        if record.complete and check and not _intact(path, record):
            say(f"{path.name} was changed after it was written, made again")
            record = StoreRecord(made_from=made_from, dtype=tokeniser.dtype)
        if not record.complete:
            _write(path, record, texts, tokeniser)
    return Store(path)


def _read(path: Path, made_from: dict[str, Any], dtype: Dtype) -> StoreRecord:
    """What is there of a store: all, the first parts, or nothing."""
    try:
        record = StoreRecord.model_validate_json((path / RECORD).read_bytes())
    except (OSError, ValidationError):
        record = None
    if record is None or record.made_from != made_from or not _long_enough(path, record):
        return StoreRecord(made_from=made_from, dtype=dtype)
    return record


def _sizes(part: Part) -> dict[str, int]:
    """Items that a part added to each file."""
    return {"tokens": part.tokens, **dict.fromkeys(DOCUMENT_DTYPES, part.documents)}


def _bytes(record: StoreRecord) -> dict[str, int]:
    """What all parts hold, by file."""
    return {
        name: dtype.itemsize * sum(_sizes(part)[name] for part in record.parts)
        for name, dtype in record.dtypes().items()
    }


def _long_enough(path: Path, record: StoreRecord) -> bool:
    files = {name: path / f"{name}.bin" for name in record.dtypes()}
    expected = _bytes(record)
    return all(f.is_file() and f.stat().st_size >= expected[n] for n, f in files.items())


def _intact(path: Path, record: StoreRecord) -> bool:
    """Whether every part of every file has its hash."""
    with showing("check tokens", sum(_bytes(record).values())) as read_so_far:
        for name, dtype in record.dtypes().items():
            with (path / f"{name}.bin").open("rb") as file:
                for part in record.parts:
                    digest, left = hashlib.sha256(), dtype.itemsize * _sizes(part)[name]
                    while left and (read := file.read(min(left, PIECE_BYTES))):
                        digest.update(read)
                        left -= len(read)
                        read_so_far(len(read))
                    if digest.hexdigest() != part.sha256[name]:
                        return False
    return True


def _write(path: Path, record: StoreRecord, texts: Texts, tokeniser: Tokeniser) -> None:
    done = record.total("documents")
    if done:
        say(f"{done} documents are tokenised already")
    with (
        Progress("tokenise", total=texts.documents, unit="doc", done=done) as progress,
        _Writer(path, record) as writer,
    ):
        for group in range(record.total("groups"), texts.groups):
            for batch in texts.group(group):
                tokens = tokeniser(batch.texts)
                names = [name_of(identifier, texts.sha256) for identifier in batch.ids]
                writer.add(tokens, names, batch.sources)
                progress.update(len(batch.ids))
            writer.end_group(last=group + 1 == texts.groups)


class _Writer:
    """Appends documents to the files of a store, part by part."""

    def __init__(self, path: Path, record: StoreRecord) -> None:
        self.path, self.record = path, record
        self.dtypes = record.dtypes()
        self.sources = {name: number for number, name in enumerate(record.sources)}
        self.end = record.total("tokens")
        self._stack = ExitStack()
        self._begin()

    def __enter__(self) -> _Writer:
        kept = _bytes(self.record)
        self.files: dict[str, BinaryIO] = {}
        for name in self.dtypes:
            file = self._stack.enter_context((self.path / f"{name}.bin").open("ab"))
            file.truncate(kept[name])
            self.files[name] = file
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _begin(self) -> None:
        self.groups = self.documents = self.tokens = self.spelling = self.unknown = 0
        self.digests = {name: hashlib.sha256() for name in self.dtypes}

    def add(self, batch: Tokens, names: list[int], sources: list[str]) -> None:
        """Append documents."""
        for source in sources:
            self.sources.setdefault(source, len(self.sources))
        lengths = [len(ids) for ids in batch.ids]
        columns = {
            "tokens": np.concatenate(batch.ids),
            "ends": self.end + np.cumsum(lengths),
            "names": np.array(names, np.uint64),
            "sources": np.array([self.sources[source] for source in sources]),
        }
        for name, values in columns.items():
            raw = values.astype(self.dtypes[name]).tobytes()
            self.files[name].write(raw)
            self.digests[name].update(raw)
        self.documents += len(lengths)
        self.tokens += sum(lengths)
        self.end += sum(lengths)
        self.spelling += batch.spelling
        self.unknown += batch.unknown

    def end_group(self, *, last: bool) -> None:
        """Make a part of what was added since the last one, if it is large enough."""
        self.groups += 1
        if self.tokens * self.dtypes["tokens"].itemsize < PART_BYTES and not last:
            return
        for file in self.files.values():
            file.flush()
            os.fsync(file.fileno())
        part = Part(
            groups=self.groups,
            documents=self.documents,
            tokens=self.tokens,
            sha256={name: digest.hexdigest() for name, digest in self.digests.items()},
        )
        self.record = StoreRecord(
            made_from=self.record.made_from,
            dtype=self.record.dtype,
            sources=tuple(self.sources),
            parts=(*self.record.parts, part),
            spelling=self.record.spelling + self.spelling,
            unknown=self.record.unknown + self.unknown,
            complete=last,
        )
        write_atomic(self.path / RECORD, self.record.model_dump_json().encode())
        self._begin()
