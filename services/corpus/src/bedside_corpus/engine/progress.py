"""How far all workers are, wherever they run: each leaves a small file, one process reads them.

Tested in tests/corpus/engine/test_build.py.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bedside_core.progress import Progress

SECONDS = 1.0
"""Between two looks."""


class Heartbeat:
    """How far a worker is with its rank."""

    def __init__(self, folder: Path, rank: int) -> None:
        self._path = folder / f"{rank:05d}"
        self._done = 0
        self._next = time.monotonic() + SECONDS

    def update(self, count: int) -> None:
        """Count so many more, in the unit of the sizes."""
        self._done += count
        if time.monotonic() >= self._next:
            # A look may find it empty; the next one will not.
            self._path.parent.mkdir(exist_ok=True)
            self._path.write_text(str(self._done), encoding="ascii")
            self._next = time.monotonic() + SECONDS


@contextmanager
def watching(
    name: str, sizes: Sequence[int], unit: str, completions: Path, beats: Path
) -> Iterator[None]:
    """Show progress while the block runs.

    Args:
        name: of the work.
        sizes: of each rank.
        unit: of the sizes.
        completions: where datatrove marks the ranks that are done.
        beats: where `Heartbeat` writes.
    """

    def done() -> int:
        marked = {path.name for path in completions.glob("*")}
        running = [path for path in beats.glob("*") if path.name not in marked]
        return sum(sizes[int(number)] for number in marked) + sum(map(_read, running))

    before = done()
    with Progress(name, total=sum(sizes), unit=unit, done=before) as progress:

        def look() -> None:
            progress.update(max(0, done() - progress.done))

        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(SECONDS):
                look()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()
            look()


def _read(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii") or 0)
    except FileNotFoundError:
        return 0
