"""OpenAI error objects for everything that can go wrong; none quotes a request.

Each sentence is fixed. What a client or the engine wrote never becomes part of one, because errors
end up in other people's logs.
"""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

logger = logging.getLogger(__name__)

CLIENT_CLOSED = 499
"""The status that is logged for a client that left before an answer; never sent."""

CLIENT_STALLED = "client_stalled"

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


def model_loading(seconds: int | None) -> ApiError:
    """`seconds`: what is left by experience, if there is any."""
    about = f"in about {seconds} s" if seconds else "shortly"
    return ApiError(
        503,
        "model_loading",
        f"The model is loading or its engine is down; try again {about}.",
        headers={"Retry-After": str(seconds or RETRY_SECONDS)},
    )


def model_stalled() -> ApiError:
    return ApiError(
        503,
        "model_stalled",
        "The engine answers but gets no work done; try again later.",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


def model_stopped() -> ApiError:
    return ApiError(
        503, "model_stopped", "This model was taken out of service by the house.", param="model"
    )


def model_withdrawn() -> ApiError:
    return ApiError(
        503, "model_withdrawn", "This model was withdrawn and may not be used any more.",
        param="model",
    )  # fmt: skip


def audit_unavailable() -> ApiError:
    return ApiError(
        503,
        "audit_unavailable",
        "Requests cannot be recorded now, so none is served.",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


def state_unavailable() -> ApiError:
    return ApiError(
        503,
        "state_unavailable",
        "Keys cannot be checked now, so nobody is let in.",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


def forbidden_model() -> ApiError:
    return ApiError(403, "model_not_allowed", "This key may not use this model.", param="model")


def not_offered() -> ApiError:
    return ApiError(404, "not_offered", "The engine does not offer this route for this model.")


def engine_busy() -> ApiError:
    return ApiError(
        503,
        "engine_busy",
        "The engine takes no further request now; try again shortly.",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


def engine_failed() -> ApiError:
    return ApiError(502, "engine_error", "The engine failed to answer this request.")


def engine_silent() -> ApiError:
    return ApiError(504, "engine_timeout", "The engine gave no sign of life in time.")


def client_stalled() -> ApiError:
    """Only recorded: whoever does not read does not read this either."""
    return ApiError(CLIENT_CLOSED, CLIENT_STALLED, "The answer was not taken in time.")


def body_timeout() -> ApiError:
    return ApiError(
        408, "body_timeout", "The body did not arrive in time.", headers={"Connection": "close"}
    )


def internal_error() -> ApiError:
    return ApiError(500, "internal_error", "The gateway failed; this is a bug.")


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


async def respond(request: Request, error: Exception) -> Response:
    """The error object for whatever an endpoint raised."""
    match error:
        case ApiError():
            return _refuse(request, error)
        case ClientDisconnect():
            return await _client_left(request, error)
        case _:
            logger.error("a request failed", exc_info=error)
            return await _bug(request, error)


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - what it is registered for
    return _refuse(request, error)


def _refuse(request: Request, error: ApiError) -> Response:
    request.scope["bedside"].record.outcome = error.code
    return error.response()


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    code, message = STATUS_ERRORS.get(
        error.status_code, ("bad_request", "This request cannot be answered.")
    )
    headers = dict(error.headers) if error.headers else None
    return _refuse(request, ApiError(error.status_code, code, message, headers=headers))


async def _client_left(request: Request, error: Exception) -> Response:
    request.scope["bedside"].left = True
    return Response(status_code=CLIENT_CLOSED)


async def _bug(request: Request, error: Exception) -> Response:
    return _refuse(request, internal_error())
