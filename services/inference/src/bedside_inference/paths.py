"""The places that serving uses: sockets, locks and scratch, and where the gateway is reached.

Tested in tests/inference/test_config.py.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from bedside_core.errors import ConfigError
from bedside_inference.config import GatewayConfig, InferenceConfig

MAX_SOCKET_PATH_BYTES = 107
"""`sun_path` of Linux (unix(7)) holds 108 bytes with the final zero."""


def run_directory(home: Path) -> Path:
    """Where sockets, locks and scratch live while something runs: `BEDSIDE_RUN_DIR`, or below home.

    The engine's home may be mounted read-only; this may not.
    """
    return Path(os.environ.get("BEDSIDE_RUN_DIR") or home / "run").absolute()


def socket_path(config: InferenceConfig, home: Path) -> Path:
    """The engine's Unix socket.

    Raises:
        ConfigError: the path is longer than the system allows.
    """
    path = (config.engine.socket or run_directory(home) / "engine.sock").absolute()
    size = len(os.fsencode(path))
    if size > MAX_SOCKET_PATH_BYTES:
        raise ConfigError(
            f"engine socket {path}: {size} bytes, and a Unix socket path holds "
            f"{MAX_SOCKET_PATH_BYTES} - set inference.engine.socket to a shorter path in a "
            "directory of mode 0700"
        )
    return path


def base_url(gateway: GatewayConfig) -> str:
    """Where a client on this machine reaches the gateway."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(gateway.host, gateway.host)  # noqa: S104
    return f"http://[{host}]:{gateway.port}" if ":" in host else f"http://{host}:{gateway.port}"


def private_directory(path: Path) -> None:
    """Make a directory that only this user can enter.

    Raises:
        ConfigError: it exists and others can enter it.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ConfigError(
            f"{path}: mode {mode:04o} lets others reach the engine - chmod 700 {path}"
        )


def lock(path: Path) -> None:
    """Be the only engine with this lock; vLLM inherits it and holds it while it lives.

    Raises:
        ConfigError: an engine runs already.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise ConfigError(
            f"an engine is already running ({path} is held) - stop it first, or give this one "
            "another BEDSIDE_RUN_DIR and inference.engine.socket"
        ) from None
    os.set_inheritable(handle, True)
