"""What SIGTERM does to an engine: one that loads ends at once, one that serves drains.

vLLM goes on loading for as long as it takes before it ends, and once it drains its server still
takes requests that it can only answer with 500. So the signal is ours: while vLLM loads it ends
this process, and with it vLLM's others (`lifeline`); from the start of its server on it tells the
door (`door`), and then vLLM.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

ENDING = (signal.SIGTERM, signal.SIGINT)
DRAINING = threading.Event()
"""Set in an engine that lets running answers finish and takes no new request."""

Handler = Callable[[int, FrameType | None], Any] | int | None

_serving = threading.Event()
_theirs: dict[int, Handler] = {}
"""What vLLM and its event loop want to be called at a signal."""
_install = signal.signal


def hold_back() -> None:
    """Keep signals that end a process pending, until the program that follows calls `loading`.

    The first process of a container loses every signal that it has no handler for yet.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)


def loading() -> None:
    """End at a signal, without waiting for what is being loaded; until `serving` is called."""
    for number in ENDING:
        _theirs[number] = _install(number, _end)
    signal.signal = _remember  # type: ignore[assignment] # whatever vLLM installs meanwhile
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def serving() -> None:
    """From now on drain at a signal; called in the main thread once vLLM has its handlers."""
    if _serving.is_set():
        return
    for number in ENDING:
        if number not in _theirs:
            _theirs[number] = _install(number, _end)
    _serving.set()


def _remember(number: int, handler: Handler) -> Handler:
    if number not in ENDING:
        return _install(number, handler)
    before, _theirs[number] = _theirs[number], handler
    return before


def _end(number: int, frame: FrameType | None) -> None:
    theirs = _theirs[number]
    if not _serving.is_set() or theirs == signal.SIG_DFL:
        os._exit(128 + number)
    DRAINING.set()
    if callable(theirs):
        theirs(number, frame)
