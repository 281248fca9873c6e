"""Which tensors make a state, and which slice of each this process holds.

Works on plain tensors, on DTensors (torch's `fully_shard`, with or without replication), and on
tensors that wrap others, such as quantised moments: these count as the numbers they stand for, so
that their inner layout, which follows the number of processes, is in no file.

Tested in tests/trainer/state/test_processes.py, tests/trainer/state/test_states.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from bedside_trainer.state.record import Slice


@dataclass(frozen=True, slots=True)
class Piece:
    """What this process holds of one tensor."""

    name: str
    slice: Slice
    local: torch.Tensor
    """Shares memory with the tensor itself; it may lie on a GPU."""
    first: bool
    """Whether no process before this one holds the same slice: just that one writes it."""

    @property
    def dtype(self) -> torch.dtype:
        """Of the numbers as they are stored."""
        return torch.float32 if is_traceable_wrapper_subclass(self.local) else self.local.dtype

    def values(self) -> torch.Tensor:
        """The numbers as they are stored; for quantised tensors a copy."""
        local = self.local.detach()
        return local.dequantize() if is_traceable_wrapper_subclass(local) else local


def model_pieces(model: torch.nn.Module, rank: int) -> list[Piece]:
    """Of trained parameters (tied ones once) and of the buffers that a state dict would have.

    What is frozen is as it is in the base model.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    return _pieces(trained | dict(_buffers(model)), rank)


def optimizer_pieces(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, rank: int
) -> list[Piece]:
    """Of all tensors in the optimizer's state, named `<parameter>.<key>`."""
    names: dict[torch.Tensor, str] = {p: name for name, p in model.named_parameters()}
    tensors = {
        f"{names[parameter]}.{key}": value
        for parameter, values in optimizer.state.items()
        for key, value in values.items()
    }
    return _pieces(tensors, rank)


def begin(optimizer: torch.optim.Optimizer) -> None:
    """Make an optimizer that has not stepped create its state, in its own form, to be filled.

    An empty step, as in torch's own distributed checkpoints: zero gradients at rate zero.
    """
    if optimizer.state:
        return
    rates = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * 0.0
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def _buffers(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    for prefix, module in model.named_modules():
        for name, buffer in module.named_buffers(recurse=False):
            if name not in module._non_persistent_buffers_set:
                yield f"{prefix}.{name}".lstrip("."), buffer


def _pieces(tensors: Mapping[str, torch.Tensor], rank: int) -> list[Piece]:
    return [_piece(name, tensor, rank) for name, tensor in tensors.items()]


def _piece(name: str, tensor: torch.Tensor, rank: int) -> Piece:
    shape = tuple(tensor.shape)
    if not isinstance(tensor, DTensor):
        whole = Slice(shape=shape, start=(0,) * len(shape), size=shape)
        return Piece(name, whole, tensor, first=rank == 0)
    mesh, coordinate = tensor.device_mesh, tensor.device_mesh.get_coordinate()
    assert coordinate is not None  # noqa: S101 - every process of ours is in the mesh
    start, size, first = [0] * len(shape), list(shape), True
    for parts, at, placement in zip(mesh.shape, coordinate, tensor.placements, strict=True):
        if isinstance(placement, Replicate):
            first = first and at == 0
        elif type(placement) is Shard:
            # As `torch.chunk` cuts: equal parts, the last ones shorter or empty.
            dim, each = placement.dim, -(-size[placement.dim] // parts)
            begins = min(at * each, size[dim])
            start[dim] += begins
            size[dim] = min(each, size[dim] - begins)
        else:
            raise RuntimeError(f"{name}: no rule to save a tensor that is placed as {placement}")
    local = tensor.to_local()
    assert tuple(local.shape) == tuple(size)  # noqa: S101 - torch cuts as it says it does
    place = Slice(shape=shape, start=tuple(start), size=tuple(size))
    return Piece(name, place, local, first=first)
