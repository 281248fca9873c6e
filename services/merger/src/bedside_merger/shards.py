"""Safetensors files that are written one tensor at a time.

The format's own library wants all tensors of a file at once. Names, shapes and type are known
before a merge begins, so every place in the files is, too: no tensor waits in memory for another.
The bytes are those that the library writes (https://github.com/huggingface/safetensors, "Format").
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from bedside_core.errors import InputError
from bedside_core.kinds.model import INDEX, WEIGHTS
from bedside_models.scores import Dtype

MAX_SHARD_BYTES = 4 << 30
"""Of one weight file."""
ALIGNMENT = 8
"""Bytes to which a header is filled up with blanks."""
CODES: Mapping[Dtype, str] = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}


class Place(NamedTuple):
    """Where a tensor is written."""

    file: int
    """Its descriptor."""
    offset: int
    shape: tuple[int, ...]


class ShardWriter:
    """The weight files of a model that is being written."""

    def __init__(self, places: dict[str, Place], dtype: Dtype) -> None:
        """Take over places that no tensor was written to."""
        self.waiting = places
        self.dtype = getattr(torch, dtype)

    def write(self, name: str, tensor: torch.Tensor) -> None:
        """Write a tensor to its place.

        Raises:
            InputError: the model has no such tensor, has it in another shape, or it was written.
            OSError: the disk is full.
        """
        place = self.waiting.pop(name, None)
        if place is None or place.shape != tuple(tensor.shape):
            raise _other_tensors([name])
        # A type that numpy does not know is written as its bytes.
        flat = tensor.to(self.dtype).flatten().contiguous().view(torch.uint8)
        _write(place.file, flat.numpy().data, place.offset)


@contextmanager
def open_shards(
    target: Path,
    shapes: Mapping[str, Sequence[int]],
    dtype: Dtype,
    max_bytes: int = MAX_SHARD_BYTES,
) -> Iterator[ShardWriter]:
    """Write the weight files, and their index if there are several, of a model directory.

    Args:
        target: existing directory.
        shapes: of every tensor, by name.
        dtype: of all of them.
        max_bytes: after which a new file begins.

    Raises:
        InputError: at the end, a tensor was not written.
        OSError: the disk is full.
    """
    itemsize = getattr(torch, dtype).itemsize
    sizes = {name: torch.Size(shapes[name]).numel() * itemsize for name in sorted(shapes)}
    files = _files(sizes, max_bytes)
    places: dict[str, Place] = {}
    with ExitStack() as stack:
        for number, names in enumerate(files, start=1):
            path = target / _file_name(number, len(files))
            file = stack.enter_context(path.open("wb"))
            header, offsets = _header({n: shapes[n] for n in names}, sizes, CODES[dtype])
            file.write(header)
            file.flush()
            os.ftruncate(file.fileno(), len(header) + sum(sizes[n] for n in names))
            for name in names:
                offset = len(header) + offsets[name]
                places[name] = Place(file.fileno(), offset, tuple(shapes[name]))
        writer = ShardWriter(places, dtype)
        yield writer
    if writer.waiting:
        raise _other_tensors(sorted(writer.waiting))
    if len(files) > 1:
        _write_index(files, sum(sizes.values()), target / INDEX)


def _files(sizes: Mapping[str, int], max_bytes: int) -> list[list[str]]:
    files: list[list[str]] = [[]]
    used = 0
    for name, size in sizes.items():
        if files[-1] and used + size > max_bytes:
            files.append([])
            used = 0
        files[-1].append(name)
        used += size
    return files


def _file_name(number: int, count: int) -> str:
    return f"model-{number:05}-of-{count:05}.safetensors" if count > 1 else WEIGHTS


def _header(
    shapes: Mapping[str, Sequence[int]], sizes: Mapping[str, int], code: str
) -> tuple[bytes, dict[str, int]]:
    """Length and JSON, and where in the data each tensor begins."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offsets: dict[str, int] = {}
    end = 0
    for name, shape in shapes.items():
        offsets[name], end = end, end + sizes[name]
        span = [offsets[name], end]
        entries[name] = {"dtype": code, "shape": list(shape), "data_offsets": span}
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text, offsets


def _write(file: int, content: memoryview, offset: int) -> None:
    while content:
        written = os.pwrite(file, content, offset)
        content, offset = content[written:], offset + written


def _write_index(files: list[list[str]], size: int, path: Path) -> None:
    places = {
        name: _file_name(number, len(files))
        for number, names in enumerate(files, start=1)
        for name in names
    }
    index = {"metadata": {"total_size": size}, "weight_map": places}
    path.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _other_tensors(names: Sequence[str]) -> InputError:
    return InputError(
        f"the merge and the base do not have the same tensors ({names[0]} and {len(names) - 1} "
        "more) - is the architecture one that mergekit supports?"
    )
