"""How many connections a gateway process holds, so that files never run out for what is served.

Each connection is an open file, each answer one more to its engine, and the audit, the databases
and the log need some at any moment. So connections have a bound of their own, below that of files.
Above it whoever rests longest goes: first connections on which nobody has shown a key, then those
between two requests. A request is refused only when all others are being answered.

Covered: silent, slow and kept connections of any number. Not covered: how many one address may
hold; a proxy or firewall in front does that.
"""

from __future__ import annotations

import resource
from typing import Protocol

BACKLOG = 2048
"""Most connections that the kernel holds for us and may hand over at once."""
FILES_KEPT = 64
"""For audit, databases, probes, collectors and the log."""


class Seat(Protocol):
    """A connection that can be closed."""

    def abort(self) -> None:
        """Close it now."""


class Seats:
    """The connections of one process."""

    def __init__(self, files: int, running: int) -> None:
        """Share out the open files that the process may have.

        Args:
            files: how many that are.
            running: requests that are at the engines at a time, as far as files allow.
        """
        self.backlog = max(1, min(BACKLOG, files // 8))
        free = files - FILES_KEPT
        self.most = max(free - self.backlog - running, free // 2, 1)
        """Connections at a time."""
        self._strangers: dict[Seat, None] = {}
        """Nobody has shown a key on it, and no request is being answered; the longest first."""
        self._known: dict[Seat, None] = {}
        """The same, after an answer to somebody known."""
        self._busy: set[Seat] = set()
        self.evicted = 0
        """Resting connections that were closed for others."""
        self.refused = 0
        """Requests for which there was no room."""

    def __len__(self) -> int:
        return len(self._strangers) + len(self._known) + len(self._busy)

    def enter(self, seat: Seat) -> None:
        """A connection begins; one that rests may have to go for it."""
        if len(self) >= self.most and (resting := self._strangers or self._known):
            longest = next(iter(resting))
            del resting[longest]
            self.evicted += 1
            longest.abort()
        self._strangers[seat] = None

    def begin(self, seat: Seat) -> bool:
        """A request has come on it; whether there is room to answer it."""
        if len(self._busy) >= self.most:
            self.refused += 1
            return False
        self._strangers.pop(seat, None)
        self._known.pop(seat, None)
        self._busy.add(seat)
        return True

    def rest(self, seat: Seat, *, known: bool) -> None:
        """Its request has been answered; `known`: to somebody with a key."""
        if seat in self._busy:
            self._busy.remove(seat)
            (self._known if known else self._strangers)[seat] = None

    def leave(self, seat: Seat) -> None:
        """It is closed."""
        self._strangers.pop(seat, None)
        self._known.pop(seat, None)
        self._busy.discard(seat)


def raise_open_files() -> int:
    """Have as many open files as this process may; returns how many.

    The usual soft limit, 1,024, is for programs that use select(2); this one does not.
    """
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
