"""The tensors of a model directory, read one at a time.

Tested in tests/models/test_load.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from bedside_core.errors import InputError


@dataclass(frozen=True, slots=True)
class Weights:
    """The tensors of a model directory, read one at a time."""

    files: dict[str, Any]
    """Open safetensors file by tensor name."""

    @property
    def names(self) -> list[str]:
        return sorted(self.files)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.files[name].get_slice(name).get_shape())

    def dtype(self, name: str) -> str:
        """The dtype as safetensors spells it: `F32`, `BF16`, `F16`..."""
        return str(self.files[name].get_slice(name).get_dtype())

    def get(self, name: str) -> torch.Tensor:
        tensor: torch.Tensor = self.files[name].get_tensor(name)
        return tensor


@contextmanager
def open_weights(directory: Path) -> Iterator[Weights]:
    """Open every safetensors file of a model directory.

    Raises:
        InputError: there is none, one cannot be read, or two hold the same tensor.
    """
    with ExitStack() as stack:
        files: dict[str, Any] = {}
        for path in sorted(directory.glob("*.safetensors")):
            try:
                file = stack.enter_context(safe_open(path, framework="pt"))
            except (OSError, SafetensorError):
                raise InputError(f"{path}: not a readable safetensors file") from None
            for name in file.keys():  # noqa: SIM118 - not a mapping
                if name in files:
                    raise InputError(f"{path}: tensor {name} is also in another file")
                files[name] = file
        if not files:
            raise InputError(f"{directory}: no .safetensors weights")
        yield Weights(files)
