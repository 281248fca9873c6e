"""What becomes of an exception on the way of a request: an error object, noted in its record.

Tested in tests/inference/gateway/test_app.py.
"""

from __future__ import annotations

from collections.abc import Awaitable

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from bedside_core.errors import ArtifactError
from bedside_inference.gateway.api.fields import REQUESTS
from bedside_inference.gateway.api.routes import MODELS
from bedside_inference.gateway.errors import (
    CLIENT_CLOSED,
    ApiError,
    bad_request,
    internal_error,
    known,
    method_not_allowed,
    outcome,
    unknown_route,
)
from bedside_inference.gateway.exchange import exchange_of, refused

BY_STATUS = {404: unknown_route, 405: method_not_allowed}

ENDINGS = tuple(path.removeprefix("/v1") for path in (*REQUESTS, MODELS))
MISPLACED = "; a client's base URL ends in /v1, and its routes have no slash at their end"


def install(app: FastAPI) -> None:
    """Let every exception of the app become an OpenAI error object."""
    app.add_exception_handler(ApiError, _known)
    app.add_exception_handler(ArtifactError, _known)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _client_left)
    app.add_exception_handler(Exception, _known)


async def response_of(request: Request, work: Awaitable[Response]) -> Response:
    """What an endpoint returns, or the error object for what it raises."""
    try:
        found = await outcome(work)
    except ClientDisconnect as error:
        return await _client_left(request, error)
    return _refuse(request, found) if isinstance(found, ApiError) else found


def _refuse(request: Request, error: ApiError) -> Response:
    refused(exchange_of(request.scope), error)
    return error.response()


async def _known(request: Request, error: Exception) -> Response:
    return _refuse(request, known(error) or internal_error())


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    headers = {**(error.headers or {})}
    if headers.get("Allow") == "GET":
        headers["Allow"] = "GET, HEAD"
    refusal = BY_STATUS.get(error.status_code, bad_request)
    hint = {"hint": MISPLACED} if error.status_code == 404 and misplaced(request) else {}
    return _refuse(request, refusal(status=error.status_code, headers=headers, **hint))


def misplaced(request: Request) -> bool:
    """Whether a path ends as one of the API's does, so that a client's base URL is at fault."""
    return request.url.path.rstrip("/").endswith(ENDINGS)


async def _client_left(request: Request, error: Exception) -> Response:
    exchange_of(request.scope).left = True
    return Response(status_code=CLIENT_CLOSED)
