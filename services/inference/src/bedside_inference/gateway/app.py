"""The gateway's routes, and what they share."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bedside_core.errors import ArtifactError
from bedside_inference.audit.journal import AuditLog, audit_directory
from bedside_inference.audit.pseudonyms import Pseudonyms
from bedside_inference.config import InferenceConfig
from bedside_inference.gateway import errors
from bedside_inference.gateway.access.limits import make_limits
from bedside_inference.gateway.access.oidc import TokenVerifier
from bedside_inference.gateway.api.bodies import Prepared, prepare_body, read_body, require_json
from bedside_inference.gateway.api.fields import REQUESTS
from bedside_inference.gateway.engines.admission import Admission, engine_priority
from bedside_inference.gateway.engines.fleet import Fleet
from bedside_inference.gateway.engines.monitor import Monitor
from bedside_inference.gateway.errors import (
    ApiError,
    audit_unavailable,
    body_timeout,
    forbidden_model,
    invalid_key,
    state_unavailable,
    unknown_model,
)
from bedside_inference.gateway.exchange import Ended, Envelope, Exchange, exchange_of
from bedside_inference.gateway.page.pages import FILES, pages
from bedside_inference.gateway.relay import EngineAnswer
from bedside_inference.gateway.telemetry.metrics import Metrics, several_workers
from bedside_inference.gateway.telemetry.tracing import Tracing
from bedside_inference.principal import Principal
from bedside_inference.served import ServedModel
from bedside_inference.state.records import PREFIX, Purpose, State
from bedside_inference.state.store import Store
from bedside_inference.state.watch import Watch

MODELS = "/v1/models"
ONE_MODEL = "/v1/models/{name}"
PUBLIC = frozenset({*FILES, "/livez", "/readyz", "/metrics"})
"""What the page consists of and what monitoring asks for every few seconds."""
ROUTES = PUBLIC | {*REQUESTS, MODELS}

Endpoint = Callable[[Request], Awaitable[Response]]

PURPOSE_HEADER = "x-purpose-of-use"
PURPOSES = frozenset(get_args(Purpose))

NO_TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "auto_configure": False,
}
"""FastAPI's own, which variables of the environment would otherwise switch on."""

BYTES_PER_TOKEN = 3
"""Of German prose with today's tokenizers, rounded down: an estimate must not be too low."""
USUAL_ANSWER = 512
"""Tokens that an answer without a limit is taken to have until its true number is known."""


