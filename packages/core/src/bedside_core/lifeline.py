"""Ties a process to its parent, so that nothing goes on behind the back of whoever started it.

A killed `bedside adapt` must not leave a training behind, and vLLM is a tree of processes (API
server, engine core, workers) that would keep its memory when its root dies by SIGKILL. The kernel
can help: with `PR_SET_PDEATHSIG` (prctl(2)) it sends a signal to a process at its parent's death.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

PARENT = "BEDSIDE_PARENT_PID"
"""The process that must live for this one to live; unset for a process that stands alone."""

PR_SET_PDEATHSIG = 1


def tied(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment (by default this process's) for a child that shall not outlive this one."""
    return {**(os.environ if environment is None else environment), PARENT: str(os.getpid())}


def hold(death_signal: signal.Signals) -> None:
    """Receive `death_signal` when the process named in the environment dies.

    Processes started from here on that call this are tied to this one in turn.
    """
    parent = os.environ.get(PARENT)
    me = str(os.getpid())
    if parent is not None and parent != me:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
        # The parent may have died before the call above; then nobody sends the signal any more.
        if str(os.getppid()) != parent:
            os._exit(1)
    os.environ[PARENT] = me


def call(command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Run a `bedside` command to its end and return its exit code.

    It runs in a process group of its own: Ctrl-C reaches only this process, which passes it on
    once and waits, so that the child can save its state however long that takes.
    """
    with subprocess.Popen(command, env=tied(environment), process_group=0) as child:  # noqa: S603
        try:
            return child.wait()
        except KeyboardInterrupt:
            child.terminate()
            child.wait()
            raise
