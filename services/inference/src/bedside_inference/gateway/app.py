"""The gateway as an application: its parts, and the endpoints that use them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bedside_core.console import say
from bedside_core.errors import ArtifactError
from bedside_core.registry.registry import Registry
from bedside_inference.audit.journal import AuditLog, audit_directory
from bedside_inference.audit.pseudonyms import Pseudonyms
from bedside_inference.config import InferenceConfig
from bedside_inference.gateway import handlers
from bedside_inference.gateway.access.authentication import Authentication, owned, purpose_of
from bedside_inference.gateway.access.limits import make_limits
from bedside_inference.gateway.access.oidc import TokenVerifier
from bedside_inference.gateway.api import openapi
from bedside_inference.gateway.api.bodies import prepare_body, read_body, require_json
from bedside_inference.gateway.api.fields import REQUESTS
from bedside_inference.gateway.api.openapi import OPERATIONS, taking
from bedside_inference.gateway.api.routes import MODELS, ONE_MODEL, PUBLIC, route_of
from bedside_inference.gateway.api.structure import structure
from bedside_inference.gateway.aside import SMALL_BYTES, SMALL_STRUCTURE, aside
from bedside_inference.gateway.dispatch import Dispatch
from bedside_inference.gateway.drain import STATE, Drain
from bedside_inference.gateway.engines.admission import Admission
from bedside_inference.gateway.engines.fleet import Fleet
from bedside_inference.gateway.envelope import Envelope, Reporter
from bedside_inference.gateway.errors import (
    ApiError,
    audit_unavailable,
    body_timeout,
    forbidden_model,
    gateway_draining,
    known,
    unknown_model,
)
from bedside_inference.gateway.exchange import exchange_of
from bedside_inference.gateway.page.pages import pages
from bedside_inference.gateway.relay import EngineAnswer
from bedside_inference.gateway.seats import Seats
from bedside_inference.gateway.telemetry.metrics import Metrics, several_workers
from bedside_inference.gateway.telemetry.sampling import Sampling
from bedside_inference.gateway.telemetry.tracing import Tracing
from bedside_inference.principal import Principal
from bedside_inference.state.store import Store
from bedside_inference.state.uses import KeyUses
from bedside_inference.state.watch import Watch

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]
Identify = Callable[[Request], Coroutine[Any, Any, Principal]]

NO_TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "auto_configure": False,
}
"""FastAPI's own, which variables of the environment would otherwise switch on."""


class Gateway:
    """The parts of one gateway process, wired together."""

    def __init__(self, config: InferenceConfig, home: Path, salt_key: bytes, seats: Seats) -> None:
        """Make them; nothing runs or is opened yet.

        Args:
            config: of the house.
            home: BEDSIDE_HOME.
            salt_key: what every worker of this gateway salts the engine's prefix cache with.
            seats: the connections of this process.

        Raises:
            ConfigError: an engine's address, a certificate or a database's URL cannot be used.
        """
        self.config, self.salt_key = config, salt_key
        directory = audit_directory(config.audit, home)
        self.audit = AuditLog(directory, config.audit, workers=config.gateway.workers)
        self.drain = Drain()
        self.pseudonyms = Pseudonyms(directory, config.audit)
        self.store = Store.of(config.state, home)
        self.watch = Watch(self.store, config.state)
        self.uses = KeyUses(self.store)
        self.verifier = TokenVerifier(config.oidc) if config.oidc else None
        self.authenticate = Authentication(self.watch, self.verifier)
        self.limits = make_limits(config.limits)
        self.admission = Admission(config.admission)
        self.fleet = Fleet(config, home)
        self.dispatch = Dispatch(
            config.model_name, self.watch, self.fleet, self.limits, self.admission
        )
        self.watch.on_change = self.dispatch.enforce
        self.tracing = Tracing(config.tracing)
        self.metrics = Metrics(exemplars=config.gateway.exemplars)
        self.reporter = Reporter(self.metrics)
        self.sampling = Sampling(
            self.metrics,
            admission=self.admission,
            fleet=self.fleet,
            audit=self.audit,
            watch=self.watch,
            uses=self.uses,
            verifier=self.verifier,
            tracing=self.tracing,
            seats=seats,
            streams=lambda: self.dispatch.streams,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hold what needs a running loop.

        Raises:
            ArtifactError: the audit or the state database cannot be used.
        """
        async with AsyncExitStack() as stack:
            stack.callback(self.reporter.report)
            await stack.enter_async_context(self.tracing.running())
            await asyncio.to_thread(self.audit.start)
            stack.push_async_callback(asyncio.to_thread, self.audit.close)
            stack.callback(self.store.close)
            await asyncio.to_thread(self.store.migrate)
            await stack.enter_async_context(self.watch.running())
            await stack.enter_async_context(self.uses.running())
            await stack.enter_async_context(self.fleet.running())
            await stack.enter_async_context(self.limits.running())
            if self.verifier:
                await stack.enter_async_context(self.verifier.running())
            if several_workers():
                await stack.enter_async_context(self.sampling.running())
            yield


def build(config: InferenceConfig, home: Path, salt_key: bytes, seats: Seats) -> ASGIApp:
    """The gateway as an ASGI application.

    Raises:
        ConfigError: an engine's address, a certificate or a database's URL cannot be used.
    """
    gateway = Gateway(config, home, salt_key, seats)
    shortcut = Shortcut(_routes(gateway), {path: _generating(gateway, path) for path in REQUESTS})
    return Envelope(
        shortcut,
        route_of,
        PUBLIC,
        gateway.reporter,
        gateway.tracing,
        gateway.audit,
        gateway.drain,
    )


def document() -> dict[str, Any]:
    """The API's OpenAPI document, the same for every house: no setting changes it."""
    return openapi.document(_routes(Gateway(InferenceConfig(), Path(), b"", Seats(0, 0))).routes)


def print_document(registry: Registry) -> None:
    """Print it as JSON."""
    say(json.dumps(document(), indent=2, ensure_ascii=False))


def _routes(gateway: Gateway) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Drain]]:
        async with gateway.running():
            yield {STATE: gateway.drain}

    app = FastAPI(
        lifespan=lifespan,
        telemetry=NO_TELEMETRY,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # The redirect's target would be made from the Host header.
        redirect_slashes=False,
    )
    handlers.install(app)
    app.include_router(_api(gateway))
    app.include_router(_probes(gateway))
    app.include_router(pages(gateway.config.gateway.page, OPERATIONS))
    for path in REQUESTS:
        app.post(path, **OPERATIONS[path])(taking(path))
    return app


