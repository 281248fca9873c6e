"""`bedside inference examine`: an engine that is lent to the evaluation in another container.

A lessee connects to one Unix socket, which `BEDSIDE_EXAM_SOCKET` names in both containers, and
writes a line, `{"model": DIGEST}`. It gets a line, `{"socket": PATH}` relative to the first
socket's directory, or `{"refused": REASON}`. The engine (`bedside inference rehearse`) runs for as
long as the lessee holds the connection: a killed evaluation leaves none behind. One model at a
time; who comes meanwhile waits.

Covered: only who may enter the sockets' directory (mode 0700) is served; there is no network.
Not covered: telling lessees apart - both containers run as one account and share that directory.
"""

from __future__ import annotations

import json
import logging
import os
import re
import select
import shutil
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from bedside_core import lifeline, log
from bedside_core.console import say
from bedside_core.errors import ConfigError
from bedside_core.registry.registry import Registry
from bedside_core.rehearsal import (
    LEASES,
    MAX_LINE_BYTES,
    POLL_SECONDS,
    EngineError,
    Started,
    started,
    wait_for,
)
from bedside_inference.paths import private_directory

logger = logging.getLogger(__name__)

ASKED_SECONDS = 10.0
"""For a lessee to say what it wants."""
DIGEST = re.compile(r"[0-9a-f]{64}")


def lend(path: Path, overrides: list[str], registry: Registry) -> None:
    """Lend engines until a signal ends this process.

    Args:
        path: of the run config, for the settings of the engine.
        overrides: of it.
        registry: that has the models.

    Raises:
        ConfigError: no socket is named, or others can enter its directory.
    """
    named = os.environ.get(LEASES)
    if named is None:
        raise ConfigError(
            f"{LEASES} is not set - name a socket in a directory of mode 0700 that this engine and "
            "the evaluation share"
        )
    lifeline.hold(signal.SIGTERM)
    door_path = Path(named).absolute()
    private_directory(door_path.parent)
    options = ["--config", str(path), *(w for o in overrides for w in ("--set", o))]
    door_path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(door_path))
        door_path.chmod(0o600)
        door.listen()
        say(f"engines of {registry.home} are lent at {door_path}")
        while True:
            lessee, _ = door.accept()
            with lessee:
                _serve(lessee, door_path.parent, options)


def _serve(lessee: socket.socket, shared: Path, options: list[str]) -> None:
    """One lease, from its first line to its end."""
    model = _asked(lessee)
    if model is None:
        _say(lessee, refused="the request is no line of JSON that names a model by its digest")
        return
    command = [sys.executable, "-m", "bedside_core.cli", "inference", "rehearse"]
    place = shared / "engine"
    shutil.rmtree(place, ignore_errors=True)
    facts = log.fields(model=model)
    # What vLLM prints may quote what it is asked: it ends with the lease.
    with tempfile.TemporaryDirectory(prefix="bedside-lease-") as name:
        words = [*command, str(place), model, *options]
        try:
            with started(words, place, Path(name) / "log") as engine:
                wait_for(engine, given_up=lambda: _left(lessee, 0.0))
                _say(lessee, socket=str(engine.socket.relative_to(shared)))
                logger.info("engine lent", extra=facts)
                _hold(lessee, engine)
        except EngineError as error:
            logger.warning("engine not lent", extra=facts)
            _say(lessee, refused=str(error))
    shutil.rmtree(place, ignore_errors=True)


def _asked(lessee: socket.socket) -> str | None:
    lessee.settimeout(ASKED_SECONDS)
    try:
        with lessee.makefile("rb") as lines:
            found = json.loads(lines.readline(MAX_LINE_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    model = found.get("model") if isinstance(found, dict) else None
    return model if isinstance(model, str) and DIGEST.fullmatch(model) else None


def _say(lessee: socket.socket, **said: str) -> None:
    with suppress(OSError):
        lessee.sendall(json.dumps(said).encode() + b"\n")


def _hold(lessee: socket.socket, engine: Started) -> None:
    while engine.child.poll() is None:
        if _left(lessee, POLL_SECONDS):
            return
    # The lessee sees its connection close.
    logger.error("lent engine ended", extra=log.fields(code=engine.child.returncode))


def _left(lessee: socket.socket, seconds: float) -> bool:
    """Whether the lessee has closed the connection; it has nothing more to say."""
    ready, _, _ = select.select([lessee], [], [], seconds)
    if not ready:
        return False
    try:
        return lessee.recv(1) == b""
    except OSError:
        return True
