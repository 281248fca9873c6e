"""An engine of our own for one of our steps, on a private socket that nobody else reaches.

The engine's verb is `bedside inference rehearse`, in the engine's environment, a child of this
process that ends with it. In containers the engine is another one's: there the step asks through
`LEASES`, a Unix socket of `bedside inference examine`, and the engine runs for as long as the
connection is held.

Tested in tests/inference/engine/test_lending.py, tests/trainer/test_replay.py.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bedside_core import dispatch, lifeline
from bedside_core.console import say
from bedside_core.errors import BedsideError, ConfigError, InputError

LEASES = "BEDSIDE_EXAM_SOCKET"
"""Names the socket of an engine that another container lends; unset where it is a child of ours."""
MAX_LINE_BYTES = 1 << 16
START_SECONDS = 900.0
"""Loading 24 billion parameters from a slow disk takes some minutes."""
LENDER_SECONDS = 60.0
"""For the container that lends engines to begin."""
STOP_SECONDS = 30.0
POLL_SECONDS = 0.25
TAIL_LINES = 15
OUR_ERROR = "bedside: "
"""How the command line begins an error message."""


class EngineError(BedsideError):
    """The engine ended or did not start; the exit code is its own."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@contextmanager
def rehearsed(options: Sequence[str], model: str) -> Iterator[Path]:
    """An engine that serves a model of the registry to this process; yields its socket.

    Args:
        options: `--config` and `--set` as this verb got them.
        model: digest of the artifact.

    Raises:
        ConfigError: there is neither an engine's environment here nor an engine that is lent.
        InputError: the engine that is lent does not serve it, and says why.
        EngineError: the engine ended before it answered, or did not answer in time.
    """
    lent = os.environ.get(LEASES)
    with _lease(Path(lent), model) if lent else _child(options, model) as path:
        yield path


@contextmanager
def _child(options: Sequence[str], model: str) -> Iterator[Path]:
    program = dispatch.program("engine")
    if program is None:
        raise ConfigError(dispatch.missing("engine"))
    # A short path: that of a Unix socket has 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="bedside-engine-") as name:
        place = Path(name) / "engine"
        command = [str(program), "inference", "rehearse", str(place), model, *options]
        with started(command, place, Path(name) / "log") as path:
            say("starting the engine for this step alone; nobody else can reach it")
            began = time.monotonic()
            wait_for(path)
            say(f"the engine answers after {time.monotonic() - began:.0f} s")
            yield path.socket


class Started:
    """An engine that was started, and has not answered yet."""

    def __init__(self, child: subprocess.Popen[bytes], place: Path, log: Path) -> None:
        self.child, self.socket, self.log = child, place / "engine.sock", log


@contextmanager
def started(command: Sequence[str], place: Path, log: Path) -> Iterator[Started]:
    """Run `bedside inference rehearse PLACE MODEL` beside this process, and end it afterwards."""
    place.mkdir(mode=0o700)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL, stdout=handle, stderr=handle,
        env=lifeline.tied(), process_group=0,
    ) as child:  # fmt: skip
        os.close(handle)
        try:
            yield Started(child, place, log)
        finally:
            _end(child)


def wait_for(engine: Started, *, given_up: Callable[[], bool] = lambda: False) -> None:
    """Wait until it listens, or until nobody waits for it any more.

    Raises:
        EngineError: it ended, or took too long; says what it said itself.
    """
    began = time.monotonic()
    while not _listens(engine.socket):
        code = engine.child.poll()
        if code is not None:
            # A program that a signal ended has the code that shells give it.
            last = _last_words(engine.log)
            raise EngineError(f"the engine ended{last}", code if code > 0 else 1)
        if given_up():
            raise EngineError("nobody waits for the engine any more", 1)
        if time.monotonic() - began > START_SECONDS:
            raise EngineError(
                f"the engine did not load the model in {START_SECONDS:.0f} s"
                f"{_last_words(engine.log)}",
                1,
            )
        time.sleep(POLL_SECONDS)


@contextmanager
def _lease(path: Path, model: str) -> Iterator[Path]:
    """Ask another container's engine for a model, and keep it while the connection is held."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(START_SECONDS)
        try:
            _connect(asked, path)
            asked.sendall(json.dumps({"model": model}).encode() + b"\n")
            with asked.makefile("rb") as lines:
                line = lines.readline(MAX_LINE_BYTES)
        except OSError as error:
            raise InputError(
                f"{LEASES}: {path} does not answer ({error.strerror or 'timeout'}) - start the "
                "engine that is lent to the evaluation (`bedside inference examine`)"
            ) from None
        try:
            said = json.loads(line)
        except ValueError:
            said = {}
        if not isinstance(said, dict) or "socket" not in said:
            reason = said.get("refused") if isinstance(said, dict) else None
            raise InputError(
                f"the engine that is lent does not serve model {model[:12]}: "
                f"{reason or 'it ended'} - look at its log"
            )
        say(f"the engine serves model {model[:12]} to this step alone")
        yield path.parent / str(said["socket"])


def _connect(asked: socket.socket, path: Path) -> None:
    """Containers start together, and the other one may be the later."""
    began = time.monotonic()
    while True:
        try:
            return asked.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() - began > LENDER_SECONDS:
                raise
        time.sleep(POLL_SECONDS)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(POLL_SECONDS)
        return probe.connect_ex(str(path)) == 0


def _last_words(log: Path) -> str:
    """What it said before it had anything to say about texts: nothing was asked yet."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    ours = [number for number, line in enumerate(lines) if line.startswith(OUR_ERROR)]
    if ours:
        return ": " + "\n".join(lines[ours[-1] :]).removeprefix(OUR_ERROR)
    return ":\n" + "\n".join(lines[-TAIL_LINES:])


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
