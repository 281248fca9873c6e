"""The section `inference` of a run config."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from bedside_core.addresses import is_in_house
from bedside_core.config import Config
from bedside_core.kinds.serving import Serving
from bedside_inference.names import Department
from bedside_inference.urls import is_secure

EngineAddress = Annotated[str, Field(pattern=r"^(http://[A-Za-z0-9.-]+:[0-9]+|/.+)$")]
"""`http://HOST:PORT` in a private network, or the path of a Unix socket."""


class EngineConfig(Serving):
    """How vLLM runs."""

    kv_cache_gib: Annotated[int, Field(ge=1)] = 4
    """Memory for the KV cache in GiB; only the CPU build of vLLM needs it told."""
    tool_call_parser: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")] | None = None
    """How vLLM finds calls of tools in the model's words, a name of its `--tool-call-parser` that
    fits the model; without one tools are refused."""
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


class TimeoutsConfig(Config):
    """How long a gateway waits, in seconds."""

    body: Annotated[float, Field(gt=0)] = 30
    """For the whole body of a request."""
    connect: Annotated[float, Field(gt=0)] = 5
    """For a connection to the engine."""
    first_token: Annotated[float, Field(gt=0)] = 120
    between_tokens: Annotated[float, Field(gt=0)] = 60
    answer: Annotated[float, Field(gt=0)] = 600
    """For an answer that is not streamed, which comes in one piece at its end."""
    write: Annotated[float, Field(gt=0)] = 60
    """For a client to take what it asked for."""


class HealthConfig(Config):
    """When an engine counts as working: it gets on, not just its HTTP server."""

    renamed: ClassVar = {
        "strikes": "failure_threshold",
        "canary_seconds": "idle_probe_seconds",
        "canary_timeout_seconds": "idle_probe_timeout_seconds",
    }

    interval_seconds: Annotated[float, Field(gt=0)] = 2
    failure_threshold: Annotated[int, Field(ge=1)] = 3
    """Failed probes in a row that make an engine unfit."""
    stall_seconds: Annotated[float, Field(gt=0)] = 30
    """A busy engine whose token counter rests for this long has failed a probe."""
    idle_probe_seconds: Annotated[float, Field(gt=0)] = 60
    """After so long without work an engine is asked for one token."""
    idle_probe_timeout_seconds: Annotated[float, Field(gt=0)] = 20
    """How long the answer may take."""


class PageConfig(Config):
    """What the clinician page asks with; no secret, as whoever reaches the page can read it."""

    system_prompt: Annotated[str, Field(min_length=1, max_length=8000)] | None = None
    """The house's words before every conversation."""
    max_tokens: Annotated[int, Field(ge=16)] = 1024
    """Longest answer, but never more than half of the model's window."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """This and the next three: by default the engine's own."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    """Small models fall into loops without one; 0.8 helps."""
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None


class GatewayConfig(Config):
    """The door to the engine."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes; more than one need `inference.limits.url`."""
    engines: tuple[EngineAddress, ...] = ()
    """Engines to choose from, URLs or Unix sockets; by default the one of `inference.engine`."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 1 << 20
    """Larger request bodies are refused with 413."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks whose X-Forwarded-For is believed."""
    exemplars: bool = False
    """Whether histograms name the trace of a recent request, for who asks `/metrics` for
    OpenMetrics; one worker only."""
    timeouts: TimeoutsConfig = TimeoutsConfig()
    health: HealthConfig = HealthConfig()
    page: PageConfig = PageConfig()
    drain_seconds: Annotated[int, Field(ge=0)] = 60
    """How long a stopping gateway lets answers finish, in seconds."""

    @model_validator(mode="after")
    def _exemplars_of_one(self) -> GatewayConfig:
        if self.exemplars and self.workers > 1:
            raise ValueError("exemplars need workers to be 1 - several share numbers only")
        return self


