"""The main job on one machine: adapt, prove, serve, talk. `make demo` runs this.

    python demo/run.py            serves until Ctrl-C
    python demo/run.py --once     ends after the conversation

Every step is a `bedside` command that could be typed by hand; this file only puts them in order.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from bedside_core import lifeline
from bedside_core.cli import INTERRUPTED, fail
from bedside_core.config import load_document
from bedside_core.console import say
from bedside_core.dispatch import executable
from bedside_core.errors import BedsideError, ConfigError, PolicyError
from bedside_core.files import write_atomic
from bedside_core.kinds.corpus import PASSPORT_PAGE
from bedside_core.pipeline import StepError, adapt
from bedside_core.registry.registry import Registry

CONFIG = Path("configs/demo.yaml")
QUESTIONS = (
    "Was ist Bluthochdruck?",
    "Welche Beschwerden sprechen für eine Lungenentzündung?",
)


def main() -> None:
    """Run the demo; the working directory is the checkout's root."""
    started = time.monotonic()
    once = "--once" in sys.argv[1:]
    registry = Registry.from_environment()
    environment = dict(os.environ)
    _check_port()  # now, not after ten minutes of training
    try:
        adapt(CONFIG, [], registry)
    except PolicyError as error:
        say(f"\nNot promoted: {error}")
        if registry.current() is None:
            say("The base model is served instead, and every answer says that it is unproven.")
            environment["BEDSIDE_ALLOW_UNPROVEN"] = "1"
    key = _api_key(registry)
    environment["BEDSIDE_API_KEY"] = key
    say("\nServing (vLLM takes about a minute to start) ...")
    up = subprocess.Popen(  # noqa: S603
        _command("up"), env=lifeline.tied(environment), process_group=0, stdout=subprocess.PIPE
    )
    try:
        serving = _wait_until_ready(up)
        for question in QUESTIONS:
            say()
            _check("chat", lifeline.call([*_command("chat"), question], environment))
        say()
        _check("report", lifeline.call(_command("report", service="eval")))
        trained_on = registry.get("demo/corpus").path / PASSPORT_PAGE
        say(f"\n{serving}\nAPI key: {key}\nwhat it was trained on: {trained_on}")
        say(f"{(time.monotonic() - started) / 60:.1f} minutes in all")
        if not once:
            say("Serving until Ctrl-C.")
            _check("up", up.wait())
    finally:
        _stop(up)


def _check_port() -> None:
    gateway = load_document(CONFIG)["inference"]["gateway"]
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((gateway["host"], gateway["port"]))
        except OSError as error:
            raise ConfigError(
                f"port {gateway['port']} cannot be used ({error.strerror}) - stop what uses it, or "
                f"change inference.gateway.port in {CONFIG}"
            ) from None


def _command(verb: str, *, service: str = "inference") -> list[str]:
    return [*executable(service), service, verb, "--config", str(CONFIG)]


def _check(step: str, code: int) -> None:
    if code:
        raise StepError(step, code)


def _api_key(registry: Registry) -> str:
    """The key of this demo; the gateway itself keeps only its hash."""
    path = registry.home / "demo-key"
    if path.exists():
        return path.read_text(encoding="ascii").strip()
    command = [*executable("inference"), "inference", "keys", "create", "--config", str(CONFIG)]
    made = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    _check("keys create", made.returncode)
    write_atomic(path, made.stdout.encode(), mode=0o600)
    return made.stdout.strip()


def _wait_until_ready(up: subprocess.Popen[bytes]) -> str:
    """The line with which `up` says where it serves; nothing else tells that the port is ours."""
    assert up.stdout is not None  # noqa: S101 - it is a pipe
    line = up.stdout.readline()
    if not line:
        raise StepError("up", up.wait() or 1)
    return line.decode().strip()


def _stop(up: subprocess.Popen[bytes]) -> None:
    if up.poll() is None:
        up.send_signal(signal.SIGTERM)
        up.wait()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except BedsideError as error:
        sys.exit(fail(str(error), error.exit_code))
    except KeyboardInterrupt:
        sys.exit(fail("stopped; `make demo` goes on from here", INTERRUPTED))