def _identifying(gateway: Gateway) -> Identify:
    """What routes ask for; who may do something is never decided by a path."""

    async def identify(request: Request) -> Principal:
        """Let only holders of a valid key or token pass, and note who it is.

        Raises:
            ApiError: 401 or 403 without one, 503 if it cannot be checked.
            ArtifactError: keys cannot be checked, or nothing can be recorded.
        """
        principal = await gateway.authenticate(request.headers)
        exchange = exchange_of(request.scope)
        exchange.principal = principal
        if principal.key_id is not None:
            gateway.uses.note(principal.key_id)
        record = exchange.record
        record.auth_method, record.department = principal.method, principal.department
        record.pseudonym = gateway.pseudonyms.of(principal.subject)
        record.client_address = gateway.pseudonyms.of_address(record.client_address)
        record.purpose_of_use = purpose_of(request.headers, principal)
        return principal

    return identify


def _api(gateway: Gateway) -> APIRouter:
    router = APIRouter(dependencies=[Depends(_identifying(gateway))], redirect_slashes=False)
    name = gateway.config.model_name

    def describe(request: Request) -> dict[str, Any]:
        exchange = exchange_of(request.scope)
        served = gateway.dispatch.current()
        exchange.served = served
        exchange.record.model = name
        created = int(served.created.timestamp())
        window = {"max_model_len": served.max_model_len} if served.max_model_len else {}
        return {"id": name, "object": "model", "created": created, "owned_by": "bedside", **window}

    def allowed(request: Request) -> bool:
        principal = exchange_of(request.scope).principal
        return principal is not None and principal.may_use(name)

    @router.get(MODELS, **OPERATIONS[MODELS])
    async def models(request: Request) -> dict[str, Any]:
        return {"object": "list", "data": [describe(request)] if allowed(request) else []}

    @router.get(ONE_MODEL, **OPERATIONS[ONE_MODEL])
    async def model(request: Request) -> dict[str, Any]:
        if request.path_params["name"] != name or not allowed(request):
            raise unknown_model()
        return describe(request)

    return router


class Shortcut:
    """Takes generating requests past FastAPI, whose layers cost more than the handler itself.

    FastAPI knows the same routes, describes them and answers whatever else is asked of their paths.
    """

    def __init__(self, app: FastAPI, generating: dict[str, Endpoint]) -> None:
        self.app, self.generating = app, generating

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = None
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = self.generating.get(scope["path"])
        elif scope["type"] == "http" and scope["method"] == "HEAD":
            # The same headers (RFC 9110, section 9.3.2); the server leaves the body out.
            scope = {**scope, "method": "GET"}
        if endpoint is None:
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        response = await handlers.response_of(request, endpoint(request))
        await response(scope, receive, send)


def _generating(gateway: Gateway, path: str) -> Endpoint:
    """What answers on a route of the engine's."""
    name, settings = gateway.config.model_name, gateway.config.gateway
    identify = _identifying(gateway)

    async def generate(request: Request) -> Response:
        principal = await identify(request)
        require_json(request)
        try:
            async with asyncio.timeout(settings.timeouts.body):
                raw = await read_body(request, settings.max_body_bytes)
        except TimeoutError:
            raise body_timeout() from None
        ours = owned(gateway.salt_key, principal)
        if len(raw) <= SMALL_BYTES and structure(raw) <= SMALL_STRUCTURE:
            prepared = prepare_body(raw, path, name, ours)
        else:
            prepared = await aside(prepare_body, raw, path, name, ours)
        if not principal.may_use(name):
            raise forbidden_model()
        record = exchange_of(request.scope).record
        record.model, record.parameters = name, prepared.parameters
        gateway.audit.begin(record)  # before anything is done for it
        return EngineAnswer(gateway.dispatch, settings.timeouts, path, prepared)

    return generate


def _probes(gateway: Gateway) -> APIRouter:
    router = APIRouter(redirect_slashes=False)

    @router.get("/livez", **OPERATIONS["/livez"])
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz", **OPERATIONS["/readyz"])
    async def readyz() -> Response:
        try:
            if gateway.drain.begun:
                raise gateway_draining()
            if not gateway.audit.writable:
                raise audit_unavailable()
            served = gateway.dispatch.current()
        except (ApiError, ArtifactError) as failed:
            if (error := known(failed)) is None:
                raise
            status = error.code.replace("_", " ")
            return JSONResponse({"status": status}, error.status, error.headers)
        found = {"model": served.model, "verdict": served.verdict}
        return JSONResponse({"status": "ready", "name": gateway.config.model_name, **found})

    @router.get("/metrics", **OPERATIONS["/metrics"])
    async def metrics(request: Request) -> Response:
        gateway.reporter.report()
        gateway.sampling()
        page, kind = gateway.metrics.page(request.headers.get("accept", ""))
        return Response(page, headers={"Content-Type": kind})

    return router
