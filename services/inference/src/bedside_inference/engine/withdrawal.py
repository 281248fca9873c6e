"""A model that is withdrawn while it is served: its engine says so for some seconds, and ends.

The registry's log is looked at every few seconds. Once it forbids the model, its evidence or what
they were made from, every request is answered 503 with a mark that the gateway knows (`door`);
after NOTICE_SECONDS the process ends with exit code 5, and the kernel takes vLLM's other processes
along (`lifeline`). A log that cannot be verified for BLIND_SECONDS ends it too, with exit code 4:
nobody could say then whether the model may be served.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

from bedside_core.errors import ArtifactError, PolicyError
from bedside_core.registry.registry import Registry
from bedside_inference.served import ServedModel

LOOK_SECONDS = 5.0
NOTICE_SECONDS = 10.0
"""Enough for every worker of a gateway to look at the engine."""
BLIND_SECONDS = 60.0

NOTICE = threading.Event()
"""Set in an engine whose model was withdrawn."""


def watch(registry: Registry, served: ServedModel) -> threading.Thread:
    """Look at the log from now on; ends the process when the model may not be served any more."""
    watcher = threading.Thread(
        target=_watch, args=(registry, served), name="withdrawal", daemon=True
    )
    watcher.start()
    return watcher


def _watch(registry: Registry, served: ServedModel) -> None:
    look = _changed(registry, lambda: _refuse(registry, served))
    seen = time.monotonic()
    while True:
        try:
            look()
            seen = time.monotonic()
        except PolicyError as error:
            NOTICE.set()
            _say(f"{error}; this engine ends")
            time.sleep(NOTICE_SECONDS)
            os._exit(error.exit_code)
        except (ArtifactError, OSError) as error:
            if time.monotonic() - seen >= BLIND_SECONDS:
                _say(f"{error}; whether the model was withdrawn is not known, this engine ends")
                os._exit(ArtifactError.exit_code)
        time.sleep(LOOK_SECONDS)


def _refuse(registry: Registry, served: ServedModel) -> None:
    withdrawals = registry.withdrawals()
    for digest in (served.model, served.evidence):
        found = withdrawals.of(digest) if digest else None
        if found is not None:
            raise PolicyError(f"model {served.model[:12]} may not be served any more: {found}")


def _changed(registry: Registry, look: Callable[[], None]) -> Callable[[], None]:
    """`look`, but only when the log is another than at the last time that went well."""
    known: list[tuple[int, int, int] | None] = []

    def once() -> None:
        now = _stamp(registry)
        if known != [now]:
            look()
            known[:] = [now]

    return once


def _stamp(registry: Registry) -> tuple[int, int, int] | None:
    try:
        found = registry.log.path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _say(message: str) -> None:
    sys.stderr.write(f"bedside: {message}\n")
    sys.stderr.flush()
