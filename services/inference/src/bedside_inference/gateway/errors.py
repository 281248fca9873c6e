"""OpenAI error objects for everything that can go wrong; none quotes a request.

Each sentence is fixed. What a client or the engine wrote never becomes part of one, because errors
end up in other people's logs.
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

CLIENT_CLOSED = 499
"""The status that is logged for a client that left before an answer; never sent."""

RETRY_SECONDS = 5


class ApiError(Exception):
    """An answer with an OpenAI error object."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.param = status, code, message, param
        self.headers = headers

    @property
    def body(self) -> dict[str, dict[str, str | None]]:
        """The error object."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {
            "error": {
                "message": self.message,
                "type": kind,
                "param": self.param,
                "code": self.code,
            }
        }

    def response(self) -> JSONResponse:
        return JSONResponse(self.body, self.status, self.headers)


def invalid_key() -> ApiError:
    return ApiError(
        401,
        "invalid_api_key",
        "No valid API key: send 'Authorization: Bearer <key>' with a key of this house.",
        headers={"WWW-Authenticate": "Bearer"},
    )


def unknown_model() -> ApiError:
    return ApiError(
        404,
        "model_not_found",
        "This model is not served here; GET /v1/models lists what is.",
        param="model",
    )


def not_ready() -> ApiError:
    return ApiError(
        503,
        "engine_unavailable",
        "The model is loading or the engine is down; try again shortly.",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


def engine_failed() -> ApiError:
    return ApiError(502, "engine_error", "The engine failed to answer this request.")


def engine_silent() -> ApiError:
    return ApiError(504, "engine_timeout", "The engine gave no sign of life in time.")


STATUS_ERRORS = {
    404: ("unknown_route", "There is no such route."),
    405: ("method_not_allowed", "This route does not take this method."),
}


def install(app: FastAPI) -> None:
    """Let every exception of the app become an OpenAI error object."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _client_left)
    app.add_exception_handler(Exception, _bug)


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - what it is registered for
    return error.response()


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    code, message = STATUS_ERRORS.get(
        error.status_code, ("bad_request", "This request cannot be answered.")
    )
    headers = dict(error.headers) if error.headers else None
    return ApiError(error.status_code, code, message, headers=headers).response()


async def _client_left(request: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED)


async def _bug(request: Request, error: Exception) -> Response:
    return ApiError(500, "internal_error", "The gateway failed; this is a bug.").response()
