"""A base model that comes as a local Hugging Face directory: what is refused, what is copied.

Tested in tests/trainer/test_import_base.py.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from bedside_core.errors import InputError
from bedside_core.kinds.model import (
    CHAT_TEMPLATE,
    CONFIG,
    GENERATION,
    INDEX,
    TOKENIZER,
    TOKENIZER_CONFIG,
    WEIGHTS,
)

NEEDED = (TOKENIZER, TOKENIZER_CONFIG)
OPTIONAL = (
    CHAT_TEMPLATE,
    GENERATION,
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
)
PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}


def check(directory: Path) -> dict[str, Path]:
    """The files that make up the model, by name; nothing else is ever copied.

    Raises:
        InputError: the directory holds pickle weights or code, lacks a needed file, or has one
            that cannot be read.
    """
    if not directory.is_dir():
        raise InputError(f"{directory}: no such directory - set base.directory to a model folder")
    _refuse_pickles(directory)
    for name in (CONFIG, *NEEDED):
        if not (directory / name).is_file():
            raise InputError(
                f"{directory}: {name} is missing - a Hugging Face model directory needs "
                f"{', '.join((CONFIG, *NEEDED))} and safetensors weights"
            )
    _refuse_code(directory)
    names = [CONFIG, *NEEDED, *(n for n in OPTIONAL if (directory / n).is_file())]
    names += _weights(directory)
    for name in names:
        if not (directory / name).resolve().is_relative_to(directory.resolve()):
            raise InputError(
                f"{directory}: {name} is a link that leaves the directory - copy the model with "
                "its real files (cp -rL) and import the copy"
            )
    return {name: directory / name for name in names}


def copy(files: dict[str, Path], target: Path) -> None:
    """Copy the files' content into `target`, and check that the weights are whole.

    Raises:
        InputError: a weight file is not a complete safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    for name, path in files.items():
        shutil.copyfile(path, target / name)
        if path.suffix != ".safetensors":
            continue
        try:
            # Opening compares the header with the file's length: a torn download fails here.
            with safe_open(target / name, framework="pt"):
                pass
        except SafetensorError:
            raise InputError(
                f"{path}: not a complete safetensors file - download or convert it again"
            ) from None


def _refuse_pickles(directory: Path) -> None:
    pickles = sorted(p.name for p in directory.iterdir() if p.suffix in PICKLES)
    if pickles:
        raise InputError(
            f"{directory}: {pickles[0]} is a pickle file, which runs code when it is loaded - "
            "convert the weights to safetensors and remove it"
        )


def _refuse_code(directory: Path) -> None:
    code = sorted(p.name for p in directory.glob("*.py"))
    code += [n for n in (CONFIG, TOKENIZER_CONFIG) if "auto_map" in _read_json(directory / n)]
    if code:
        raise InputError(
            f"{directory}: {code[0]} brings code of its own (a *.py file or auto_map), which is "
            "never run here - use a model whose architecture transformers has built in"
        )


def _weights(directory: Path) -> list[str]:
    if (directory / WEIGHTS).is_file():
        return [WEIGHTS]
    if not (directory / INDEX).is_file():
        raise InputError(
            f"{directory}: no safetensors weights ({WEIGHTS} or {INDEX}) - convert the model to "
            "safetensors first"
        )
    weight_map = _read_json(directory / INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise InputError(f"{directory}: {INDEX} has no weight_map - download the model again")
    shards = sorted({str(shard) for shard in weight_map.values()})
    for shard in shards:
        if Path(shard).name != shard or Path(shard).suffix != ".safetensors":
            raise InputError(
                f"{directory}: {INDEX} names {shard!r}, which is not a safetensors file of this "
                "directory"
            )
        if not (directory / shard).is_file():
            raise InputError(
                f"{directory}: {INDEX} names {shard}, which is missing - download the model again"
            )
    return [INDEX, *shards]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        raise InputError(f"{path}: not readable JSON - download the model again") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: must be a JSON object - download the model again")
    return value
