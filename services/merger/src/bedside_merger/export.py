"""From the exact float32 merge to the bfloat16 model that is kept, with the cost of rounding."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from bedside_core.errors import InputError
from bedside_core.kinds.model import CONFIG, INDEX, WEIGHTS
from bedside_core.progress import Progress
from bedside_merger.rounding import Rounding
from bedside_models.tensors import Weights, open_weights

MAX_SHARD_BYTES = 4 << 30
"""Of one weight file, and so of the memory that the export needs."""


def export(exact: Path, base: Path, target: Path, *, max_shard: int = MAX_SHARD_BYTES) -> Rounding:
    """Write weights and `config.json` of a bfloat16 model directory.

    Args:
        exact: model directory with the merge in float32.
        base: model directory whose config the merged model keeps.
        target: existing directory.
        max_shard: bytes after which a new weight file begins.

    Raises:
        InputError: the merge does not have exactly the base's tensors.
    """
    rounding = Rounding()
    with open_weights(exact) as merged, open_weights(base) as original:
        if merged.names != original.names:
            different = sorted(set(merged.names) ^ set(original.names))
            raise InputError(
                f"the merge and the base do not have the same tensors ({different[0]} and "
                f"{len(different) - 1} more) - is the architecture one that mergekit supports?"
            )
        shards = _shards(merged, max_shard)
        with Progress("export bfloat16", total=len(merged.names), unit="tensor") as progress:
            for number, names in enumerate(shards, start=1):
                tensors = {}
                for name in names:
                    tensor = merged.get(name)
                    tensors[name] = tensor.to(torch.bfloat16)
                    rounding.add(name, original.get(name), tensor, tensors[name])
                    progress.update()
                path = target / _file_name(number, len(shards))
                save_file(tensors, path, metadata={"format": "pt"})
    if len(shards) > 1:
        _write_index(shards, rounding.overall.num_parameters, target / INDEX)
    config = json.loads((base / CONFIG).read_text(encoding="utf-8"))
    config.pop("torch_dtype", None)
    text = json.dumps(config | {"dtype": "bfloat16"}, indent=2, ensure_ascii=False)
    (target / CONFIG).write_text(text + "\n", encoding="utf-8")
    return rounding


def _shards(weights: Weights, max_shard: int) -> list[list[str]]:
    shards: list[list[str]] = [[]]
    used = 0
    for name in weights.names:
        size = 2 * torch.Size(weights.shape(name)).numel()
        if shards[-1] and used + size > max_shard:
            shards.append([])
            used = 0
        shards[-1].append(name)
        used += size
    return shards


def _file_name(number: int, count: int) -> str:
    return f"model-{number:05}-of-{count:05}.safetensors" if count > 1 else WEIGHTS


def _write_index(shards: list[list[str]], num_parameters: int, path: Path) -> None:
    places = {
        name: _file_name(number, len(shards))
        for number, names in enumerate(shards, start=1)
        for name in names
    }
    index = {"metadata": {"total_size": 2 * num_parameters}, "weight_map": places}
    path.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
