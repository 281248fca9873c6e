"""What `bedside check` looks at for the section `inference`: files, port, the engine's environment.

Nothing of the gateway or of vLLM is imported.

Tested in tests/core/test_preflight.py.
"""

from __future__ import annotations

import errno
import importlib.util
import socket
from pathlib import Path

from bedside_core import dispatch
from bedside_core.errors import BedsideError, ConfigError
from bedside_core.inspection import Inspection
from bedside_core.kinds.evidence import read_evidence
from bedside_core.registry.registry import Registry
from bedside_inference.config import EngineConfig, GatewayConfig, InferenceConfig


def check(config: InferenceConfig, inspection: Inspection) -> None:
    """Open the files that are named, try the port, look for vLLM."""
    for setting, path in _files(config).items():
        with inspection.looking(f"inference.{setting}: {path}"):
            _open(setting, path)
    for setting, path in _made(config).items():
        with inspection.looking(f"inference.{setting}: {path}"):
            _could_be_made(setting, path)
    if inspection.extent == "machine":
        _look_at_machine(config, inspection)
    inspection.needs("tokens", config.engine.max_model_len, "inference.engine.max_model_len")


def _look_at_machine(config: InferenceConfig, inspection: Inspection) -> None:
    _try_port(config.gateway, inspection)
    _look_at_promoted(config.engine, inspection)
    if dispatch.program("engine") or importlib.util.find_spec("vllm"):
        inspection.checked("inference: the engine's environment is there")
    else:
        inspection.unsure(
            "inference: the engine's environment is not here - `bash scripts/setup.sh engine`, or "
            "the image bedside/engine"
        )


def _look_at_promoted(engine: EngineConfig, inspection: Inspection) -> None:
    """Whether these settings are those under which the promoted model was examined."""
    registry = Registry.from_environment()
    try:
        promotion = registry.current()
        if promotion is None:
            return
        head = read_evidence(registry.get(promotion.evidence), registry.keyring())
        unlike = head.unlike(registry.get(promotion.model), engine)
    except BedsideError as error:
        inspection.unsure(f"inference.engine: with what is promoted now ({error})")
        return
    if unlike:
        inspection.unsure(
            "inference.engine: what is promoted now was examined under other settings, and only "
            f"under those it is served as proven: {'; '.join(unlike)}"
        )
    else:
        inspection.checked("inference.engine: what is promoted now was examined like this")


def _files(config: InferenceConfig) -> dict[str, Path]:
    """What is named and must be there before serving."""
    syslog, oidc, tracing = config.audit.syslog, config.oidc, config.tracing
    named = {
        "audit.syslog.ca_file": syslog.ca_file if syslog else None,
        "audit.syslog.certificate": syslog.certificate if syslog else None,
        "audit.syslog.key": syslog.key if syslog else None,
        "oidc.ca_file": oidc.ca_file if oidc else None,
        "tracing.ca_file": tracing.ca_file if tracing else None,
    }
    return {setting: path for setting, path in named.items() if path is not None}


def _made(config: InferenceConfig) -> dict[str, Path]:
    """Where serving makes something of its own: the folder that it is to lie in."""
    socket, directory = config.engine.socket, config.audit.directory
    named = {
        "engine.socket": socket and socket.absolute().parent,
        "audit.directory": directory and directory.absolute(),
    }
    return {setting: path for setting, path in named.items() if path is not None}


def _could_be_made(setting: str, path: Path) -> None:
    above = next(place for place in (path, *path.parents) if place.exists())
    if not above.is_dir():
        raise ConfigError(f"inference.{setting}: {above} is not a directory - name another path")


def _open(setting: str, path: Path) -> None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise ConfigError(
            f"inference.{setting}: {path} cannot be read ({error.strerror}) - correct the path"
        ) from None


def _try_port(gateway: GatewayConfig, inspection: Inspection) -> None:
    where = f"inference.gateway: port {gateway.port} on {gateway.host}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            gateway.host, gateway.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            inspection.unsure(f"{where} is in use - by this house's gateway, or by something else?")
        else:
            inspection.fault(ConfigError(f"{where} cannot be used ({error.strerror})"))
    else:
        inspection.checked(f"{where} is free")
