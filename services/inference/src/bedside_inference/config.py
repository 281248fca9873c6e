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


PriorityClass = Literal["emergency", "ward", "batch"]
"""Who goes first when the engine is full."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class StateConfig(Config):
    """Where keys, model switches and pending approvals are kept."""

    url: Annotated[str, Field(pattern=r"^postgresql://")] | None = None
    """A PostgreSQL database, for example `postgresql://bedside@db/bedside` (a password belongs into
    the file that PGPASSFILE names); by default SQLite below BEDSIDE_HOME."""
    poll_seconds: Annotated[float, Field(gt=0, le=5)] = 0.25
    """How often a gateway looks for changes: the delay of a revocation or a kill switch."""
    stale_seconds: Annotated[float, Field(gt=0, le=60)] = 30
    """How long a gateway goes on with what it knows while the database is away; then 503."""


class LimitsConfig(Config):
    """Rates per key."""

    url: Annotated[str, Field(pattern=r"^(postgresql|valkey)://")] | None = None
    """Where several workers or replicas count together; by default each process for itself, which
    allows only one worker."""


class Weights(Config):
    """Shares of the engine per class."""

    emergency: Annotated[int, Field(ge=1)] = 16
    ward: Annotated[int, Field(ge=1)] = 4
    batch: Annotated[int, Field(ge=1)] = 1


class AdmissionConfig(Config):
    """How much one gateway process lets into the engine at a time, and how much waits before it."""

    max_running: Annotated[int, Field(ge=1)] = 64
    max_running_tokens: Annotated[int, Field(ge=1)] = 1 << 20
    """Prompt and answer tokens of all running requests, estimated before and true afterwards."""
    max_queued: Annotated[int, Field(ge=0)] = 256
    max_queued_tokens: Annotated[int, Field(ge=0)] = 1 << 20
    queue_timeout_seconds: Annotated[float, Field(gt=0)] = 60
    weights: Weights = Weights()
    """Shares of the engine while all classes wait."""
    emergency_reserve: Annotated[int, Field(ge=0)] = 4
    """Running requests that only the class `emergency` may fill."""


class AuditConfig(Config):
    """The record of every request; without it nothing is served."""

    directory: Path | None = None
    """By default `gateway/audit` below BEDSIDE_HOME."""
    checkpoint_seconds: Annotated[float, Field(gt=0)] = 60
    checkpoint_records: Annotated[int, Field(ge=1)] = 1000
    """After so many seconds or records the chain's head is signed."""
    sync_seconds: Annotated[float, Field(gt=0)] = 1
    """How often records are forced to the disk: what a power failure can take."""
    segment_bytes: Annotated[int, Field(ge=4096)] = 64 << 20
    segment_hours: Annotated[int, Field(ge=1)] = 24
    """A new file begins after so many bytes or hours."""
    retention_days: Annotated[int, Field(ge=1)] = 365
    """Whole files older than this are deleted by `audit retain`, leaving a signed tombstone."""
    pseudonym_days: Annotated[int, Field(ge=1)] = 30
    """How long a person keeps the same pseudonym."""


class OidcRole(Config):
    """What a role of the identity provider may do here."""

    models: tuple[Name, ...] | None = None
    """Model names; by default all."""
    department: Name = "unassigned"
    priority: PriorityClass = "ward"
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    tokens_per_minute: Annotated[int, Field(ge=1)] | None = None


class OidcConfig(Config):
    """Bearer tokens of the house's identity provider."""

    issuer: Annotated[str, Field(pattern=r"^https?://")]
    """Exactly as in the token's `iss`."""
    audience: Annotated[str, Field(min_length=1)]
    algorithms: tuple[
        Literal[
            "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
        ],
        ...,
    ] = ("RS256", "ES256")
    """Asymmetric ones only: with a shared secret whoever checks could also issue."""
    jwks_url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    """By default what the issuer's discovery document names."""
    ca_file: Path | None = None
    """The house's own certificate authority."""
    roles_claim: str = "roles"
    """Where the roles stand, a dotted path, for example `realm_access.roles`."""
    roles: Annotated[dict[str, OidcRole], Field(min_length=1)]
    """By the name in the claim, the first that fits; a token with none is refused."""
    leeway_seconds: Annotated[int, Field(ge=0, le=120)] = 30
    refresh_seconds: Annotated[int, Field(ge=1)] = 300
    """How often the provider's keys are fetched anew."""
    outage_seconds: Annotated[int, Field(ge=0)] = 3600
    """How long fetched keys stay good while the provider is away; then 503."""


class InferenceConfig(Config):
    """Everything about serving."""

    model_name: Name = "bedside"
    """What clients call the model."""
    engine: EngineConfig = EngineConfig()
    gateway: GatewayConfig = GatewayConfig()
    state: StateConfig = StateConfig()
    limits: LimitsConfig = LimitsConfig()
    admission: AdmissionConfig = AdmissionConfig()
    audit: AuditConfig = AuditConfig()
    oidc: OidcConfig | None = None


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
