"""The main job on one machine: adapt, prove, serve, talk. `make demo` runs this.

    python demo/run.py            serves until Ctrl-C
    python demo/run.py --once     ends after the conversation

Every step is a `bedside` command that could be typed by hand; this file only puts them in order.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from bedside_core.artifacts import write_atomic
from bedside_core.cli import INTERRUPTED, fail
from bedside_core.config import load_document
from bedside_core.console import say
from bedside_core.errors import BedsideError, PolicyError
from bedside_core.pipeline import StepError, adapt, executable
from bedside_core.registry import Registry

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
    up = subprocess.Popen(_command("up"), env=environment, start_new_session=True)  # noqa: S603
    try:
        address = _wait_until_ready(up)
        for question in QUESTIONS:
            say(f"\n> {question}")
            _check("chat", subprocess.call([*_command("chat"), question], env=environment))  # noqa: S603
        say("")
        _check("report", subprocess.call(_command("report", service="eval")))  # noqa: S603
        say(f"\n{(time.monotonic() - started) / 60:.1f} minutes in all")
        say(f"\nOpenAI-compatible address: {address}/v1\nAPI key: {key}")
        if not once:
            say("Serving until Ctrl-C.")
            _check("up", up.wait())
    finally:
        _stop(up)


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
    command = [*executable("inference"), "inference", "keys", "create"]
    made = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    _check("keys create", made.returncode)
    write_atomic(path, made.stdout.encode(), mode=0o600)
    return made.stdout.strip()


def _wait_until_ready(up: subprocess.Popen[bytes]) -> str:
    gateway = load_document(CONFIG)["inference"]["gateway"]
    address = f"http://{gateway['host']}:{gateway['port']}"
    while up.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=5):  # noqa: S310 - loopback
                return address
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.5)
    raise StepError("up", up.returncode)


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
