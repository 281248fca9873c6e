"""Which gateway processes live, and where in the chain the open requests of dead ones may begin.

Each process locks a file `workers/<id>` as long as it lives and notes in it the number of the first
entry that may be the begin of a request that it has not finished.

Tested in tests/inference/audit/test_journal.py.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_WIDTH = 20


class Worker:
    """This process among the writers."""

    def __init__(self, directory: Path) -> None:
        """Enter.

        Raises:
            OSError: the directory cannot be written.
        """
        directory.mkdir(mode=0o700, exist_ok=True)
        while True:
            self.id = secrets.token_hex(8)
            self.path = directory / self.id
            self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            if os.fstat(self._handle).st_nlink:
                return
            # Another process took the file for a dead one's before it was locked.
            os.close(self._handle)

    def note(self, seq: int) -> None:
        """Say that no request of this process that began before this entry is open."""
        os.pwrite(self._handle, b"%020d\n" % seq, 0)

    def leave(self, *, finished: bool) -> None:
        """Go; if not everything was finished, the file stays for the next one who looks."""
        if finished:
            self.path.unlink(missing_ok=True)
        os.close(self._handle)


class Dead(NamedTuple):
    """A worker that is gone."""

    id: str
    since: int
    """The first entry that may be an open begin."""


def dead_workers(directory: Path) -> Iterator[Dead]:
    """Workers that died; each one's file goes when the consumer asks for the next.

    A second process that looks meanwhile sees it locked and lets it be.
    """
    for path in sorted(directory.iterdir()):
        try:
            handle = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            text = os.pread(handle, _WIDTH, 0)
            if len(text) == _WIDTH and text.isdigit():
                yield Dead(path.name, int(text))
            path.unlink(missing_ok=True)
        except BlockingIOError:
            continue
        finally:
            os.close(handle)
