"""The section `inference` of a run config, and the places below BEDSIDE_HOME that serving uses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from bedside_core.config import Config
from bedside_core.errors import ConfigError

MAX_SOCKET_PATH_BYTES = 107
"""`sun_path` of Linux (unix(7)) holds 108 bytes with the final zero."""


class EngineConfig(Config):
    """How vLLM runs."""

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Weights and activations; `auto` takes the model's own."""
    max_model_len: Annotated[int, Field(ge=16)] = 4096
    """Longest prompt plus answer, in tokens."""
    kv_cache_gib: Annotated[int, Field(ge=1)] = 4
    """Memory for the KV cache in GiB; only the CPU build of vLLM needs it told."""
    socket: Path | None = None
    """Unix socket of the engine, in a directory of mode 0700; by default `engine.sock` in the run
    directory."""
    url: Annotated[str, Field(pattern=r"^http://[A-Za-z0-9.-]+:[0-9]+$")] | None = None
    """Where the gateway reaches an engine on another host or in another container of a private
    network, for example `http://engine:8000`; takes the place of the socket, and the engine then
    listens on that port of all its addresses and wants the house's engine token."""
    drain_seconds: Annotated[int, Field(ge=0)] = 60
    """How long a stopping engine lets answers finish, in seconds."""
    start_timeout_seconds: Annotated[int, Field(ge=1)] = 600
    """How long `up` waits for the engine to load the model."""

    @field_validator("url")
    @classmethod
    def _port_exists(cls, url: str | None) -> str | None:
        if url is not None and not 0 < int(url.rpartition(":")[2]) < 1 << 16:
            raise ValueError("the port must lie between 1 and 65535")
        return url


class GatewayConfig(Config):
    """The door to the engine."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    max_body_bytes: Annotated[int, Field(ge=1024)] = 1 << 20
    """Larger request bodies are refused with 413."""
    read_timeout_seconds: Annotated[int, Field(ge=1)] = 300
    """Longest silence of the engine before a request fails, in seconds."""
    drain_seconds: Annotated[int, Field(ge=0)] = 10
    """How long a stopping gateway lets answers finish, in seconds."""


class InferenceConfig(Config):
    """Everything about serving."""

    model_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "bedside"
    """What clients call the model."""
    engine: EngineConfig = EngineConfig()
    gateway: GatewayConfig = GatewayConfig()


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
