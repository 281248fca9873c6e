"""The ranks of a stage as a job array under Slurm; the build waits for it.

datatrove's executor leaves a pickle that each task loads, and ends with the submission. Here a task
calls a verb of ours, which makes the same steps from the settings in the room (`work.py`) and marks
its ranks as done like every other worker. What is kept is how it describes a job to sbatch.

Tested in tests/corpus/clusters/test_slurm.py.
"""

from __future__ import annotations

import json
import math
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from datatrove.executor.slurm import SlurmPipelineExecutor

from bedside_core.errors import ConfigError, InputError
from bedside_core.files import write_atomic
from bedside_corpus.config import Executor

GROUPS = "groups.json"
"""In the folder of a stage: the ranks that each task of the array does."""
MAX_PAUSE = 10.0
"""Seconds between two questions to Slurm, in a long build."""
PATIENCE = 600.0
"""Seconds for which Slurm may give no answer: its controller restarts."""
GRACE = 60.0
"""Seconds after the last task in which its marks must be seen: network file systems lag."""
ENDED = {
    "COMPLETED": "",
    "OUT_OF_MEMORY": "set corpus.executor.mem_per_cpu_gb higher",
    "TIMEOUT": "set corpus.executor.time higher, or max_array_size",
    "DEADLINE": "set corpus.executor.time higher, or max_array_size",
    "FAILED": "mend what its log says",
    "CANCELLED": "somebody cancelled it",
    "NODE_FAIL": "ask who keeps the cluster",
    "BOOT_FAIL": "ask who keeps the cluster",
    "PREEMPTED": "choose another corpus.executor.partition or qos",
}
"""States that a task does not leave, and what to do."""


class Group(NamedTuple):
    """What a task of the array does."""

    ranks: list[int]
    world: int
    """Ranks of the stage."""


def read_group(folder: Path, number: int) -> Group:
    """What task `number` of a stage does.

    Raises:
        FileNotFoundError, IndexError: there is no such task.
    """
    value = json.loads((folder / GROUPS).read_bytes())
    return Group(value["groups"][number], value["world"])


