"""Trainings that are killed with SIGKILL and started again, compared with one that was not.

Each is the product's own command in processes of its own, over a tiny model in a registry of its
own. On a CPU, one process has to end with the same bytes. With another number of processes sums
are added up in another order, so that losses may differ by `TOLERANCE`; on a GPU likewise, as some
of its kernels add in no fixed order.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedside_core.config import Config, load_document, validate
from bedside_core.console import say, table
from bedside_core.errors import ArtifactError, PolicyError
from bedside_core.files import sha256_file
from bedside_core.lifeline import tied
from bedside_core.registry.registry import Registry
from bedside_models.device import device_kind
from bedside_models.settle import settle
from bedside_trainer.config import TrainerConfig

TOLERANCE = 1e-4
"""Of a loss, in nats per token, where sums are added up in another order."""
STEPS, EVERY = 48, 2
PATIENCE_SECONDS = 600
FIXED = {
    "sequence_length": 64, "batch_size": 4, "num_epochs": 100, "max_steps": STEPS,
    "states": {"every": EVERY, "keep": 2}, "heldout": "selftest", "heldout_max_length": 64,
}  # fmt: skip
"""Settings that the self-test needs; others are the run config's."""
LEFT_OUT = ("replay", "milestones")
"""Settings that need more than the self-test's registry holds."""
POLL_SECONDS = 0.002
ATTEMPTS = 3
COLUMNS = (
    "training", "processes", "killed after step", "rows", "loss differs by", "allowed", "weights",
)  # fmt: skip


class SelftestOptions(Config):
    """Options of `bedside trainer selftest`."""

    config: Path | None = None
    """A run config: its `trainer` settings are tested, on a tiny model; by default the defaults."""
    seed: int | None = None
    """Repeats the kills of an earlier test, which said its seed."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One training, and where it is killed."""

    name: str
    processes: tuple[int, ...]
    """Of each start; all but the last are killed."""

    @property
    def tolerance(self) -> float:
        """How much a loss may differ."""
        alone = set(self.processes) == {1}
        return 0.0 if alone and device_kind().startswith("cpu") else TOLERANCE


TRIALS = (
    Trial("killed twice", (1, 1, 1)),
    Trial("two go on, then one", (1, 2, 1)),
)


@dataclass(frozen=True, slots=True)
class Result:
    """What a training ended with."""

    losses: tuple[float, ...]
    """Of each step, in nats per token."""
    weights: str
    """SHA-256 of the checkpoint's weights."""
    rows: str
    """SHA-256 of the list of rows that each step took."""
    killed_at: tuple[int, ...] = ()
    """Steps of the states that were the newest then."""

    def difference(self, other: Result) -> float:
        """The largest one of a loss; infinite if there are not equally many."""
        if len(self.losses) != len(other.losses):
            return math.inf
        return max(abs(a - b) for a, b in zip(self.losses, other.losses, strict=True))


class TooFastError(Exception):
    """A training was done before it could be killed."""


def selftest(registry: Registry, options: SelftestOptions) -> None:
    """Run all trials and print the table; the registry is left alone.

    Raises:
        PolicyError: a training did not end as the one that was not killed.
        ArtifactError: a training ended by itself where it should have gone on.
        ConfigError: there is something wrong with the run config.
    """
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    chance = random.Random(seed)  # noqa: S311 - where to kill is no secret
    section = settings(options.config)
    settle()
    from bedside_trainer.selftest.house import furnish

    with tempfile.TemporaryDirectory(prefix="bedside-selftest-") as name:
        scratch = Path(name)
        (scratch / "base").mkdir()
        furnish(scratch / "new" / "home", scratch / "base")
        config = scratch / "run.yaml"
        config.write_text(json.dumps({"name": "selftest", "trainer": section}))  # YAML, too
        whole = run(scratch, config, (1,), chance)
        results = [run(scratch, config, trial.processes, chance) for trial in TRIALS]
    say(report(whole, results))
    failed = [t.name for t, r in zip(TRIALS, results, strict=True) if not passes(t, whole, r)]
    if failed:
        raise PolicyError(
            f"FAIL: {', '.join(failed)} - do not rely on resumed trainings here; "
            f"`bedside trainer selftest --seed {seed}` repeats it"
        )
    say("PASS: a killed training goes on as if nothing had happened")


def settings(path: Path | None) -> dict[str, Any]:
    """The section `trainer` that is tested.

    Raises:
        ConfigError: the file is no run config, or its section is wrong.
    """
    given = {} if path is None else load_document(path).get("trainer", {})
    section = {key: value for key, value in given.items() if key not in LEFT_OUT} | FIXED
    return validate(TrainerConfig, section, "trainer").model_dump(mode="json")


