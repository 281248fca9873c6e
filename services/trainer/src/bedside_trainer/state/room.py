"""A full disk makes a training wait, not end.

Tested in tests/trainer/state/test_states.py.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from bedside_core.console import say
from bedside_core.memory import gib

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What making room mends. A limit on a file's size (EFBIG) stays, however long one waits."""
LOOK_SECONDS = 2.0
SAY_SECONDS = 60.0


def with_room(
    directory: Path, need: int, what: str, write: Callable[[], object], alive: Callable[[], object]
) -> None:
    """Call `write` when there is room, again if it finds the disk full, until it succeeds.

    Args:
        directory: on the disk in question.
        need: bytes that `write` takes, all of them new.
        what: is written, for the sentence.
        write: removes what it had written when it fails.
        alive: called while waiting; what it raises ends the waiting.
    """
    waited = 0.0
    while not _done(directory, need, write):
        if waited % SAY_SECONDS == 0:
            free = shutil.disk_usage(directory).free
            more = f"{gib(need - free)} more" if free < need else "a higher quota"
            say(
                f"disk full: {what} needs {gib(need)} in {directory}, {gib(free)} are free - make "
                f"room ({more}) and training goes on by itself; a signal ends it without this state"
            )
        alive()
        time.sleep(LOOK_SECONDS)
        waited += LOOK_SECONDS
    if waited:
        say(f"there is room again: {what} is written")


def _done(directory: Path, need: int, write: Callable[[], object]) -> bool:
    if shutil.disk_usage(directory).free < need:
        return False
    try:
        write()
    except OSError as error:
        if error.errno in FULL:
            return False
        raise
    return True
