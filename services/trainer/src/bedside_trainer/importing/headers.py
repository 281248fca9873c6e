"""What the headers of safetensors files say, without torch.

Tested in tests/trainer/importing/test_shapes.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from bedside_core.errors import InputError
from bedside_core.kinds.model import MAX_HEADER_BYTES


class Header(NamedTuple):
    """A tensor that a file holds."""

    dtype: str
    """As safetensors spells it: `F32`, `BF16`, `F16`..."""
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


NARROW, WIDE = 2, 4
"""Bytes of a parameter in bfloat16, and in float32."""


def width(headers: Mapping[str, Header]) -> int:
    """Bytes of a parameter while a model is imported: narrow if it came in bfloat16, else wide."""
    return NARROW if {header.dtype for header in headers.values()} == {"BF16"} else WIDE


def read_headers(files: Iterable[Path]) -> dict[str, Header]:
    """Every tensor of these files, by name.

    Raises:
        InputError: a file is not safetensors, or shorter than its header says (a torn download);
            or two files hold the same tensor.
    """
    found: dict[str, Header] = {}
    for path in files:
        for name, header in _read(path).items():
            if name in found:
                raise InputError(f"{path}: tensor {name} is in another file, too - download again")
            found[name] = header
    return found


def _read(path: Path) -> dict[str, Header]:
    try:
        with path.open("rb") as file:
            # Eight bytes of length (little endian), then as much JSON, then the tensors.
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(size, MAX_HEADER_BYTES)))
        header.pop("__metadata__", None)
        tensors = {
            name: Header(str(entry["dtype"]), tuple(map(int, entry["shape"])))
            for name, entry in header.items()
        }
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        whole = path.stat().st_size >= 8 + size + end
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise InputError(f"{path}: not a complete safetensors file - download or convert it again")
    return tensors