class SlurmExecutor(SlurmPipelineExecutor):  # type: ignore[misc]  # datatrove has no types
    """Has Slurm run the ranks of a stage of a build."""

    def __init__(self, executor: Executor, room: Path, stage: str, *, ranks: int) -> None:
        """`room` holds the saved work."""
        self.room, self.stage = room.absolute(), stage
        self.folder = self.room / stage
        super().__init__(
            [],
            tasks=ranks,
            time=executor.time or "",
            partition=executor.partition or "",
            cpus_per_task=executor.cpus_per_task,
            workers=executor.workers or -1,
            # Found again by it: builds of other homes have other rooms.
            job_name=f"bedside-{stage}-{sha256(str(self.room).encode()).hexdigest()[:12]}",
            qos=executor.qos or "",
            sbatch_args={
                "mem-per-cpu": f"{math.ceil(executor.mem_per_cpu_gb * 1024)}M",
                **executor.sbatch_args,
            },
            max_array_size=executor.max_array_size,
            logging_dir=str(self.folder),
            slurm_logs_folder=str(self.folder / "slurm_logs"),
        )

    def run(self) -> None:
        """Run every rank that is not done, those first that a killed build left with Slurm.

        Raises:
            ConfigError: this machine has no Slurm, or Slurm refuses the job.
            InputError: a task failed.
        """
        for job in self._left_behind():
            self._watch(job)
        waiting = self.get_incomplete_ranks()
        if not waiting:
            return
        job = self._submit(waiting)
        self._watch(job)
        end = time.monotonic() + GRACE
        while undone := self.get_incomplete_ranks():
            if time.monotonic() > end:
                groups = json.loads((self.folder / GROUPS).read_bytes())["groups"]
                first = next(n for n, ranks in enumerate(groups) if undone[0] in ranks)
                raise self._failed(job, first, "without its work", "ask who keeps the cluster")
            time.sleep(0.2)

    def launch_job(self) -> None:
        """Not as datatrove does it, with a pickle."""
        raise NotImplementedError

    def _submit(self, waiting: Sequence[int]) -> str:
        size = max(self.cpus_per_task, math.ceil(len(waiting) / self.max_array_size))
        groups = [waiting[at : at + size] for at in range(0, len(waiting), size)]
        value = {"groups": groups, "world": self.world_size}
        write_atomic(self.folder / GROUPS, json.dumps(value).encode("ascii"))
        verb = [sys.executable, "-m", "bedside_core.cli", "corpus", "work"]
        command = f'exec {shlex.join([*verb, str(self.room), self.stage])} "$SLURM_ARRAY_TASK_ID"'
        script = self.get_launch_file_contents(self.get_sbatch_args(len(groups)), command)
        done = _call(["sbatch", "--parsable"], script)
        if done.returncode:
            raise ConfigError(
                f"corpus.executor: Slurm refuses the job ({_said(done.stderr)}) - correct "
                "partition, time, qos or sbatch_args"
            )
        return done.stdout.strip().partition(";")[0]

    def _left_behind(self) -> list[str]:
        """Jobs of this stage that are still waiting or running."""
        done = _call(["squeue", "--me", "--noheader", f"--name={self.job_name}", "--format=%A"])
        if done.returncode:
            raise ConfigError(
                f"corpus.executor: Slurm does not answer ({_said(done.stderr)}) - start the build "
                "where `squeue` works, or set another kind"
            )
        return sorted(set(done.stdout.split()))

    def _watch(self, job: str) -> None:
        """Wait until Slurm is done with a job; whatever ends the waiting ends the job."""
        began = time.monotonic()
        try:
            while states := _states(job):
                self._check(job, states)
                if all(state in ENDED for _, state in states):
                    return
                time.sleep(min(MAX_PAUSE, 0.2 + (time.monotonic() - began) / 20))
        except BaseException:
            _call(["scancel", job])
            raise

    def _check(self, job: str, states: Sequence[tuple[int, str]]) -> None:
        for task, state in states:
            if ENDED.get(state):
                raise self._failed(job, task, f"as {state}", ENDED[state])

    def _failed(self, job: str, task: int, how: str, advice: str) -> InputError:
        log = self.folder / "slurm_logs" / f"{job}_{task}.out"
        told = f"task {task} of Slurm job {job} ended {how} (log: {log})"
        if said := _last_error(log):
            return InputError(f"{told}: {said}")
        return InputError(
            f"{told} - {advice}; shards that are done are kept, and the same command goes on"
        )


def _states(job: str) -> list[tuple[int, str]]:
    """Number and state of each task; nothing where Slurm has forgotten the job.

    Raises:
        InputError: Slurm gives no answer for too long.
    """
    end = time.monotonic() + PATIENCE
    squeue = ["squeue", "--noheader", "--states=all", "--array", f"--jobs={job}", "--format=%K %T"]
    while True:
        done = _call(squeue)
        if not done.returncode:
            lines = [line.split() for line in done.stdout.splitlines()]
            return [(int(task), state) for task, state in lines if task.isdigit()]
        if "Invalid job id" in done.stderr:
            return []
        if time.monotonic() > end:
            raise InputError(
                f"Slurm does not answer ({_said(done.stderr)}) - the same command goes on when it "
                "does"
            )
        time.sleep(MAX_PAUSE)


def _call(command: list[str], given: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - Slurm's own programs
            command, input=given, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise ConfigError(missing(command[0])) from None


def missing(program: str) -> str:
    """What to say where Slurm is not to be found."""
    return (
        f"corpus.executor: kind is slurm, and this machine has no `{program}` - start the build on "
        "one that submits jobs, or set another kind"
    )


def _said(stderr: str) -> str:
    lines = stderr.strip().splitlines()
    return lines[-1].strip() if lines else "without a word"


def _last_error(log: Path) -> str:
    """What our verb said at its end; it quotes no text."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    said = [line for line in lines if line.startswith("bedside: ")]
    return said[-1].removeprefix("bedside: ") if said else ""
