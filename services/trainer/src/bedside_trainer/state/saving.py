"""Writing one state, on a thread of its own: each process its share, the first one the rest.

Processes tell each other by files alone what is done, because a thread beside the training must not
take part in its collective operations.

Tested in tests/trainer/state/test_states.py.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bedside_core.errors import ArtifactError
from bedside_core.files import sync, write_synced
from bedside_trainer.state.pieces import Piece
from bedside_trainer.state.record import INDEX, RECORD, Index, StateRecord, name_of, parse, unparse
from bedside_trainer.state.room import with_room
from bedside_trainer.state.shards import bytes_of, write_shard

STATE, MILESTONE, ASIDE, SHARE = "step", "milestone", "writing", "share"
FAILED = "failed"
"""A file beside the shards: the others need not wait for this state."""
LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Writer:
    """This process's part in writing the states of a run."""

    work: Path
    keep: int
    """States that stay; milestones all do."""
    rank: int
    size: int
    token: int
    """The same in all processes of a run, and another one in each run."""
    for_room: Callable[[], object]
    """Called while waiting for room on a full disk; what it raises ends the waiting."""
    for_others: Callable[[], object]
    """Called while waiting for other processes; what it raises ends the waiting."""

    def write(
        self, tensors: Mapping[str, Sequence[Piece]], record: StateRecord, *, milestone: bool
    ) -> None:
        """Write this process's share of a state, and return when all have written theirs.

        Args:
            tensors: what this process writes, by kind: `model` and `optimizer`.
            record: of the state.
            milestone: whether the weights stay when the state goes.

        Raises:
            ArtifactError: another process could not write its share.
            OSError: this one could not, for another reason than a full disk.
        """
        aside = self.work / f"{ASIDE}-{self.token:x}-{record.step:012d}"
        what = f"the state of step {record.step}"
        need = sum(map(bytes_of, tensors.values()))
        try:
            with_room(self.work, need, what, lambda: self._share(aside, tensors), self.for_room)
            if self.rank == 0:
                self._wait(aside, lambda: len(_shares(aside)) == self.size)
                with_room(
                    self.work,
                    0,
                    what,
                    lambda: self._commit(aside, record, milestone),
                    self.for_room,
                )
            else:
                self._wait(aside, lambda: not aside.exists())
        except BaseException:
            with suppress(OSError):
                (aside / FAILED).touch()
            raise

    def _share(self, aside: Path, tensors: Mapping[str, Sequence[Piece]]) -> None:
        """Write this process's shards, and then what they are."""
        paths = {
            aside / f"{kind}-{self.rank:05d}.safetensors": pieces
            for kind, pieces in tensors.items()
            if pieces
        }
        try:
            aside.mkdir(exist_ok=True)
            shards = {path.name: write_shard(path, pieces) for path, pieces in paths.items()}
            part = aside / f"part-{self.rank:05d}"
            write_synced(part, unparse(Index(shards=shards)))
            part.rename(aside / f"{SHARE}-{self.rank:05d}.json")
        except OSError:
            for path in paths:
                path.unlink(missing_ok=True)
            raise

    def _wait(self, aside: Path, done: Callable[[], bool]) -> None:
        while not done():
            if (aside / FAILED).exists():
                raise ArtifactError(
                    "another process could not write its share of a state - see its message; the "
                    "same command goes on from the state before"
                )
            self.for_others()
            time.sleep(LOOK_SECONDS)

    def _commit(self, aside: Path, record: StateRecord, milestone: bool) -> None:
        """Bind all shares by one record, and let the state appear under its name."""
        shares = [parse(Index, path.read_bytes()) for path in _shares(aside)]
        index = Index(shards={name: s for share in shares for name, s in share.shards.items()})
        if milestone:
            beside = aside.with_name(f"{aside.name}-{MILESTONE}")
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir()
            weights = {n: s for n, s in index.shards.items() if n.startswith("model-")}
            for name in weights:
                _link(aside / name, beside / name)
            self._publish(beside, MILESTONE, record, Index(shards=weights))
        target = self._publish(aside, STATE, record, index)
        for path in sorted(self.work.glob(f"{STATE}-*"), reverse=True)[self.keep :]:
            if path != target:
                shutil.rmtree(path)

    def _publish(self, made: Path, prefix: str, record: StateRecord, index: Index) -> Path:
        """Give a directory its record and its name; what an abandoned past left is removed."""
        raw = unparse(index)
        bound = {"recipe": self.work.name, "index": hashlib.sha256(raw).hexdigest()}
        write_synced(made / INDEX, raw)
        raw = unparse(record.model_copy(update=bound))
        write_synced(made / RECORD, raw)
        for path in _shares(made):
            path.unlink()
        sync(made)
        target = self.work / name_of(prefix, record.step, raw)
        shutil.rmtree(target, ignore_errors=True)
        made.rename(target)
        sync(self.work)
        # After going back (a spike, a damaged state), later states are of steps that never were.
        for path in self.work.glob(f"{prefix}-*"):
            if path.name >= f"{prefix}-{record.step:012d}" and path != target:
                shutil.rmtree(path)
        return target


def _shares(aside: Path) -> list[Path]:
    return sorted(aside.glob(f"{SHARE}-*.json"))


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
        sync(target)
