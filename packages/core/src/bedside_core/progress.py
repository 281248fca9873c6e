"""Progress of long work: a tqdm bar with rate and ETA on a terminal, JSON lines elsewhere."""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType
from typing import Never, Self

from tqdm import tqdm

JSON_INTERVAL_SECONDS = 5.0


class Progress:
    """Count `total` units of work.

    >>> with Progress("tokenise", total=80, unit="doc") as progress:
    ...     progress.update(1, loss=3.2)
    """

    def __init__(self, name: str, *, total: int, unit: str, done: int = 0) -> None:
        """`done`: units finished before (a resumed run); they do not count in the rate."""
        self.name, self.total, self.unit, self.done, self.start_done = name, total, unit, done, done
        self.facts: dict[str, float] = {}
        self.started = time.monotonic()
        self.last_line = self.started
        self.written: int | None = None
        self.bar: tqdm[Never] | None = None
        if sys.stderr.isatty():
            self.bar = tqdm(
                total=total, desc=name, unit=unit, unit_scale=True, initial=done, dynamic_ncols=True
            )

    def update(self, count: int = 1, **facts: float) -> None:
        """Count `count` more units; `facts` are shown beside the bar (a loss, a learning rate)."""
        self.done += count
        # Where more came than was foreseen, the end moves; nobody is past it.
        self.total = max(self.total, self.done)
        self.facts.update(facts)
        if self.bar is not None:
            self.bar.total = self.total
            if facts:
                self.bar.set_postfix(facts, refresh=False)
            self.bar.update(count)
        elif time.monotonic() - self.last_line >= JSON_INTERVAL_SECONDS:
            self._write_line()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.bar.close()
        elif self.done != self.written:
            self._write_line()

    def _write_line(self) -> None:
        self.last_line = time.monotonic()
        self.written = self.done
        seconds = self.last_line - self.started
        rate = (self.done - self.start_done) / seconds if seconds > 0 else 0.0
        eta = (self.total - self.done) / rate if rate > 0 else None
        line = {
            "progress": self.name, "done": self.done, "total": self.total, "unit": self.unit,
            "seconds": round(seconds, 1), "rate": round(rate, 2),
            "eta_seconds": None if eta is None else round(eta, 1), **self.facts,
        }  # fmt: skip
        sys.stderr.write(json.dumps(line) + "\n")
        sys.stderr.flush()
