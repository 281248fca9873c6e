"""FSDP2: each process holds a part of every weight, gradient and moment (Zhao et al. 2023).

torch's own `fully_shard` on a device mesh, on processors as on GPUs, so that what tests run is what
trains (Accelerate's plugin is silently ignored without a GPU). Over several machines weights are
split within each and copied across (HSDP), so that only gradients pass the network between them.

Tested in tests/trainer/parallel/test_world.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from accelerate import init_empty_weights
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from bedside_core.errors import ConfigError, InputError
from bedside_models.load import read_config
from bedside_models.tensors import Weights, open_weights
from bedside_trainer.parallel.world import World
from bedside_trainer.step.precision import Compute
from bedside_trainer.step.settings import Shard


def sharers(world: World, shard: Shard) -> int:
    """How many processes hold one copy of the model between them."""
    return world.local_size if shard == "auto" else shard


def device_mesh(world: World, shard: Shard) -> DeviceMesh:
    """One axis along which weights are split, and where there are copies one across them.

    Raises:
        ConfigError: the processes cannot be divided so.
    """
    each = sharers(world, shard)
    if world.size % each:
        raise ConfigError(
            f"trainer.parallel.shard: {world.size} processes cannot hold copies of {each} "
            "processes each - set it to a number that divides them"
        )
    kind = world.device.type
    if each == world.size:
        return init_device_mesh(kind, (world.size,), mesh_dim_names=("shard",))
    return init_device_mesh(kind, (world.size // each, each), mesh_dim_names=("copy", "shard"))


def load_sharded(path: Path, mesh: DeviceMesh, compute: Compute) -> PreTrainedModel:
    """The model of a directory in float32, each process holding its part.

    A layer at a time is read, split and let go, so that no process ever holds more than a layer
    (at last embedding and head) beside its part.

    Args:
        path: as `import-base` writes it: tensors have the names of the model's parameters.
        mesh: see `device_mesh`.
        compute: what gathered weights are cast to.

    Raises:
        InputError: a weight is missing.
    """
    model = _without_weights(path)
    cast = None if compute.dtype == torch.float32 else compute.dtype
    policy = MixedPrecisionPolicy(param_dtype=cast, reduce_dtype=torch.float32)
    names = {id(weight): name for name, weight in model.named_parameters()}
    with open_weights(path) as weights:
        for module in (*decoder_layers(model), model):
            _fill(module, names, weights)
            fully_shard(module, mesh=mesh, mp_policy=policy)
    return model


def give_back(model: nn.Module) -> None:
    """Let go of the whole weights that a pass without gradient gathered, and a step would not.

    Until then what `parameters()` names are these, not the parts that are trained.
    """
    if isinstance(model, FSDPModule):
        model.reshard()


def decoder_layers(model: nn.Module) -> Iterator[nn.Module]:
    """The layers that repeat, first to last."""
    return (m for m in model.modules() if isinstance(m, GradientCheckpointingLayer))


def _without_weights(path: Path) -> PreTrainedModel:
    """The model with its buffers, which no file holds, and without storage for its weights."""
    with init_empty_weights(include_buffers=False):
        config = read_config(path)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    assert isinstance(model, PreTrainedModel)  # noqa: S101 - what from_config returns
    model.tie_weights()  # once more: what was registered above is a copy without storage
    return model


def _fill(module: nn.Module, names: dict[int, str], weights: Weights) -> None:
    for empty in [weight for weight in module.parameters() if weight.is_meta]:
        name = names[id(empty)]
        if name not in weights.files:
            raise InputError(f"the base has no weight {name} - import it again")
        # Swapped, so that whatever shares it (a tied head) shares it still.
        filled = nn.Parameter(weights.get(name).float())
        torch.utils.swap_tensors(empty, filled)  # type: ignore[no-untyped-call]