class Gateway:
    """One process's view of keys, engines, limits and audit."""

    def __init__(self, config: InferenceConfig, home: Path, salt_key: bytes) -> None:
        """Make it; nothing runs or is opened yet.

        `salt_key`: what every worker of this gateway salts the engine's prefix cache with.

        Raises:
            ConfigError: an engine's address or a certificate cannot be used.
        """
        self.config, self.home = config, home
        self._salt_key = salt_key
        self.metrics = Metrics(exemplars=config.gateway.exemplars)
        self.ended = Ended(self.metrics)
        self.tracing = Tracing(config.tracing)
        self.fleet = Fleet(config, home)
        self.admission = Admission(config.admission)
        self.limits = make_limits(config.limits)
        self.tokens = TokenVerifier(config.oidc) if config.oidc else None
        self.audit = AuditLog(audit_directory(config.audit, home), config.audit)
        self.pseudonyms = Pseudonyms(audit_directory(config.audit, home), config.audit)
        self._live: dict[EngineAnswer, set[str]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hold what needs a running loop.

        Raises:
            ArtifactError: the audit or the state database cannot be used.
        """
        async with AsyncExitStack() as stack:
            stack.callback(self.ended.report)
            await stack.enter_async_context(self.tracing.running())
            await asyncio.to_thread(self.audit.start)
            stack.push_async_callback(asyncio.to_thread, self.audit.close)
            store = await asyncio.to_thread(Store.open, self.config.state, self.home)
            stack.callback(store.close)
            self.watch = Watch(store, self.config.state, on_change=self._enforce)
            await stack.enter_async_context(self.watch.running())
            await stack.enter_async_context(self.fleet.running())
            await stack.enter_async_context(self.limits.running())
            if self.tokens:
                await stack.enter_async_context(self.tokens.running())
            if several_workers():
                await stack.enter_async_context(self.metrics.sampling(self))
            yield

    async def require_principal(self, request: Request) -> Principal:
        """Let only holders of a valid key or token pass; asked by routes, never decided by a path.

        Raises:
            ApiError: 401 or 403 without one, 503 if it cannot be checked or recorded.
        """
        exchange = exchange_of(request.scope)
        scheme, _, credential = request.headers.get("authorization", "").partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential:
            raise invalid_key()
        if self.tokens is not None and not credential.startswith(PREFIX):
            principal = await self.tokens.verify(credential)
        else:
            found = self.state.find(credential, datetime.now(UTC))
            if found is None:
                raise invalid_key()
            principal = found
        exchange.principal = principal
        record = exchange.record
        record.auth_method, record.key_id = principal.method, principal.key_id
        record.department = principal.department
        record.purpose_of_use = _purpose(request, principal)
        try:
            record.subject = self.pseudonyms.of(principal.subject)
        except ArtifactError:
            raise audit_unavailable() from None
        return principal

    @property
    def state(self) -> State:
        """Keys, aliases and stopped models.

        Raises:
            ApiError: 503, they are not known well enough.
        """
        try:
            return self.watch.state
        except ArtifactError:
            raise state_unavailable() from None

    def owned(self, principal: Principal) -> dict[str, str | int]:
        """The fields of a request that only the gateway sets.

        The salt keeps one department's prompts apart from another's in the engine's prefix cache:
        an answer that comes faster because somebody else asked the same would tell so.
        """
        salt = _salt(self._salt_key, principal.department)
        return {"cache_salt": salt, "priority": engine_priority(principal.priority)}

    def begin(self, exchange: Exchange) -> None:
        """Record that a request is about to be answered, before anything is done for it.

        Raises:
            ApiError: 503, it cannot be recorded.
        """
        try:
            self.audit.begin(exchange.record)
        except ArtifactError:
            raise audit_unavailable() from None

    @asynccontextmanager
    async def place(self, exchange: Exchange, request: Prepared) -> AsyncIterator[list[Monitor]]:
        """A place at the engines that may answer, within the caller's rates.

        Raises:
            ApiError: 400 it asks for more than there ever is, 429 or 503 there is none now.
        """
        principal = exchange.principal
        assert principal is not None  # noqa: S101 - hung on the route
        self._candidates(principal)  # nobody waits for a model that is not there
        prompt = request.prompt_bytes // BYTES_PER_TOKEN + 1
        limit = USUAL_ANSWER if request.max_tokens is None else request.max_tokens
        tokens = prompt + request.answers * limit
        grant = await self.limits.take(
            principal.subject,
            principal.requests_per_minute,
            principal.tokens_per_minute,
            tokens,
        )
        exchange.headers.update(grant.headers)
        usage = exchange.usage
        ticket = self.admission.enter(principal.subject, principal.priority, tokens)
        try:
            async with ticket:
                exchange.admitted = time.monotonic()
                candidates = self._candidates(principal)
                exchange.asked = candidates[0].served
                exchange.record.decisions = self._decisions(principal, exchange.asked)
                yield candidates
        finally:
            exchange.queued, exchange.released = ticket.queued_seconds, time.monotonic()
            if usage.completion_tokens is not None and usage.prompt_tokens is None:
                usage.prompt_tokens = prompt
            used = (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
            if exchange.left and exchange.admitted is not None and not used:
                used = tokens  # the engine worked for it, nobody knows how much
            await self.limits.settle(grant, used)

    def _candidates(self, principal: Principal) -> list[Monitor]:
        state = self.state
        digest = self.fleet.target(state.alias(self.config.model_name), principal.subject)
        return self.fleet.choose(digest, state.stopped)

    def _decisions(self, principal: Principal, asked: ServedModel | None) -> tuple[str, ...]:
        """What the house's rules made of a request, as codes."""
        canary = self.state.alias(self.config.model_name).canary
        trial = asked is not None and asked.model == canary
        return (f"class_{principal.priority}", *(("canary",) if trial else ()))

    def current(self) -> ServedModel:
        """What would answer a caller who is on no trial.

        Raises:
            ApiError: 503, nothing would.
        """
        state = self.state
        return self.fleet.served(state.alias(self.config.model_name).primary, state.stopped)

    @contextmanager
    def live(self, answer: EngineAnswer, engines: list[Monitor]) -> Iterator[None]:
        """While engines are asked for an answer, so that the kill switch finds it."""
        self._live[answer] = {engine.served.model for engine in engines if engine.served}
        try:
            yield
        finally:
            del self._live[answer]

    @property
    def streams(self) -> int:
        """Event streams that are being answered."""
        return sum(answer.request.stream for answer in self._live)

    def _enforce(self, state: State) -> None:
        for answer, digests in self._live.items():
            if digests & state.stopped:
                answer.stop()


@lru_cache(maxsize=1024)
def _salt(key: bytes, department: str) -> str:
    return hmac.new(key, department.encode(), "sha256").hexdigest()


def build(config: InferenceConfig, home: Path, salt_key: bytes) -> ASGIApp:
    """The gateway as an ASGI application.

    Raises:
        ConfigError: an engine's address or a certificate cannot be used.
    """
    gateway = Gateway(config, home, salt_key)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with gateway.running():
            yield

    app = FastAPI(
        lifespan=lifespan,
        telemetry=NO_TELEMETRY,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # The redirect's target would be made from the Host header.
        redirect_slashes=False,
    )
    errors.install(app)
    app.include_router(_api(gateway))
    app.include_router(_probes(gateway))
    app.include_router(pages())
    shortcut = Shortcut(app, {path: _generating(gateway, path) for path in REQUESTS})
    return Envelope(shortcut, route_of, PUBLIC, gateway.ended, gateway.tracing, gateway.audit)


def route_of(scope: Scope) -> str:
    """The template of a request's route, for metrics and records; no right hangs on it."""
    path: str = scope["path"]
    if path in ROUTES:
        return path
    return ONE_MODEL if path.startswith(f"{MODELS}/") else "unknown"


def _api(gateway: Gateway) -> APIRouter:
    router = APIRouter(dependencies=[Depends(gateway.require_principal)], redirect_slashes=False)
    name = gateway.config.model_name

    def describe(request: Request) -> dict[str, Any]:
        exchange = exchange_of(request.scope)
        served = gateway.current()
        exchange.served = served
        exchange.record.model = name
        created = int(served.created.timestamp())
        return {"id": name, "object": "model", "created": created, "owned_by": "bedside"}

    def allowed(request: Request) -> bool:
        principal = exchange_of(request.scope).principal
        return principal is not None and principal.may_use(name)

    @router.get(MODELS)
    async def models(request: Request) -> dict[str, Any]:
        return {"object": "list", "data": [describe(request)] if allowed(request) else []}

    @router.get(ONE_MODEL)
    async def model(request: Request, name: str) -> dict[str, Any]:
        if name != gateway.config.model_name or not allowed(request):
            raise unknown_model()
        return describe(request)

    return router


class Shortcut:
    """Takes generating requests past FastAPI, whose layers cost more than the handler itself.

    FastAPI knows the same routes and answers whatever else is asked of their paths.
    """

    def __init__(self, app: FastAPI, generating: dict[str, Endpoint]) -> None:
        self.app, self.generating = app, generating
        app.router.routes.extend(
            Route(path, endpoint, methods=["POST"]) for path, endpoint in generating.items()
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = None
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = self.generating.get(scope["path"])
        if endpoint is None:
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await endpoint(request)
        except Exception as error:  # noqa: BLE001 - each becomes an error object
            response = await errors.respond(request, error)
        await response(scope, receive, send)


def _generating(gateway: Gateway, path: str) -> Endpoint:
    """What answers on a route of the engine's."""
    name = gateway.config.model_name

    async def generate(request: Request) -> Response:
        principal = await gateway.require_principal(request)
        require_json(request)
        try:
            async with asyncio.timeout(gateway.config.gateway.timeouts.body):
                raw = await read_body(request, gateway.config.gateway.max_body_bytes)
        except TimeoutError:
            raise body_timeout() from None
        prepared = prepare_body(raw, path, name, gateway.owned(principal))
        if not principal.may_use(name):
            raise forbidden_model()
        exchange = exchange_of(request.scope)
        exchange.record.model, exchange.record.parameters = name, prepared.parameters
        gateway.begin(exchange)
        return EngineAnswer(gateway, path, prepared)

    return generate


def _probes(gateway: Gateway) -> APIRouter:
    router = APIRouter(redirect_slashes=False)

    @router.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz")
    async def readyz() -> Response:
        try:
            if not gateway.audit.writable:
                raise audit_unavailable()
            served = gateway.current()
        except ApiError as error:
            status = error.code.replace("_", " ")
            return JSONResponse({"status": status}, error.status, error.headers)
        said = {"model": served.model, "verdict": served.verdict}
        return JSONResponse({"status": "ready", "name": gateway.config.model_name, **said})

    @router.get("/metrics")
    async def metrics(request: Request) -> Response:
        gateway.ended.report()
        gateway.metrics.sample(gateway)
        page, kind = gateway.metrics.page(request.headers.get("accept", ""))
        return Response(page, headers={"Content-Type": kind})

    return router


def _purpose(request: Request, principal: Principal) -> str:
    """The purpose of use that a client states, otherwise that of its key.

    Raises:
        ApiError: 400, it is no code of the value set.
    """
    stated = request.headers.get(PURPOSE_HEADER)
    if stated is None:
        return principal.purpose
    if stated not in PURPOSES:
        raise ApiError(
            400,
            "unknown_purpose",
            f"X-Purpose-Of-Use takes a code of HL7 v3 PurposeOfUse: {', '.join(sorted(PURPOSES))}.",
        )
    return stated
