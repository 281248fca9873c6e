"""From the exact merge to the model that is kept, tensor by tensor, with the cost of rounding."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Literal

import torch

from bedside_core.errors import InputError
from bedside_core.kinds.model import CONFIG
from bedside_core.progress import Progress
from bedside_merger.rounding import Rounding
from bedside_merger.shards import MAX_SHARD_BYTES, open_shards
from bedside_merger.stochastic import round_stochastically
from bedside_merger.stream import Merged
from bedside_models.scores import Dtype
from bedside_models.tensors import open_weights

Rounder = Callable[[Merged], torch.Tensor]


def rounder(dtype: Dtype, rounding: Literal["nearest", "stochastic"], seed: int) -> Rounder:
    """How a tensor becomes what is stored; the same seed gives the same bits.

    What it gives raises InputError for a number that the type cannot hold.
    """

    def nearest(merged: Merged) -> torch.Tensor:
        stored = merged.tensor.to(getattr(torch, dtype))
        if dtype == "float16" and stored.isinf().any():
            raise InputError(
                f"{merged.name} has a number beyond float16 (65,504) - set merger.dtype to bfloat16"
            )
        return stored

    def stochastic(merged: Merged) -> torch.Tensor:
        # By name, so that the order of tensors does not matter.
        digest = sha256(f"{seed}:{merged.name}".encode()).digest()
        return round_stochastically(merged.tensor, int.from_bytes(digest[:7], "big"))

    return nearest if rounding == "nearest" else stochastic


def export(
    merged: Iterable[Merged],
    base: Path,
    target: Path,
    rounded: Rounder,
    *,
    dtype: Dtype = "bfloat16",
    exact: Path | None = None,
    max_shard: int = MAX_SHARD_BYTES,
) -> Rounding:
    """Write weights and `config.json` of a model directory.

    Args:
        merged: every tensor of the merge.
        base: model directory whose config the merged model keeps.
        target: existing directory.
        rounded: gives what is stored of a tensor.
        dtype: of what it gives.
        exact: existing directory that gets the merge in float32.
        max_shard: bytes after which a new weight file begins.

    Raises:
        InputError: the merge does not have exactly the base's tensors, or has a number that the
            type cannot hold.
    """
    cost = Rounding()
    with open_weights(base) as original:
        shapes = {name: original.shape(name) for name in original.names}
        copy = open_shards(exact, shapes, "float32", max_shard) if exact else nullcontext()
        with (
            open_shards(target, shapes, dtype, max_shard) as kept,
            copy as unrounded,
            Progress(f"merge to {dtype}", total=len(shapes), unit="tensor") as progress,
        ):
            for item in merged:
                stored = rounded(item)
                kept.write(item.name, stored)
                if unrounded:
                    unrounded.write(item.name, item.tensor)
                cost.add(item.name, original.get(item.name), item.tensor, stored)
                progress.update()
    write_config(base, target, dtype)
    if exact:
        write_config(base, exact, "float32")
    return cost


def write_config(base: Path, target: Path, dtype: Dtype) -> None:
    """The base's config, with the type of the merged weights."""
    config = json.loads((base / CONFIG).read_text(encoding="utf-8"))
    config.pop("torch_dtype", None)
    text = json.dumps(config | {"dtype": dtype}, indent=2, ensure_ascii=False)
    (target / CONFIG).write_text(text + "\n", encoding="utf-8")


def refuse_float16(model_type: str, dtype: Dtype) -> None:
    """Refuse a type of numbers in which an architecture is known to overflow.

    Raises:
        InputError: float16 of a model of the Qwen2 family, whose activations exceed 65,504.
            DeFineMed's appendix A.4 prints float16, for its Qwen2.5, too.
    """
    if dtype == "float16" and model_type.startswith("qwen2"):
        raise InputError(
            f"merger.dtype float16: models of type {model_type} overflow in it - set bfloat16"
        )
