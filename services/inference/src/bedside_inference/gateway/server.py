"""`bedside inference gateway`: the gateway on its port."""

from __future__ import annotations

import errno
import signal
import socket
from contextlib import suppress
from pathlib import Path

import uvicorn

from bedside_core import lifeline
from bedside_core.errors import ConfigError
from bedside_core.run import Run
from bedside_inference.config import GatewayConfig, InferenceConfig
from bedside_inference.gateway.app import build

BACKLOG = 2048


def serve(config: InferenceConfig, run: Run) -> None:
    """Serve until SIGINT or SIGTERM, then let running answers finish.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    lifeline.hold(signal.SIGTERM)
    with listen(config.gateway) as listening, suppress(KeyboardInterrupt):
        server(config, run.registry.home).run([listening])


def server(config: InferenceConfig, home: Path) -> uvicorn.Server:
    """The HTTP server; quiet, because the gateway writes its own line per request."""
    return uvicorn.Server(
        uvicorn.Config(
            build(config, home),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            lifespan="on",
            timeout_graceful_shutdown=config.gateway.drain_seconds,
        )
    )


def listen(gateway: GatewayConfig) -> socket.socket:
    """A socket that listens on the gateway's address.

    Raises:
        ConfigError: the port is in use, or the address is not ours.
    """
    host, port = gateway.host, gateway.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"inference.gateway.host: {host}: {error.strerror}") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} on {host} is in use - stop what uses it, or take another with "
                "--set inference.gateway.port=N"
            ) from None
        raise ConfigError(
            f"cannot listen on {host} port {port} ({error.strerror}) - set inference.gateway.host "
            "and inference.gateway.port to an address of this machine"
        ) from None
    return listening
