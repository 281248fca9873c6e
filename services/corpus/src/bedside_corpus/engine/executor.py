"""datatrove's local executor, without what a corpus of a hospital cannot afford.

Its own pool waits for ever for a worker that the kernel has killed, leaves a manager process behind
when it is killed itself (with our lock in hand), and its log quotes variables, which are text.
What is kept is its contract: a pipeline of steps, a rank for each shard, a mark for each that is
done, so that a restart repeats nothing.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from datatrove.executor.local import LocalPipelineExecutor
from loguru import logger

from bedside_core.errors import InputError
from bedside_corpus.blocks.base import Step

# In every process that runs a step, since a pipeline is unpickled by its modules. What goes wrong
# is raised, and said by whoever may say it.
logger.disable("datatrove")

_executor: LocalExecutor
"""In a worker: the one whose ranks it runs."""


class LocalExecutor(LocalPipelineExecutor):  # type: ignore[misc]  # datatrove has no types
    """Runs the ranks of a pipeline in this process, or in several."""

    def __init__(self, steps: Sequence[Step], *, ranks: int, workers: int, folder: Path) -> None:
        """`folder`: where it marks the ranks that are done."""
        super().__init__(
            list(steps), tasks=ranks, workers=min(ranks, workers), logging_dir=str(folder)
        )

    def run(self, ranks: Sequence[int] | None = None) -> None:
        """Run those of the ranks, by default of all, that are not done.

        Raises:
            InputError: a step says that what it was given is unusable, or a worker was killed.
        """
        waiting = self.get_incomplete_ranks(ranks)
        if self.workers == 1 or len(waiting) == 1:
            for rank in waiting:
                self.run_alone(rank)
        elif waiting:
            self._run_beside(waiting)

    def run_alone(self, rank: int) -> None:
        """Run one rank in this process."""
        self._run_for_rank(rank, local_rank=1)

    def _run_beside(self, ranks: Sequence[int]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        before = set(multiprocessing.active_children())
        with ProcessPoolExecutor(
            min(self.workers, len(ranks)), context, initializer=_begin, initargs=(self,)
        ) as pool:
            try:
                for done in as_completed([pool.submit(_run, rank) for rank in ranks]):
                    done.result()
            except BaseException as error:
                # Nobody waits for shards that will not be used; what is half-written has no name.
                pool.shutdown(wait=False, cancel_futures=True)
                for worker in set(multiprocessing.active_children()) - before:
                    worker.kill()
                if isinstance(error, BrokenProcessPool):
                    raise InputError(
                        "a worker was killed, most likely because memory ran out - set "
                        "corpus.executor.workers lower; shards that are done are kept"
                    ) from None
                raise


def _begin(executor: LocalExecutor) -> None:
    global _executor
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The fork server lives as long as its children do, so the kernel cannot tie them to anybody.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _executor = executor


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _run(rank: int) -> None:
    _executor.run_alone(rank)
