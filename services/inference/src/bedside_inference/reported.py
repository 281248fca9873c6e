"""What engines and gateway say of themselves now, for the verbs that change which model answers.

Each engine is asked itself: its health page is open, and names the model. Where they are, the
gateway notes when it starts, because that may stand on its command line and in no config.
"""

from __future__ import annotations

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from bedside_core.files import write_atomic
from bedside_inference.config import InferenceConfig
from bedside_inference.paths import base_url, private_directory, socket_path
from bedside_inference.probe import ask
from bedside_inference.served import HEADER, ServedModel

NOTE = "serving.json"
ASK_SECONDS = 2.0
APPLIED_SECONDS = 3.0
"""Until a change is reported as it is, whether or not the gateway shows it."""
LOOK_SECONDS = 0.1


class Places(BaseModel):
    """Where a house's gateway and its engines are."""

    gateway: str
    engines: tuple[str, ...]


class EngineReport(NamedTuple):
    """What one engine says."""

    address: str
    served: ServedModel | None
    """None: it does not answer."""
    healthy: bool

    @property
    def answers_with(self) -> str | None:
        """The digest of the model that answers requests there, if any does."""
        served = self.served
        return served.model if served and self.healthy and not served.leaving else None

    @property
    def condition(self) -> str:
        """In a word or two."""
        if self.served is None:
            return "no answer"
        if self.served.withdrawn:
            return "withdrawn"
        if self.served.draining:
            return "ends"
        return "serves" if self.healthy else "not ready"


class GatewayReport(NamedTuple):
    """What the gateway says of the name that clients know."""

    model: str | None
    """The digest that answers; None if none does."""
    words: str
    """The verdict, or why none does."""


def configured(config: InferenceConfig, home: Path) -> Places:
    """The places that a config names.

    Raises:
        ConfigError: the engine's socket has too long a path.
    """
    engines = config.gateway.engines or (config.engine.url or str(socket_path(config, home)),)
    return Places(gateway=base_url(config.gateway), engines=engines)


def note(config: InferenceConfig, home: Path) -> None:
    """Keep for the operator's verbs where this gateway and its engines are.

    Raises:
        ArtifactError: it cannot be written.
    """
    path = home / "gateway" / NOTE
    private_directory(path.parent)
    write_atomic(path, configured(config, home).model_dump_json().encode())


def places(config: InferenceConfig, home: Path) -> Places:
    """As the gateway noted, or else as this config says.

    Raises:
        ConfigError: the engine's socket has too long a path.
    """
    try:
        return Places.model_validate_json((home / "gateway" / NOTE).read_bytes())
    except (OSError, ValidationError):
        return configured(config, home)


def engines(addresses: tuple[str, ...]) -> list[EngineReport]:
    """What each says, all asked at once."""
    with ThreadPoolExecutor(len(addresses)) as pool:
        return list(pool.map(_engine, addresses))


def _engine(address: str) -> EngineReport:
    where = Path(address) if address.startswith("/") else address
    try:
        with ask(where, "/health", timeout=ASK_SECONDS) as answer:
            said = ServedModel.model_validate_json(answer.headers.get(HEADER, ""))
            return EngineReport(address, said, answer.status == http.client.OK)
    except (OSError, http.client.HTTPException, ValidationError):
        return EngineReport(address, None, healthy=False)


def gateway(url: str) -> GatewayReport | None:
    """What it says now; None if it does not answer."""
    try:
        with ask(url, "/readyz", timeout=ASK_SECONDS) as answer:
            said = json.load(answer)
            if answer.status == http.client.OK:
                return GatewayReport(said["model"], said["verdict"])
            return GatewayReport(None, said["status"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None


def applied(
    url: str, wanted: str | None, stopped: frozenset[str], poll_seconds: float
) -> GatewayReport | None:
    """What the gateway says after a change, once it has had the time to see it.

    Args:
        url: where it is.
        wanted: the digest that must answer now; None means any.
        stopped: digests that must not.
        poll_seconds: how often it looks for changes.
    """
    time.sleep(2 * poll_seconds)
    until = time.monotonic() + APPLIED_SECONDS
    while (said := gateway(url)) is not None and said.model is not None:
        fits = said.model not in stopped and wanted in (None, said.model)
        if fits or time.monotonic() > until:
            break
        time.sleep(LOOK_SECONDS)
    return said
