"""The gateway's routes."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response
from starlette.types import ASGIApp

from bedside_core.errors import ArtifactError
from bedside_inference.config import InferenceConfig
from bedside_inference.gateway import errors
from bedside_inference.gateway.bodies import prepare_body, read_body, require_json
from bedside_inference.gateway.engine_client import EngineClient
from bedside_inference.gateway.errors import ApiError, invalid_key, unknown_model
from bedside_inference.gateway.exchange import Envelope, Metrics, exchange_of
from bedside_inference.gateway.fields import REQUESTS
from bedside_inference.gateway.relay import EngineAnswer
from bedside_inference.keys import KeyStore

ONE_MODEL = "/v1/models/{name}"
ROUTES = frozenset({*REQUESTS, "/v1/models", "/livez", "/readyz", "/metrics"})


class Gateway:
    """What the routes share."""

    def __init__(self, config: InferenceConfig, home: Path) -> None:
        self.model_name = config.model_name
        self.max_body_bytes = config.gateway.max_body_bytes
        self.keys = KeyStore(home)
        self.metrics = Metrics()
        self.engine = EngineClient(config, home)
        self._salt_key = secrets.token_bytes(32)

    def cache_salt(self, key_id: str | None) -> str:
        """What keeps one key's prompts apart from another's in the engine's prefix cache.

        Nobody can guess it, and it changes with each start of the gateway.
        """
        return hmac.new(self._salt_key, str(key_id).encode(), "sha256").hexdigest()

    async def describe_model(self, request: Request) -> dict[str, Any]:
        """The model object of the API.

        Raises:
            ApiError: 503 while no engine answers.
        """
        served = exchange_of(request.scope).served = await self.engine.served()
        return {
            "id": self.model_name,
            "object": "model",
            "created": int(served.created.timestamp()),
            "owned_by": "bedside",
        }

    async def require_key(self, request: Request) -> None:
        """Let only holders of a valid key pass; hung on routes, never decided by a path or host.

        Raises:
            ApiError: 401 without a valid key, 503 if the keys cannot be read.
        """
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        try:
            key_id = self.keys.find(key.strip()) if scheme.lower() == "bearer" else None
        except ArtifactError:
            raise ApiError(503, "keys_unavailable", "The keys cannot be checked now.") from None
        if key_id is None:
            raise invalid_key()
        exchange_of(request.scope).key = key_id


def build(config: InferenceConfig, home: Path) -> ASGIApp:
    """The gateway as an ASGI application.

    Raises:
        ConfigError: the engine's socket path is too long, or its token is missing.
    """
    gateway = Gateway(config, home)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with gateway.engine.running():
            yield

    app = FastAPI(
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # The redirect's target would be made from the Host header.
        redirect_slashes=False,
    )
    errors.install(app)
    app.include_router(_api(gateway))
    app.include_router(_probes(gateway))
    return Envelope(app, ROUTES, gateway.metrics)


def _api(gateway: Gateway) -> APIRouter:
    router = APIRouter(dependencies=[Depends(gateway.require_key)], redirect_slashes=False)

    @router.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        return {"object": "list", "data": [await gateway.describe_model(request)]}

    @router.get(ONE_MODEL)
    async def model(request: Request, name: str) -> dict[str, Any]:
        exchange_of(request.scope).route = ONE_MODEL
        if name != gateway.model_name:
            raise unknown_model()
        return await gateway.describe_model(request)

    def generating(path: str) -> None:
        @router.post(path)
        async def generate(request: Request) -> Response:
            require_json(request)
            raw = await read_body(request, gateway.max_body_bytes)
            salt = gateway.cache_salt(exchange_of(request.scope).key)
            body = prepare_body(raw, path, gateway.model_name, salt)
            return EngineAnswer(gateway.engine, path, body)

    for path in REQUESTS:
        generating(path)
    return router


def _probes(gateway: Gateway) -> APIRouter:
    router = APIRouter(redirect_slashes=False)

    @router.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz")
    async def readyz() -> Response:
        try:
            served = await gateway.engine.served()
        except ApiError as error:
            return JSONResponse({"status": "model loading"}, error.status, error.headers)
        said = {"model": served.model, "verdict": served.verdict}
        return JSONResponse({"status": "ready", "name": gateway.model_name, **said})

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(gateway.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return router
