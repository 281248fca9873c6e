"""The ranks of a stage as tasks of Ray; a cluster of this machine, or a running one.

Between the build and its tasks go a path, a name and two numbers; each task makes the steps from
the settings in the room (`work.py`), and documents stay in files. Ray itself pickles what it moves
over its own sockets, so everybody who may connect to a cluster may run code on it: a cluster of
ours listens on the loopback address alone and asks for a token.

Tested in tests/corpus/clusters/test_ray.py.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datatrove.executor.ray import RayPipelineExecutor

from bedside_core.cpus import available_cpus
from bedside_core.errors import BedsideError, ConfigError, InputError
from bedside_corpus.config import Executor

ALONE = {
    # Ray's own switch for systems whose firewalls ask: node addresses are 127.0.0.1. An address of
    # the loopback that is given to `ray.init` becomes the machine's, and sockets hear everybody.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
}
"""Environment of a cluster that only this build reaches; the token is drawn for each."""
STORE_BYTES = 80 * 2**20
"""Of shared memory, near the least that Ray takes: nothing of ours is stored there."""


class RayExecutor(RayPipelineExecutor):  # type: ignore[misc]  # datatrove has no types
    """Has Ray run the ranks of a stage of a build; `cluster` is open meanwhile."""

    def __init__(
        self,
        executor: Executor,
        room: Path,
        stage: str,
        run_rank: Callable[[Path, str, int, int], None],
        *,
        ranks: int,
    ) -> None:
        """`room` holds the saved work, of whose stage `run_rank` runs a rank of so many."""
        self.room, self.stage, self.run_rank = room.absolute(), stage, run_rank
        super().__init__(
            [],
            tasks=ranks,
            workers=executor.workers or -1,
            cpus_per_task=executor.cpus_per_task,
            mem_per_cpu_gb=executor.mem_per_cpu_gb,
            logging_dir=str(self.room / stage),
        )

    def run(self) -> None:
        """Run every rank that is not done.

        Raises:
            ConfigError: no machine of the cluster is large enough for a task.
            InputError: a step says that what it was given is unusable, or a worker was killed.
        """
        import ray
        from ray.exceptions import OutOfMemoryError, RayTaskError, WorkerCrashedError

        needs = {
            "num_cpus": self.cpus_per_task,
            "memory": int(self.mem_per_cpu_gb * self.cpus_per_task * 2**30),
        }
        check_fits(needs, [node["Resources"] for node in ray.nodes() if node["Alive"]])
        # Ray would try a task that ran out of memory again and again.
        task = ray.remote(self.run_rank).options(max_retries=0, **needs)
        waiting = iter(self.get_incomplete_ranks())
        running: list[Any] = []
        while True:
            while len(running) < self.workers and (rank := next(waiting, None)) is not None:
                running.append(task.remote(self.room, self.stage, rank, self.world_size))
            if not running:
                return
            done, running = ray.wait(running)
            try:
                ray.get(done)
            except RayTaskError as error:
                raise error.cause if isinstance(error.cause, BedsideError) else error from None
            except (OutOfMemoryError, WorkerCrashedError):
                raise InputError(
                    "a worker of Ray was killed, most likely because memory ran out - set "
                    "corpus.executor.mem_per_cpu_gb higher, or workers lower; shards that are done "
                    "are kept"
                ) from None


def check_fits(needs: Mapping[str, float], nodes: Iterable[Mapping[str, float]]) -> None:
    """Whether some machine is large enough for a task: Ray would wait for one for ever.

    Args:
        needs: cores (`num_cpus`) and bytes (`memory`) of a task.
        nodes: what each machine has (`CPU`, `memory`), as Ray counts it.

    Raises:
        ConfigError: none is.
    """
    cores, size = needs["num_cpus"], needs["memory"]
    if not any(node.get("CPU", 0) >= cores and node.get("memory", 0) >= size for node in nodes):
        raise ConfigError(
            f"corpus.executor: no machine of the Ray cluster has {cores:g} cores and "
            f"{size / 2**30:g} GiB for a task - set cpus_per_task or mem_per_cpu_gb lower"
        )


@contextmanager
def cluster(executor: Executor) -> Iterator[None]:
    """A connection to the named cluster, else a cluster of this machine while the block runs.

    Raises:
        ConfigError: Ray is not in this environment, or the cluster cannot be reached.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if executor.address is None:
        os.environ.update(ALONE, RAY_AUTH_TOKEN=secrets.token_hex(32))
    try:
        import ray
    except ModuleNotFoundError:
        raise ConfigError(MISSING) from None
    with tempfile.TemporaryDirectory(prefix="bedside-ray-", ignore_cleanup_errors=True) as folder:
        try:
            if executor.address is None:
                cores = available_cpus()
                if executor.workers is not None:
                    cores = executor.workers * executor.cpus_per_task
                ray.init(
                    address="local",
                    num_cpus=cores,
                    object_store_memory=STORE_BYTES,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level="ERROR",
                    _temp_dir=folder,
                )
            else:
                ray.init(address=executor.address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"corpus.executor: Ray cannot be reached or started ({type(error).__name__}) - "
                "correct address, or leave it out to use this machine"
            ) from None
        try:
            yield
        finally:
            ray.shutdown()


MISSING = (
    "corpus.executor: kind is ray, and this environment has no Ray - run `bash scripts/setup.sh "
    "ray` and .venvs/ray/bin/bedside, or set another kind"
)
