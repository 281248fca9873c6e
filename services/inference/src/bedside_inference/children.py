"""The processes that `up` starts, each with its children in a group of its own.

Tested in tests/inference/test_run.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from bedside_core import dispatch, lifeline
from bedside_core.errors import BedsideError, ConfigError

TAIL_LINES = 15
OUR_ERROR = "bedside: "
"""How the command line begins an error message."""


class ServingError(BedsideError):
    """The engine or the gateway ended; the exit code is its own."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def engine_command(options: list[str]) -> list[str]:
    """The engine verb in the engine's environment, or in this one if there are no others.

    Raises:
        ConfigError: there are others, and none is the engine's.
    """
    program = dispatch.program("engine")
    if program is None:
        environments = os.environ.get(dispatch.ENVIRONMENTS)
        if not environments:
            return _here("engine", options)
        raise ConfigError(
            f"{environments}/engine does not exist - `bash scripts/setup.sh engine` makes the "
            "engine's environment; without BEDSIDE_ENVS vLLM is looked for beside this one and in "
            "it"
        )
    return [str(program), "inference", "engine", *options]


def gateway_command(options: list[str]) -> list[str]:
    """The gateway verb in this environment."""
    return _here("gateway", options)


def _here(verb: str, options: list[str]) -> list[str]:
    return [sys.executable, "-m", "bedside_core.cli", "inference", verb, *options]


class Child:
    """One supervised process."""

    def __init__(
        self, name: str, command: list[str], grace_seconds: float, *, output: Path | None = None
    ) -> None:
        """`output`: a file (mode 0600) for what it prints; by default it shares ours."""
        self.name, self.command, self.grace_seconds = name, command, grace_seconds
        self.output = output
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it in a process group of its own, so that Ctrl-C reaches only us."""
        log = None
        if self.output is not None:
            log = os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            self.process = subprocess.Popen(  # noqa: S603
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=lifeline.tied(),
                process_group=0,
            )
        finally:
            if log is not None:
                os.close(log)

    def check(self, *, quote: bool = False) -> None:
        """Notice if it ended.

        Args:
            quote: whether the error may repeat the end of its output. Not once it has served: what
                a foreign program writes when it fails over a prompt is not ours to show.

        Raises:
            ServingError: it did; carries its own error message and exit code.
        """
        code = self.process.poll() if self.process else None
        if code is None:
            return
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        # 128 + signal, as a shell has it; a server that ends by itself is an error even at 0.
        exit_code = code if code > 0 else 128 - code if code < 0 else 1
        raise ServingError(f"the {self.name} ended ({how}){self._last_words(quote)}", exit_code)

    def stop(self) -> None:
        """Ask it to end, and wait for as long as it may take."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(self.grace_seconds)

    def kill(self) -> None:
        """End it and everything in its process group at once, if anything is left."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _last_words(self, quote: bool) -> str:
        if self.output is None:
            return "; see its message above"
        lines = self.output.read_text(encoding="utf-8", errors="replace").splitlines()
        ours = [number for number, line in enumerate(lines) if line.startswith(OUR_ERROR)]
        if ours:
            return ": " + "\n".join(lines[ours[-1] :]).removeprefix(OUR_ERROR)
        if quote:
            return f"; the end of {self.output}:\n" + "\n".join(lines[-TAIL_LINES:])
        return f"; its log is {self.output}"
