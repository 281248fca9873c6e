"""The verb starts itself once per GPU, with torch's elastic agent (what torchrun is).

One machine, no restarts: who is killed is lost, and the same command goes on from the newest state.

Tested in tests/trainer/parallel/test_world.py.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from bedside_core import lifeline
from bedside_core.errors import InputError
from bedside_trainer.parallel.world import PATIENCE


def run_as_many(count: int, arguments: Sequence[str]) -> None:
    """Run `bedside ARGUMENTS` in `count` processes that find each other, to their end.

    A signal is passed on to them, and they are given time to save.

    Raises:
        InputError: one was killed.
        SystemExit: one failed, and has said why; with its exit code.
        KeyboardInterrupt: they were stopped.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    os.environ[lifeline.PARENT] = str(os.getpid())
    # It repeats, at length, what the processes have said.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=f"bedside-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        shutdown_timeout=int(PATIENCE.total_seconds()),
    )
    try:
        elastic_launch(config, sys.executable)("-m", "bedside_core.cli", *arguments)
    except SignalException:
        raise KeyboardInterrupt from None
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode > 0:
            sys.exit(failure.exitcode)
        raise InputError(
            f"process {rank} of {count} was killed by signal {-failure.exitcode} (9: by the "
            "system, for want of memory, or by someone) - the same command goes on from the "
            "newest state"
        ) from None
