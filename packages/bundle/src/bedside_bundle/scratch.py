"""A hidden directory beside the target, so that the last step is one rename on one file system."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bedside_core.files import disk_errors, lock_directory, sweep

ROOT = ".bedside-bundle"


@contextmanager
def scratch(beside: Path) -> Iterator[Path]:
    """An empty directory for this process; what killed processes left is removed first."""
    root = beside / ROOT
    with disk_errors(str(beside)):
        path, lock = _locked(root)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)
        with suppress(OSError):  # another process still works there
            root.rmdir()


def _locked(root: Path) -> tuple[Path, int]:
    while True:
        root.mkdir(parents=True, exist_ok=True)
        sweep(root)
        try:
            path = Path(tempfile.mkdtemp(dir=root))
        except FileNotFoundError:  # another process ended and took the root away
            continue
        lock = lock_directory(path)
        if lock is not None:
            return path, lock
