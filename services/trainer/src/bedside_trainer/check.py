"""What `bedside check` looks at for the sections `base` and `trainer`; no torch is imported.

Tested in tests/core/test_preflight.py.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from bedside_core.errors import InputError
from bedside_core.inspection import Inspection
from bedside_core.kinds.heldout import check_set
from bedside_core.kinds.model import CONFIG, CONTEXT_FIELDS
from bedside_core.memory import TRAINED
from bedside_trainer import gguf_package, model_directory
from bedside_trainer.config import BaseConfig, TrainerConfig

BASE_BYTES_PER_PARAMETER = 2
"""The copy in bfloat16."""
CHECKPOINT_BYTES_PER_PARAMETER = 4
STATE_BYTES_PER_PARAMETER = 12
"""Weights and two moments in float32."""
MAX_HEADER_BYTES = 100 << 20


class _Model(NamedTuple):
    parameters: int
    context: int | None


def check_base(config: BaseConfig, inspection: Inspection) -> None:
    """Look at the model's files, and read from their headers how large it is."""
    inspection.needs("bytes_of_disk_per_parameter", BASE_BYTES_PER_PARAMETER, "base")
    with inspection.looking("base: the model's files are complete"):
        if config.gguf_package:
            (path,) = gguf_package.find(config.gguf_package).values()
            model = _read_gguf(path)
        else:
            assert config.directory is not None  # noqa: S101 - the config's validator saw to it
            files = model_directory.check(config.directory)
            model = _read_directory(config.directory, list(files.values()))
        inspection.has("parameters", model.parameters, "base")
        if model.context is not None:
            inspection.has("tokens", model.context, "base")


def check_training(config: TrainerConfig, inspection: Inspection) -> None:
    """See that the held-out set is one; say what training needs."""
    check_set(config.heldout, "trainer.heldout", inspection)
    inspection.needs("tokens", config.sequence_length, "trainer.sequence_length")
    inspection.needs("tokens", config.heldout_max_length, "trainer.heldout_max_length")
    # One state more than stay while the newest is written.
    states = (config.states.keep + 1) * STATE_BYTES_PER_PARAMETER
    disk = CHECKPOINT_BYTES_PER_PARAMETER + states
    inspection.needs("bytes_of_disk_per_parameter", disk, "trainer")
    inspection.needs(
        "bytes_of_memory_per_parameter",
        TRAINED,
        "trainer: train a smaller base, or give the machine or container more memory",
    )


def _read_gguf(path: Path) -> _Model:
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
        parameters = sum(int(tensor.n_elements) for tensor in reader.tensors)
        fields = reader.fields.items()
        contexts = [int(f.parts[-1][0]) for name, f in fields if name.endswith(".context_length")]
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise InputError(
            f"{path}: not a readable GGUF file ({type(error).__name__}) - install the package again"
        ) from None
    return _Model(parameters, contexts[0] if contexts else None)


def _read_directory(directory: Path, files: list[Path]) -> _Model:
    config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    text = config.get("text_config") or config
    known = [text[field] for field in CONTEXT_FIELDS if isinstance(text.get(field), int)]
    parameters = sum(_count(path) for path in files if path.suffix == ".safetensors")
    return _Model(parameters, known[0] if known else None)


def _count(path: Path) -> int:
    """Elements of all tensors of a safetensors file, from its header.

    Raises:
        InputError: the header is damaged, or the file is shorter than it says.
    """
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header: dict[str, Any] = json.loads(file.read(min(size, MAX_HEADER_BYTES)))
        tensors = [entry for name, entry in header.items() if name != "__metadata__"]
        whole = path.stat().st_size >= 8 + size + max(t["data_offsets"][1] for t in tensors)
        parameters = sum(int(math.prod(tensor["shape"])) for tensor in tensors)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole, parameters = False, 0
    if not whole:
        raise InputError(f"{path}: not a complete safetensors file - download or convert it again")
    return parameters
