"""The processes of a training: torchrun, `accelerate launch` and the verb itself start them.

They find each other by the variables that every launcher sets (RANK, WORLD_SIZE, LOCAL_RANK,
LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT); without them a process trains alone. The first one
leads: it alone reads settings, holds locks, writes and speaks, and tells the others what to do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

from bedside_core.errors import ConfigError, InputError

NOTHING = "null"
"""What is said where there is nothing to do."""
PATIENCE = timedelta(minutes=10)
"""Until a process that does not answer counts as lost; one that died is noticed at once."""
PREPARATION = timedelta(days=2)
"""How long the others wait while the first one reads, checks and packs."""
VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True, slots=True)
class World:
    """This process among all."""

    rank: int
    size: int
    local_rank: int
    """Among those on this machine."""
    local_size: int
    device: torch.device
    waiting: dist.ProcessGroup | None = None
    """In which the others wait for the first."""

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def summed(self, *values: float) -> list[float]:
        """Each value, added up over all processes."""
        if self.size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total)
        return [float(value) for value in total]

    def any(self, flag: bool) -> bool:
        """Whether it is so in some process."""
        return self.summed(flag) != [0]

    @contextmanager
    def leading(self) -> Iterator[Callable[[str], None]]:
        """Gives what says something to all others, once; they hear nothing if it is never used."""
        told = False

        def tell(message: str) -> None:
            nonlocal told
            told = True
            self._tell(message)

        try:
            yield tell
        finally:
            if not told:
                self._tell(NOTHING)

    def _tell(self, message: str) -> None:
        if self.size > 1:
            raw = message.encode()
            for part in (len(raw).to_bytes(8, "little"), raw):
                content = torch.frombuffer(bytearray(part), dtype=torch.uint8)
                dist.broadcast(content, 0, group=self.waiting)

    def hear(self) -> str:
        """Wait for what the first process says."""
        size = torch.empty(8, dtype=torch.uint8)
        dist.broadcast(size, 0, group=self.waiting)
        message = torch.empty(int.from_bytes(bytes(size), "little"), dtype=torch.uint8)
        dist.broadcast(message, 0, group=self.waiting)
        return bytes(message).decode()


def alone(device: torch.device) -> World:
    """The world of a process that no launcher started."""
    return World(0, 1, 0, 1, device)


@contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """The world that a launcher started this process in.

    Raises:
        ConfigError: a launcher's variable is missing, or is no number.
        InputError: another process was lost.
    """
    rank, size, local, local_size = _places()
    if device.type == "cuda":
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    with _losses():
        dist.init_process_group(backend, rank=rank, world_size=size, timeout=PATIENCE)
        waiting = dist.new_group(backend="gloo", timeout=PREPARATION)
        try:
            yield World(rank, size, local, local_size, device, waiting)
        finally:
            dist.destroy_process_group()


def _places() -> tuple[int, int, int, int]:
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    if missing:
        raise ConfigError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, and {', '.join(missing)} not set - start "
            "the processes with torchrun or `accelerate launch`, or unset WORLD_SIZE"
        )
    try:
        rank, size, local, local_size = (int(os.environ[name]) for name in VARIABLES[:4])
    except ValueError:
        raise ConfigError(f"{', '.join(VARIABLES[:4])}: numbers are needed") from None
    return rank, size, local, local_size


@contextmanager
def _losses() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not _is_loss(error):
            raise
        raise InputError(
            "lost another process of this training, whose own message says why (killed by the "
            "system if there is none) - the same command goes on from the newest state"
        ) from error


def _is_loss(error: RuntimeError) -> bool:
    """Whether torch.distributed says that a peer does not answer; gloo has no class for it."""
    text = str(error)
    return isinstance(error, dist.DistError) or "gloo" in text or "Connection closed" in text
