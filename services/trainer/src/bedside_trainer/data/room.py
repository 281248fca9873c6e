"""A directory that is made once, by one process, and used by all that need the same.

It lies beside the resumable states, so `bedside registry gc` removes it when nobody has used it for
a month. Who comes while it is being made waits; what a killed process left is gone on with, or made
again. What is in it is believed only as far as its hashes hold.

Tested in tests/trainer/data/test_store.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bedside_core.files import lock_directory


@contextmanager
def alone_in(path: Path) -> Iterator[None]:
    """Hold a directory, made if need be, against other processes; marks it as used now."""
    lock = None
    while lock is None:
        path.mkdir(parents=True, exist_ok=True)
        lock = lock_directory(path)
    try:
        os.utime(path)
        yield
    finally:
        os.close(lock)
