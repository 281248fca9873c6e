"""Tensor files: written in one pass with their hash, read by the slice.

The format is safetensors, and any reader of it reads these files. They are written here because
safetensors' own writer would copy every tensor, hold Python's lock against the training thread
meanwhile, and leave the hash to a second pass over the file.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from safetensors import safe_open

from bedside_core.files import PIECE_BYTES, sync
from bedside_trainer.state.pieces import Piece
from bedside_trainer.state.record import Shard, Slice

DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
"""As safetensors spells them."""


def bytes_of(pieces: Iterable[Piece]) -> int:
    """Bytes that the pieces take in files."""
    return sum(math.prod(piece.slice.size) * piece.dtype.itemsize for piece in pieces)


def write_shard(path: Path, pieces: Iterable[Piece]) -> Shard:
    """Write pieces into a file, moved to the CPU one by one, and wait until it is on disk."""
    # Wide types first, so that every tensor is aligned.
    order = sorted(pieces, key=lambda piece: -piece.dtype.itemsize)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for block in _blocks(order):
            file.write(block)
            digest.update(block)
    sync(path)
    return Shard(sha256=digest.hexdigest(), tensors={p.name: p.slice for p in order})


def _blocks(pieces: Iterable[Piece]) -> Iterator[bytes | memoryview]:
    header: dict[str, Any] = {}
    end = 0
    for piece in pieces:
        start, end = end, end + bytes_of([piece])
        header[piece.name] = {
            "dtype": DTYPES[piece.dtype],
            "shape": piece.slice.size,
            "data_offsets": (start, end),
        }
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    yield len(raw).to_bytes(8, "little") + raw
    for piece in pieces:
        values = piece.values().cpu().contiguous().reshape(-1).view(torch.uint8)
        view = values.numpy().data
        for start in range(0, len(view), PIECE_BYTES):
            yield view[start : start + PIECE_BYTES]


class Reader:
    """Slices of whole tensors, put together from the files of however many processes."""

    def __init__(self, directory: Path, shards: Mapping[str, Shard]) -> None:
        self._directory = directory
        self._places: dict[str, list[tuple[str, Slice]]] = {}
        for file, shard in shards.items():
            for name, place in shard.tensors.items():
                self._places.setdefault(name, []).append((file, place))
        self._files: dict[str, Any] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def fill(self, pieces: Sequence[Piece]) -> None:
        """Put the stored numbers into the pieces' own memory.

        Raises:
            ValueError: the files hold other tensors, or not all of these slices.
        """
        strange = self._places.keys() ^ {piece.name for piece in pieces}
        if strange:
            raise ValueError(f"{len(strange)} tensors only in one of both, as {min(strange)}")
        with torch.no_grad():
            for piece in pieces:
                piece.local.copy_(self.read(piece.name, piece.slice))

    def read(self, name: str, wanted: Slice) -> torch.Tensor:
        """One slice of a tensor, on the CPU.

        Raises:
            ValueError: the files do not hold all of it.
        """
        result: torch.Tensor | None = None
        missing = math.prod(wanted.size)
        for file, place in self._places.get(name, ()):
            if place.shape != wanted.shape:
                raise ValueError(f"{name} has the shape {place.shape}, not {wanted.shape}")
            common = _common(place, wanted)
            if common is None:
                continue
            part: torch.Tensor = self._stored(file, name, common, place)
            if common == wanted:
                return part
            if result is None:
                result = torch.empty(wanted.size, dtype=part.dtype)
            result[_within(common, wanted)] = part
            missing -= part.numel()
        if missing:
            raise ValueError(f"{missing} numbers of {name} are missing")
        return torch.empty(wanted.size) if result is None else result

    def _stored(self, file: str, name: str, wanted: Slice, place: Slice) -> torch.Tensor:
        if file not in self._files:
            opened = safe_open(self._directory / file, framework="pt")
            self._files[file] = self._stack.enter_context(opened)
        stored: torch.Tensor = (
            self._files[file].get_tensor(name)
            if wanted == place
            else self._files[file].get_slice(name)[_within(wanted, place)]
        )
        return stored


def _common(one: Slice, other: Slice) -> Slice | None:
    """Where two slices of a tensor overlap."""
    start = tuple(map(max, one.start, other.start))
    ends = (
        min(a + m, b + n)
        for a, m, b, n in zip(one.start, one.size, other.start, other.size, strict=True)
    )
    size = tuple(end - begin for begin, end in zip(start, ends, strict=True))
    return None if any(n <= 0 for n in size) else Slice(shape=one.shape, start=start, size=size)


def _within(part: Slice, whole: Slice) -> tuple[slice, ...]:
    """The indices of `part` in a tensor that holds `whole`."""
    begins = [a - b for a, b in zip(part.start, whole.start, strict=True)]
    return tuple(slice(begin, begin + n) for begin, n in zip(begins, part.size, strict=True))
