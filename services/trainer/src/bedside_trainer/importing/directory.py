"""A base model that comes as a local Hugging Face directory: which files are its, without torch.

Tested in tests/trainer/importing/test_verb.py.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from bedside_core.errors import InputError
from bedside_core.kinds.model import (
    ADDITIONAL_TEMPLATES,
    CONFIG,
    INDEX,
    TOKENIZER,
    TOKENIZER_CONFIG,
    TOKENIZER_FILES,
    WEIGHTS,
    is_licence,
)

NEEDED = (CONFIG, TOKENIZER, TOKENIZER_CONFIG)
PROCESSOR_TEMPLATE = "chat_template.json"
"""Where one of text and images keeps the template; `canonical` makes the text model's of it."""
PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}


class Source(NamedTuple):
    """The files that make up a model; nothing else of its directory is ever read."""

    files: dict[str, Path]
    """By name, below the directory."""
    left_out: tuple[str, ...]
    """What else lies there: not read, not copied."""

    @property
    def weights(self) -> list[Path]:
        return [path for path in self.files.values() if path.suffix == ".safetensors"]

    def read_json(self, name: str) -> dict[str, Any]:
        """A file's content; nothing where there is no such file.

        Raises:
            InputError: it is no JSON object.
        """
        return _read_json(self.files[name]) if name in self.files else {}


def find(directory: Path) -> Source:
    """Look through a model directory.

    Raises:
        InputError: it lacks a needed file, has its weights as pickles only, brings code of its
            own, forgets a shard, or a file of it is a link that leads elsewhere.
    """
    if not directory.is_dir():
        raise InputError(f"{directory}: no such directory - set base.directory to a model folder")
    present = {path.name: path for path in sorted(directory.iterdir()) if path.is_file()}
    for name in NEEDED:
        if name not in present:
            raise InputError(
                f"{directory}: {name} is missing - a Hugging Face model directory needs "
                f"{', '.join(NEEDED)} and safetensors weights"
            )
    _refuse_code(directory, present)
    named = [*NEEDED, *(name for name in TOKENIZER_FILES if name in present)]
    named += [name for name in present if name == PROCESSOR_TEMPLATE or is_licence(name)]
    named += _weights(directory, present)
    files = {name: directory / name for name in dict.fromkeys(named)}
    for path in sorted(directory.glob(f"{ADDITIONAL_TEMPLATES}/*.jinja")):
        files[f"{ADDITIONAL_TEMPLATES}/{path.name}"] = path
    room = _room(directory)
    for name, path in files.items():
        if not path.resolve().is_relative_to(room):
            raise InputError(
                f"{directory}: {name} is a link that leaves the directory - copy the model with "
                "its real files (cp -rL) and import the copy"
            )
    return Source(files, tuple(name for name in present if name not in files))


def _room(directory: Path) -> Path:
    """Where files may really lie: the directory, or in a hub's cache the folder of its model."""
    resolved = directory.resolve()
    if resolved.parent.name == "snapshots" and resolved.parent.parent.name.startswith("models--"):
        return resolved.parent.parent
    return resolved


def _refuse_code(directory: Path, present: dict[str, Path]) -> None:
    code = [name for name in present if name.endswith(".py")]
    code += [n for n in (CONFIG, TOKENIZER_CONFIG) if "auto_map" in _read_json(present[n])]
    if code:
        raise InputError(
            f"{directory}: {code[0]} brings code of its own (a *.py file or auto_map), which is "
            "never run here - use a model whose architecture transformers has built in"
        )


def _weights(directory: Path, present: dict[str, Path]) -> list[str]:
    if WEIGHTS in present:
        return [WEIGHTS]
    if INDEX not in present:
        raise InputError(_without_weights(directory, present))
    weight_map = _read_json(present[INDEX]).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise InputError(f"{directory}: {INDEX} has no weight_map - download the model again")
    shards = sorted({str(shard) for shard in weight_map.values()})
    for shard in shards:
        if Path(shard).name != shard or Path(shard).suffix != ".safetensors":
            raise InputError(
                f"{directory}: {INDEX} names {shard!r}, which is not a safetensors file of this "
                "directory"
            )
        if shard not in present:
            raise InputError(
                f"{directory}: {INDEX} names {shard}, which is missing - download the model again"
            )
    if forgotten := [name for name in present if _is_shard(name) and name not in shards]:
        raise InputError(
            f"{directory}: {INDEX} does not name {forgotten[0]}, so part of the weights would be "
            "left out - download the model again, or remove a shard that is not its"
        )
    return [INDEX, *shards]


def _is_shard(name: str) -> bool:
    return re.fullmatch(r"model-\d+-of-\d+\.safetensors", name) is not None


def _without_weights(directory: Path, present: dict[str, Path]) -> str:
    if "adapter_config.json" in present:
        return (
            f"{directory}: an adapter (LoRA) without its model - merge it into its base's weights "
            "first, and import the result"
        )
    pickles = [name for name, path in present.items() if path.suffix in PICKLES]
    if pickles:
        return (
            f"{directory}: {pickles[0]} is a pickle file, which runs code when it is loaded, and "
            f"there are no safetensors weights ({WEIGHTS} or {INDEX}) - convert it first"
        )
    return (
        f"{directory}: no safetensors weights ({WEIGHTS} or {INDEX}) - convert the model to "
        "safetensors first"
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise InputError(f"{path}: not readable JSON - download the model again") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: must be a JSON object - download the model again")
    return value
