"""What is checked before vLLM starts, because vLLM would say it late: weights whole, memory enough.

Covered: tensors that the model's base has and the model lacks, or the other way round; on a CPU,
memory for weights and key-value cache.
Not covered: a base itself (its import refuses an incomplete one), a base that is not in this
registry, and a GPU's memory (vLLM takes a share of it and names what is missing).
"""

from __future__ import annotations

from bedside_core import memory
from bedside_core.artifacts import Artifact
from bedside_core.errors import InputError
from bedside_core.kinds.milestones import is_of_milestone
from bedside_core.kinds.model import tensor_shapes
from bedside_core.kinds.serving import Dtype
from bedside_core.registry.registry import Registry
from bedside_inference.config import EngineConfig

NAMED = 3
"""Tensors that a refusal names; the rest it counts."""
WIDENED = {"bfloat16": 2, "float16": 2}
"""How many times larger weights get in float32, by the type in which they are stored."""


def check_complete(model: Artifact, registry: Registry) -> None:
    """Refuse a model whose tensors are not its base's; reads headers, not weights.

    Raises:
        InputError: names tensors that are missing, unknown or of another shape.
    """
    digest = model.manifest.parents.get("base")
    if digest is None or not (registry.store / digest).is_dir():
        return
    ours, base = tensor_shapes(model.path), tensor_shapes(registry.get(digest).path)
    for names, fault in (
        (base.keys() - ours.keys(), "missing"),
        (ours.keys() - base.keys(), "unknown to its base"),
        ({n for n in ours.keys() & base.keys() if ours[n] != base[n]}, "of another shape"),
    ):
        if names:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            raise InputError(
                f"model {model.digest[:12]}: {len(names)} tensor(s) {fault}: "
                f"{', '.join(sorted(names)[:NAMED])}{more} - it cannot be served; make it again "
                "with `bedside merger run`"
            )


def check_memory(engine: EngineConfig, dtype: Dtype, model: Artifact) -> None:
    """Refuse to start on a CPU with less memory than weights and key-value cache take.

    Args:
        engine: its settings.
        dtype: what the weights become.
        model: how they are stored.

    Raises:
        InputError: there is less.
    """
    stored = sum(
        entry.size
        for entry in model.manifest.files
        if entry.path.endswith(".safetensors") and not is_of_milestone(entry.path)
    )
    widened = WIDENED.get(str(model.manifest.facts.get("dtype")), 1)
    weights = stored * (widened if dtype == "float32" else 1)
    available = memory.available_bytes()
    cache = 0 if available is None else (available - weights) >> 30
    memory.require(
        weights + (engine.kv_cache_gib << 30),
        available,
        what=f"the engine with inference.engine.kv_cache_gib {engine.kv_cache_gib}",
        advice=f"set it to {cache}"
        if cache >= 1
        else f"the weights alone take {memory.gib(weights)}: use a machine with more memory",
    )