PriorityClass = Literal["emergency", "ward", "batch"]
"""Who goes first when the engine is full."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


MAX_KEY_DAYS = 3650


def _postgres_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises
    except ValueError:
        raise ValueError("cannot be read - write postgresql://ROLE@HOST:PORT/DATABASE") from None
    if parts.scheme != "postgresql":
        raise ValueError(
            "must be a PostgreSQL database, postgresql://ROLE@HOST:PORT/DATABASE - gateways share "
            "no other store"
        )
    if parts.password is not None or {"password", "sslpassword"} & set(parse_qs(parts.query)):
        raise ValueError(
            "holds a password - put it into a file of mode 0600 that PGPASSFILE names "
            "(https://www.postgresql.org/docs/current/libpq-pgpass.html)"
        )
    return url


PostgresUrl = Annotated[
    str,
    AfterValidator(_postgres_url),
    Field(json_schema_extra={"pattern": "^postgresql://"}),
]
"""The role's password is not in it."""


class StateConfig(Config):
    """Where keys, model switches and pending approvals are kept."""

    url: PostgresUrl | None = None
    """A PostgreSQL database, for example `postgresql://bedside@db/bedside` (a password belongs into
    the file that PGPASSFILE names); by default SQLite below BEDSIDE_HOME."""
    poll_seconds: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    """How often a gateway looks for changes: the delay of a revocation or a kill switch."""
    stale_seconds: Annotated[float, Field(gt=0, le=60)] = 30
    """How long a gateway goes on with what it knows while the database is away; then 503."""
    key_days: Annotated[int, Field(ge=1, le=MAX_KEY_DAYS)] = 365
    """How long a new API key is valid, in days."""


class LimitsConfig(Config):
    """Rates per key."""

    url: PostgresUrl | None = None
    """Where several workers or replicas count together, a PostgreSQL database as in
    `inference.state.url`; by default each process counts for itself, which allows only one
    worker."""


class Weights(Config):
    """Shares of the engine per class."""

    emergency: Annotated[int, Field(ge=1)] = 16
    ward: Annotated[int, Field(ge=1)] = 4
    batch: Annotated[int, Field(ge=1)] = 1


class AdmissionConfig(Config):
    """How much one gateway process lets into the engine at a time, and how much waits before it."""

    max_running: Annotated[int, Field(ge=1)] = 64
    max_running_tokens: Annotated[int, Field(ge=1)] = 1 << 20
    """Prompt and answer tokens that all running requests may have: of the prompt by its length, of
    the answer by its limit, 512 without one. Shares are reckoned with what answers truly had."""
    max_queued: Annotated[int, Field(ge=0)] = 256
    max_queued_tokens: Annotated[int, Field(ge=0)] = 1 << 20
    queue_timeout_seconds: Annotated[float, Field(gt=0)] = 60
    weights: Weights = Weights()
    """Shares of the engine while all classes wait."""
    emergency_reserve: Annotated[int, Field(ge=0)] = 4
    """Running requests, and their part of the tokens, that only the class `emergency` may fill."""

    @model_validator(mode="after")
    def _others_run_too(self) -> AdmissionConfig:
        if self.emergency_reserve >= self.max_running:
            raise ValueError("emergency_reserve must be below max_running")
        if self.max_running_tokens < self.max_running:
            raise ValueError("max_running_tokens must be at least max_running")
        return self


class SyslogConfig(Config):
    """Where `audit export syslog` sends, RFC 5424 over TLS (RFC 5425) and never otherwise."""

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 6514
    ca_file: Path
    """The authority that signed the receiver's certificate."""
    certificate: Path | None = None
    """Our own, PEM, where the receiver asks for one."""
    key: Path | None = None
    """Its private key, PEM; by default in the certificate's file."""
    enterprise_number: Annotated[int, Field(ge=1, le=(1 << 31) - 1)] = 32473
    """The house's own number (IANA, private enterprise numbers), which marks our structured data
    as `bedside@NUMBER`; by default the one that is for examples (RFC 5612)."""


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
    reserve_bytes: Annotated[int, Field(ge=0)] = 256 << 20
    """Free disk that is kept for requests of known callers: below it, what is refused before
    anybody is known is only counted."""
    segment_hours: Annotated[int, Field(ge=1)] = 24
    """A new file begins after so many bytes or hours."""
    retention_days: Annotated[int, Field(ge=1)] = 365
    """Whole files older than this are deleted by `audit retain`, leaving a signed tombstone."""
    pseudonym_days: Annotated[int, Field(ge=1)] = 30
    """How long a person keeps the same pseudonym."""
    smallest_group: Annotated[int, Field(ge=1)] = 5
    """A department of which fewer people asked is `other` in exports and reports of usage."""
    syslog: SyslogConfig | None = None
    """The house's SIEM."""


SigningAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]


class OidcRole(Config):
    """What a role of the identity provider may do here."""

    models: tuple[Name, ...] | None = None
    """Model names; by default all."""
    department: Department = "unassigned"
    priority: PriorityClass = "ward"
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    tokens_per_minute: Annotated[int, Field(ge=1)] | None = None


class OidcConfig(Config):
    """Bearer tokens of the house's identity provider."""

    issuer: str
    """Exactly as in the token's `iss`; https, or http on this machine itself."""
    audience: Annotated[str, Field(min_length=1)]
    algorithms: Annotated[tuple[SigningAlgorithm, ...], Field(min_length=1)] = ("RS256", "ES256")
    """Asymmetric ones only: with a shared secret whoever checks could also issue."""
    jwks_url: str | None = None
    """By default what the issuer's discovery document names."""
    ca_file: Path | None = None
    """The house's own certificate authority."""
    roles_claim: Annotated[str, Field(min_length=1)] = "roles"
    """Where the roles stand: a claim's whole name, or a dotted path like `realm_access.roles`."""
    roles: Annotated[dict[str, OidcRole], Field(min_length=1)]
    """By the name in the claim, the first that fits; a token with none is refused."""
    leeway_seconds: Annotated[int, Field(ge=0, le=120)] = 30
    refresh_seconds: Annotated[int, Field(ge=1)] = 300
    """How often the provider's keys are fetched anew."""
    outage_seconds: Annotated[int, Field(ge=0)] = 3600
    """How long fetched keys stay good while the provider is away; then 503."""

    @field_validator("issuer", "jwks_url")
    @classmethod
    def _nobody_between(cls, url: str | None) -> str | None:
        if url is not None and not is_secure(url):
            raise ValueError(
                "must be an https:// URL without a user name or fragment (http:// only on this "
                "machine itself) - whoever can change its answers could issue tokens"
            )
        return url

    @model_validator(mode="after")
    def _keys_last_until_the_next_fetch(self) -> OidcConfig:
        if self.outage_seconds <= self.refresh_seconds:
            raise ValueError(
                "outage_seconds must be greater than refresh_seconds - or the keys would go stale "
                "between two fetches"
            )
        return self


class TracingConfig(Config):
    """Where OpenTelemetry traces go: ids, codes, counts and times, never content or people."""

    endpoint: str = "http://127.0.0.1:4318"
    """A collector of this house that takes OTLP over HTTP: `http(s)://HOST[:PORT][/PATH]`, spans go
    to `/v1/traces` below it."""
    sample_ratio: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the traces that are sent, chosen by trace id."""
    ca_file: Path | None = None
    """The house's own certificate authority."""

    @field_validator("endpoint")
    @classmethod
    def _in_house(cls, url: str) -> str:
        if not is_in_house(url):
            raise ValueError(
                "must be an http:// or https:// URL of a loopback or private address, a name "
                "without dots, or one that ends in .internal, .local or .svc - traces stay in the "
                "house"
            )
        return url


class InferenceConfig(Config):
    """Everything about serving."""

    renamed: ClassVar = {"mock": "a program of its own, bench/mock_engine.py"}

    model_name: Name = "bedside"
    """What clients call the model."""
    engine: EngineConfig = EngineConfig()
    gateway: GatewayConfig = GatewayConfig()
    state: StateConfig = StateConfig()
    limits: LimitsConfig = LimitsConfig()
    admission: AdmissionConfig = AdmissionConfig()
    audit: AuditConfig = AuditConfig()
    oidc: OidcConfig | None = None
    tracing: TracingConfig | None = None
    """By default no traces."""
