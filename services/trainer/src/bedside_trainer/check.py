"""What `bedside check` looks at for the sections `base` and `trainer`; no torch is imported.

Tested in tests/core/test_preflight.py.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import NamedTuple

from bedside_core import dispatch
from bedside_core.errors import InputError
from bedside_core.inspection import Inspection
from bedside_core.kinds.heldout import check_exam, check_set
from bedside_core.kinds.model import CONFIG, CONTEXT_FIELDS
from bedside_core.memory import TRAINED
from bedside_trainer.config import BaseConfig, TrainerConfig
from bedside_trainer.importing import architecture as sizes
from bedside_trainer.importing import conditions, gguf_package
from bedside_trainer.importing.headers import NARROW, width
from bedside_trainer.importing.verb import look
from bedside_trainer.parallel.processes import refuse_many

CHECKPOINT_BYTES_PER_PARAMETER = 4
STATE_BYTES_PER_PARAMETER = 12
"""Weights and two moments in float32."""
ROW_BYTES = 2
"""Of disk for a byte of text: a token of three bytes takes four, in the worst case, and the index
of documents and rows the rest."""


class _Model(NamedTuple):
    parameters: int
    context: int | None
    bytes: int
    """Of a parameter, on disk and while it is imported."""


def check_base(config: BaseConfig, inspection: Inspection) -> None:
    """Judge the model by names and headers, and read from them how large it is."""
    with inspection.looking("base: the model's files are complete, and later steps can use them"):
        if config.shrink or _is_absent(config):
            model = _carried(config, inspection)
        elif config.gguf_package:
            (path,) = gguf_package.find(config.gguf_package).values()
            model = _read_gguf(path)
        else:
            model = _read_directory(config)
        inspection.needs("bytes_of_disk_per_parameter", model.bytes, "base")
        inspection.needs(
            "bytes_of_memory_per_parameter",
            model.bytes,
            "base: import a smaller model, or give the machine or container more memory",
        )
        inspection.has("parameters", model.parameters, "base")
        if model.context is not None:
            inspection.has("tokens", model.context, "base")


def check_training(config: TrainerConfig, inspection: Inspection) -> None:
    """See that the held-out set is one; say what training needs."""
    check_set(config.heldout, "trainer.heldout", inspection)
    for name in config.milestones.exams if config.milestones else ():
        check_exam(name, "trainer.milestones.exams", inspection)
    if config.replay and inspection.extent == "machine" and dispatch.program("engine") is None:
        inspection.unsure(
            "trainer.replay: the engine's environment, by which the base writes, is not here - "
            "`bash scripts/setup.sh engine`"
        )
    inspection.needs("tokens", config.sequence_length, "trainer.sequence_length")
    inspection.needs("tokens", config.heldout_max_length, "trainer.heldout_max_length")
    # One state more than stay while the newest is written.
    states = (config.states.keep + 1) * STATE_BYTES_PER_PARAMETER
    disk = CHECKPOINT_BYTES_PER_PARAMETER * (1 + _milestones(config, inspection)) + states
    inspection.needs("bytes_of_disk_per_parameter", disk, "trainer")
    inspection.needs("bytes_of_disk_per_byte_of_text", ROW_BYTES, "trainer")
    if inspection.extent == "machine":
        with inspection.looking("trainer.method: the processes that it trains in"):
            refuse_many(config)
    folder = config.watch.prometheus
    if folder is not None and inspection.extent != "settings":
        with inspection.looking("trainer.watch.prometheus: a folder that can be written"):
            if not (folder.is_dir() and os.access(folder, os.W_OK)):
                raise InputError(
                    f"{folder} is no folder that can be written - name the one that the "
                    "textfile collector of node_exporter reads"
                )
    inspection.needs(
        "bytes_of_memory_per_parameter",
        TRAINED,
        "trainer: train a smaller base, or give the machine or container more memory",
    )


def _milestones(config: TrainerConfig, inspection: Inspection) -> int:
    """How many copies of the weights they are at most, in work and as published."""
    found = config.milestones
    if found is None:
        return 0
    if config.max_steps is None:
        inspection.unsure(
            "trainer.milestones: their number follows from the corpus; each takes "
            f"{CHECKPOINT_BYTES_PER_PARAMETER} bytes of disk for a parameter, published twice that"
        )
        return 0
    number = math.ceil(config.max_steps / found.every)
    match found.publish:
        case "none":
            return number
        case "all":
            return 2 * number
    return number + min(number, found.publish)


def _is_absent(config: BaseConfig) -> bool:
    """Whether the config knows of the model what the machine does not have yet."""
    there = config.directory is None or config.directory.exists()
    return config.architecture is not None and not there


def _carried(config: BaseConfig, inspection: Inspection) -> _Model:
    numbers = config.architecture or {}
    conditions.judge_config(numbers)
    if config.shrink:
        small = sizes.shrunk(numbers, config.shrink)
        return _Model(sizes.parameters(small), numbers["max_position_embeddings"], NARROW)
    inspection.unsure(
        f"base.directory: base not present ({config.directory}); sizes by its numbers"
    )
    return _Model(sizes.parameters(numbers), numbers["max_position_embeddings"], NARROW)


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
    return _Model(parameters, contexts[0] if contexts else None, NARROW)


def _read_directory(config: BaseConfig) -> _Model:
    source, headers = look(config)
    model = source.read_json(CONFIG)
    text = model.get("text_config") or model
    known = [text[field] for field in CONTEXT_FIELDS if isinstance(text.get(field), int)]
    parameters = sum(header.elements for header in headers.values())
    return _Model(parameters, known[0] if known else None, width(headers))
