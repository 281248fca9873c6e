"""`bedside inference up`: the engine and the gateway in front of it, until Ctrl-C.

engine    verifies what is promoted, then becomes vLLM        (its own environment)
gateway   answers from the first moment, 503 while loading    (this environment)
"""

from __future__ import annotations

import http.client
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bedside_core.config import load_document, load_section
from bedside_core.console import say
from bedside_core.errors import ConfigError
from bedside_core.files import locked
from bedside_core.registry.registry import Registry
from bedside_inference.children import Child, ServingError, engine_command, gateway_command
from bedside_inference.config import InferenceConfig
from bedside_inference.gateway.server import listen
from bedside_inference.paths import base_url, private_directory, run_directory
from bedside_inference.probe import ask

POLL_SECONDS = 0.25
STATUS_SECONDS = 10.0
GRACE_SECONDS = 15
"""What a child gets on top of its own time to finish before it is killed."""


def up(path: Path, overrides: list[str], registry: Registry) -> None:
    """Start both, wait until the model answers, and watch them until one is told to stop.

    Raises:
        ConfigError: this home is being served already, or the port is in use.
        ServingError: the engine or the gateway ended, or the model did not load in time.
    """
    config = load_section(InferenceConfig, load_document(path, overrides), "inference")
    options = ["--config", str(path), *(w for o in overrides for w in ("--set", o))]
    run = run_directory(registry.home)
    private_directory(run)
    engine = Child("engine", engine_command(options), GRACE_SECONDS, output=run / "engine.log")
    gateway = Child(
        "gateway",
        gateway_command(options),
        config.gateway.drain_seconds + GRACE_SECONDS,
        output=run / "gateway.log",
    )
    with only_one(run):
        listen(config.gateway).close()  # a port in use is told before the model loads
        try:
            gateway.start()
            engine.start()
            try:
                ready = wait_until_ready(config, [engine, gateway])
            except BaseException:
                gateway.kill()  # it has nothing to finish yet
                raise
            say(
                f"serving {ready['name']} (model {ready['model'][:12]}, {ready['verdict']}) at "
                f"{base_url(config.gateway)}/v1 - Ctrl-C stops"
            )
            while True:
                for child in (engine, gateway):
                    child.check()
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            say("stopping")
        finally:
            # The gateway first, so that it can still finish answers.
            stop([gateway, engine])


def wait_until_ready(config: InferenceConfig, children: list[Child]) -> dict[str, str]:
    """Wait for the gateway's `/readyz`, showing how long it takes; returns what it says.

    Raises:
        ServingError: a child ended, or the time is over.
    """
    limit = config.engine.start_timeout_seconds
    started = time.monotonic()
    shown = started - STATUS_SECONDS
    while (ready := readiness(base_url(config.gateway))) is None:
        for child in children:
            child.check(quote=True)
        now = time.monotonic()
        if now - started > limit:
            raise ServingError(
                f"the engine did not load the model in {limit} s - look into its log "
                f"({children[0].output}), or raise inference.engine.start_timeout_seconds",
                1,
            )
        if sys.stderr.isatty() or now - shown >= STATUS_SECONDS:
            shown = now
            show_waiting(now - started, limit)
        time.sleep(POLL_SECONDS)
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    return ready


def show_waiting(seconds: float, limit: int) -> None:
    """One status line: redrawn on a terminal, a JSON line elsewhere."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\rloading the model into vLLM: {seconds:.0f} s (limit {limit} s)")
    else:
        line = {"progress": "load model", "seconds": round(seconds, 1), "limit_seconds": limit}
        sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()


def readiness(url: str) -> dict[str, str] | None:
    """What the gateway says of the model once that answers."""
    try:
        with ask(url, "/readyz") as answer:
            return dict(json.load(answer)) if answer.status == http.client.OK else None
    except (OSError, http.client.HTTPException, ValueError):
        return None


def stop(children: list[Child]) -> None:
    """End children one after the other; a second Ctrl-C ends them at once."""
    try:
        for child in children:
            child.stop()
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for child in children:
            child.kill()


@contextmanager
def only_one(run: Path) -> Iterator[None]:
    """Be the only `up` of this home.

    Raises:
        ConfigError: there is another.
    """
    try:
        with locked(run / "up.lock", wait=False):
            yield
    except BlockingIOError:
        raise ConfigError(
            f"already serving from {run.parent} - stop the other `bedside inference up`, or point "
            "BEDSIDE_HOME at another directory"
        ) from None
