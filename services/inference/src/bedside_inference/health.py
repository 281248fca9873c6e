"""`bedside inference health engine | gateway`: what a container's health check calls."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import NoReturn

from bedside_core.errors import ConfigError
from bedside_inference.children import ServingError
from bedside_inference.config import InferenceConfig
from bedside_inference.paths import base_url, socket_path
from bedside_inference.probe import ask


def check(config: InferenceConfig, home: Path, what: str) -> None:
    """Return if it is healthy.

    Raises:
        ConfigError: neither engine nor gateway is asked about.
        ServingError: it is not.
    """
    where: str | Path
    match what:
        case "engine":
            where, path = config.engine.url or socket_path(config, home), "/health"
        case "gateway":
            # Alive, not ready: a gateway in front of a loading engine does its work.
            where, path = base_url(config.gateway), "/livez"
        case _:
            raise ConfigError(f"health of what? {what!r} is neither engine nor gateway")
    try:
        with ask(where, path) as answer:
            if answer.status != http.client.OK:
                _fail(what, f"answers {answer.status}")
    except (OSError, http.client.HTTPException):
        _fail(what, "does not answer")


def _fail(what: str, how: str) -> NoReturn:
    raise ServingError(f"the {what} {how}", 1)