def passes(trial: Trial, whole: Result, result: Result) -> bool:
    """Whether a training ended as the one that was not killed."""
    same = result.weights == whole.weights or trial.tolerance > 0
    return same and result.rows == whole.rows and result.difference(whole) <= trial.tolerance


def report(whole: Result, results: Sequence[Result]) -> str:
    """The table."""
    rows = [
        [
            "training",
            "processes",
            "killed after step",
            "rows",
            "loss differs by",
            "allowed",
            "weights",
            "",
        ]
    ]
    for trial, result in zip(TRIALS, results, strict=True):
        rows.append([
            trial.name,
            ", then ".join(map(str, trial.processes)),
            ", ".join(map(str, result.killed_at)),
            "same order" if result.rows == whole.rows else "other",
            f"{result.difference(whole):.1e}",
            f"{trial.tolerance:.0e}" if trial.tolerance else "0",
            "same bytes" if result.weights == whole.weights else "close",
            "pass" if passes(trial, whole, result) else "FAIL",
        ])  # fmt: skip
    return table(rows)


def run(scratch: Path, config: Path, processes: Sequence[int], chance: random.Random) -> Result:
    """One training in a registry of its own; all starts but the last are killed.

    Raises:
        ArtifactError: it ended by itself, and not well; or it cannot be killed in time.
    """
    for _ in range(ATTEMPTS):
        folder = Path(tempfile.mkdtemp(dir=scratch))
        shutil.copytree(scratch / "new", folder, dirs_exist_ok=True)
        try:
            killed_at = tuple(
                _kill(folder / "home", config, count, _after(number, len(processes), chance))
                for number, count in enumerate(processes[:-1])
            )
        except TooFastError:
            continue
        with _started(folder / "home", config, processes[-1]) as last:
            _finish(last)
        return _result(folder / "home", killed_at)
    raise ArtifactError(f"a training was done before it could be killed, {ATTEMPTS} times")


def _after(number: int, starts: int, chance: random.Random) -> int:
    """The step after which to kill: somewhere in this start's share of the steps."""
    share = STEPS * 3 // 4 // (starts - 1)
    return chance.randrange(number * share + 1, (number + 1) * share + 1)


@contextmanager
def _started(home: Path, config: Path, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    """A training in so many processes; none outlives the block."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BEDSIDE_")}
    environment = tied(environment | {"BEDSIDE_HOME": str(home), "OMP_NUM_THREADS": "1"})
    command = [sys.executable, "-m", "bedside_core.cli", "trainer", "run", "--config", str(config)]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    places: list[dict[str, str]] = [{}]
    if count > 1:
        places = [
            {
                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "RANK": str(rank),
                "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(count),
            }
            for rank in range(count)
        ]  # fmt: skip
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(  # noqa: S603
                    command,
                    env=environment | place,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for place in places
        ]
        try:
            yield processes
        finally:
            for process in processes:
                process.kill()


def _kill(home: Path, config: Path, count: int, after: int) -> int:
    """Start a training, kill it when there is a state of this step or a later one; which one."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with _started(home, config, count) as processes:
        while newest(home) < after and time.monotonic() < deadline:
            if any(process.poll() is not None for process in processes):
                _finish(processes)
                raise TooFastError
            time.sleep(POLL_SECONDS)
        for process in processes:
            process.kill()
        if -signal.SIGKILL not in [process.wait() for process in processes]:
            raise TooFastError
    return newest(home)


def newest(home: Path) -> int:
    """The step of the newest state."""
    return max((int(path.name.split("-")[1]) for path in home.glob("work/*/step-*")), default=0)


def _finish(started: Sequence[subprocess.Popen[str]]) -> None:
    """Wait for the end.

    Raises:
        ArtifactError: it is not a good one.
    """
    said = [process.communicate(timeout=PATIENCE_SECONDS)[1] for process in started]
    for process, text in zip(started, said, strict=True):
        if process.returncode:
            last = (text.splitlines() or ["it said nothing"])[-1]
            raise ArtifactError(
                f"a training of the self-test failed ({process.returncode}): {last}"
            )


def _result(home: Path, killed_at: tuple[int, ...]) -> Result:
    from bedside_trainer.data.lineage import STEPS as ROWS_OF_STEPS

    checkpoint = Registry(home).get("selftest/checkpoint")
    lines = checkpoint.file("loss.jsonl").read_text(encoding="utf-8").splitlines()
    return Result(
        losses=tuple(json.loads(line)["loss"] for line in lines),
        weights=sha256_file(checkpoint.file("model.safetensors")),
        rows=sha256_file(checkpoint.file(ROWS_OF_STEPS)),
        killed_at=killed_at,
    )
