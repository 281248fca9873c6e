"""Several processes, for test_processes.py: `python processes.py FOLDER`.

The libraries are loaded once; the processes of each scene are forks of this one. A line on standard
output tells how they ended.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from bedside_models.scores import Estimand, Scores, TextScore
from bedside_trainer.parallel.world import World
from bedside_trainer.state import states
from bedside_trainer.state.config import StatesConfig
from bedside_trainer.state.record import StateRecord
from bedside_trainer.state.states import States

BEFORE = Scores(
    estimand=Estimand(prefix_token="<s>", max_length=8, dtype="float32"),
    texts=(TextScore(id="a", nll=1.5, tokens=2, bytes=5),),
)
SHAPES = [(4,), (2, 2)]
"""Meshes of four processes: shards alone, and two replicas of two shards."""


def made(mesh: tuple[int, ...] | None) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """Sizes that no number of processes divides; the second layer's first matrix is tied."""
    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Linear(7, 7), torch.nn.Tanh(), torch.nn.Linear(7, 7))
    model[2].weight = model[0].weight
    model.append(torch.nn.Linear(7, 3))
    if mesh is not None:
        names = ("replicate", "shard")[-len(mesh) :]
        fully_shard(model, mesh=init_device_mesh("cpu", mesh, mesh_dim_names=names))
    return model, torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)


def step(model: torch.nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    inputs = torch.randn(5, 7, generator=torch.Generator().manual_seed(seed))
    model(inputs).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def numbers(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """All weights and moments, whole."""
    found = {}
    for name, parameter in model.named_parameters():
        for key, value in {"weight": parameter, **optimizer.state[parameter]}.items():
            whole = value.full_tensor() if isinstance(value, DTensor) else value
            found[f"{name}.{key}"] = whole.detach().clone()
    return found


def record(number: int) -> StateRecord:
    return StateRecord(step=number, seconds=1.0, curve=(), before=BEFORE)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def four(folder: Path, world: World) -> None:
    """Train and save on each mesh; rank 0 notes what was saved."""
    for mesh in SHAPES:
        work = folder / f"mesh-{len(mesh)}"
        model, optimizer = made(mesh)
        with States(work, StatesConfig(keep=1), world) as all_states:
            for number in (1, 2):
                step(model, optimizer, number)
                all_states.save(model, optimizer, record(number), milestone=number == 1)
        expected = numbers(model, optimizer)
        if world.rank == 0:
            save_file(expected, folder / f"{work.name}.safetensors")


def two(folder: Path, world: World) -> None:
    """Go on from what four saved; then meet damage, and lose a process."""
    for mesh in SHAPES:
        work = folder / f"mesh-{len(mesh)}"
        expected = load_file(folder / f"{work.name}.safetensors")
        model, optimizer = made((2,))
        with States(work, StatesConfig(keep=2), world) as all_states:
            found = all_states.newest()
            assert found is not None and found.record.step == 2
            all_states.load(found, model, optimizer)
            assert same(numbers(model, optimizer), expected)
            assert [m.record.step for m in all_states.milestones()] == [1]
            step(model, optimizer, 3)
            all_states.save(model, optimizer, record(3))
            all_states.wait()
            expected = numbers(model, optimizer)
            step(model, optimizer, 4)
            all_states.save(model, optimizer, record(4))
        if world.rank == 0:
            save_file(expected, folder / f"{work.name}.safetensors")
            # Of those that the other process checks.
            (damaged,) = work.glob("step-*4-*/model-00001.safetensors")
            damaged.write_bytes(damaged.read_bytes()[:-1])
        dist.barrier()
        with States(work, StatesConfig(), world) as all_states:
            found = all_states.newest()
            assert found is not None and found.record.step == 3
    states.GRACE_SECONDS = 0.5
    with States(work, StatesConfig(), world) as all_states:
        if world.rank == 1:
            os._exit(9)
        step_alone = made(None)
        step(*step_alone, 5)
        all_states.save(*step_alone, record(5))
        time.sleep(0.2)
        assert not list(work.glob("step-*5-*"))
        raise ConnectionError("as a collective operation would, when a process is lost")


def act(scene: Callable[[Path, World], None], folder: Path, rank: int, size: int) -> None:
    store = f"file://{folder / scene.__name__}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=size)
    scene(folder, World(rank, size, rank, size, torch.device("cpu")))
    dist.destroy_process_group()


def forked(scene: Callable[[Path, World], None], folder: Path, size: int) -> list[int]:
    """The exit codes of the processes."""
    children = []
    for rank in range(size):
        child = os.fork()
        if child == 0:
            try:
                act(scene, folder, rank, size)
            except BaseException:  # noqa: BLE001 - the top frame of the process
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.stdout.write(
        json.dumps([forked(four, Path(sys.argv[1]), 4), forked(two, Path(sys.argv[1]), 2)])
    )
