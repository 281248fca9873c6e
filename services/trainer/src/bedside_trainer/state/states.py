"""The states of a training: written beside it, found again, read by however many processes.

Tested in tests/trainer/state/test_states.py.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from bedside_core.console import say
from bedside_core.errors import ArtifactError
from bedside_core.files import sha256_file
from bedside_core.memory import available_bytes, gib
from bedside_trainer.parallel.world import World
from bedside_trainer.state.config import StatesConfig
from bedside_trainer.state.pieces import Piece, begin, model_pieces, optimizer_pieces
from bedside_trainer.state.record import INDEX, RECORD, Index, StateRecord, name_of, parse
from bedside_trainer.state.saving import ASIDE, MILESTONE, STATE, Writer
from bedside_trainer.state.shards import Reader, bytes_of

GRACE_SECONDS = 5.0
"""How long a training that ends by an error waits for other processes' shares of a state."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A whole state or milestone."""

    path: Path
    record: StateRecord
    index: Index


class States:
    """The states in a work directory.

    >>> with States(work, config.states) as states:
    ...     saved = states.newest()
    ...     states.save(model, optimizer, record)  # returns when the tensors are copied
    ...     states.poll()  # each step: raises what the writer met

    Leaving the block waits until the last state is written; after an error, no longer than the
    state in writing takes.
    """

    def __init__(
        self,
        work: Path,
        config: StatesConfig,
        world: World,
        *,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """`stopped`: whether a signal came: then nobody waits for room on a full disk."""
        self._work = work
        self._every = config.every
        self._world = world
        self._stopped = stopped
        self._ended: float | None = None
        self._buffers: dict[str, torch.Tensor] = {}
        self._in_background: bool | None = None
        self._job: Future[None] | None = None
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="states")
        if world.is_first:
            for left in work.glob(f"{ASIDE}-*"):
                shutil.rmtree(left)
        self._writer = Writer(
            work,
            keep=config.keep,
            rank=world.rank,
            size=world.size,
            token=int(world.summed(secrets.randbits(32))[0]),
            for_room=self._check_room,
            for_others=self._check_others,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self._ended = time.monotonic()
            self._pool.shutdown()

    def due(self, step: int, steps: int) -> bool:
        """Whether a state is to be saved after this step of so many."""
        return step % self._every == 0 or step == steps

    def save(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        record: StateRecord,
        *,
        milestone: bool = False,
    ) -> None:
        """Copy the tensors and write them beside the training; waits for the save before this one.

        Where memory has no room for the copy, this returns when all is written.

        Args:
            model: plain, or sharded by `fully_shard`.
            optimizer: of its parameters; it has stepped.
            record: what else belongs to the state.
            milestone: whether the weights stay when newer states come.

        Raises:
            ArtifactError: another process could not write its share of this state or the last one.
            OSError: this one could not, for another reason than a full disk.
            KeyboardInterrupt: a signal came while the disk was full.
        """
        self.wait()
        rank = self._world.rank
        tensors = {
            "model": _mine(model_pieces(model, rank)),
            "optimizer": _mine(optimizer_pieces(model, optimizer, rank)),
        }
        if self._has_memory(sum(map(bytes_of, tensors.values()))):
            held = {kind: self._hold(kind, pieces) for kind, pieces in tensors.items()}
            if self._world.device.type == "cuda":
                torch.cuda.synchronize()
            self._job = self._pool.submit(self._writer.write, held, record, milestone=milestone)
        else:
            self._writer.write(tensors, record, milestone=milestone)

    def poll(self) -> None:
        """Raise what the writer met, if it has; asks nobody and takes no time."""
        if self._job is not None and self._job.done():
            self.wait()

    def wait(self) -> None:
        """Return when the last save is on disk; raises as `save` does."""
        job, self._job = self._job, None
        if job is not None:
            job.result()

    def newest(self) -> Saved | None:
        """The newest whole state; damaged ones are removed, with lines that say so.

        Each process checks the hashes of its share of the files.

        Raises:
            ArtifactError: a state is of another recipe.
        """
        return next(self._whole(STATE), None)

    def milestones(self) -> list[Saved]:
        """All whole milestones, the oldest first; damaged ones are removed, as in `newest`."""
        return list(self._whole(MILESTONE))[::-1]

    def load(
        self, saved: Saved, model: torch.nn.Module, optimizer: torch.optim.Optimizer | None = None
    ) -> None:
        """Put a state's numbers into a model and an optimizer that were just made.

        Each process reads the slices that it holds, whoever wrote them.

        Raises:
            ArtifactError: the state has other tensors than the model and the optimizer.
        """
        parts = {"model": model_pieces(model, self._world.rank)}
        if optimizer is not None:
            begin(optimizer)
            parts["optimizer"] = optimizer_pieces(model, optimizer, self._world.rank)
        try:
            for kind, pieces in parts.items():
                shards = {n: s for n, s in saved.index.shards.items() if n.startswith(f"{kind}-")}
                with Reader(saved.path, shards) as reader:
                    reader.fill(pieces)
        except ValueError as error:
            raise ArtifactError(
                f"{saved.path}: not a state of this model ({error}) - move it away, and training "
                "begins anew"
            ) from None

    def _whole(self, prefix: str) -> Iterator[Saved]:
        """Newest first."""
        paths = sorted(self._work.glob(f"{prefix}-*"), reverse=True)
        for older, path in zip(range(len(paths) - 1, -1, -1), paths, strict=True):
            reason = "found by another process"
            saved = None
            try:
                saved = self._read(path, prefix)
            except (OSError, ValueError) as error:
                reason = str(error) if type(error) is ValueError else type(error).__name__
            if self._world.summed(saved is None) == [0] and saved is not None:
                yield saved
            elif self._world.is_first:
                say(f"state {path.name} is damaged ({reason}), not used; {older} older left")
                shutil.rmtree(path)

    def _read(self, path: Path, prefix: str) -> Saved:
        raw = (path / RECORD).read_bytes()
        record = parse(StateRecord, raw)
        if name_of(prefix, record.step, raw) != path.name:
            raise ValueError(f"{RECORD} was changed after it was written")
        if record.recipe != self._work.name:
            raise ArtifactError(
                f"{path}: a state of the recipe {record.recipe}, not of {self._work.name} - it "
                "would go on with another config or corpus; move it to its own place"
            )
        raw = (path / INDEX).read_bytes()
        if hashlib.sha256(raw).hexdigest() != record.index:
            raise ValueError(f"{INDEX} was changed after it was written")
        index = parse(Index, raw)
        for name in sorted(index.shards)[self._world.rank :: self._world.size]:
            if sha256_file(path / name) != index.shards[name].sha256:
                raise ValueError(f"{name} was changed after it was written")
        return Saved(path, record, index)

    def _has_memory(self, need: int) -> bool:
        """Whether a copy of what this process holds fits into memory; found out once."""
        if self._in_background is None:
            processes = self._world.local_size
            room = available_bytes()
            self._in_background = room is None or need * processes <= room
            if not self._in_background and self._world.is_first:
                say(
                    f"no memory for a copy of the state ({gib(need * processes)}): training waits "
                    "while a state is written"
                )
        return self._in_background

    def _hold(self, kind: str, pieces: Iterable[Piece]) -> list[Piece]:
        """Copies in memory that the next save uses again; on their way if they come from a GPU."""
        held = []
        for piece in pieces:
            values = piece.values()
            buffer = self._buffers.get(f"{kind}.{piece.name}")
            if buffer is None:
                buffer = torch.empty(
                    values.shape, dtype=values.dtype, pin_memory=values.device.type == "cuda"
                )
                self._buffers[f"{kind}.{piece.name}"] = buffer
            buffer.copy_(values, non_blocking=True)
            held.append(replace(piece, local=buffer))
        return held

    def _check_room(self) -> None:
        if self._stopped():
            say("stopped while the disk is full: the state before is the newest")
            raise KeyboardInterrupt
        self._check_others()

    def _check_others(self) -> None:
        if self._ended is not None and time.monotonic() - self._ended > GRACE_SECONDS:
            raise ArtifactError("the training ended before all processes had written their state")


def _mine(pieces: Iterable[Piece]) -> list[Piece]:
    return [piece for piece in pieces if piece.first and all(piece.slice.size)]
