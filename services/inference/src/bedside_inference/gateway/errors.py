"""Every error that a client can get, in one table; none quotes a request.

Status, code and sentence stand here once. Code that refuses something calls an entry of the table,
and the OpenAPI document is made from it. Each sentence is fixed but for names and numbers of ours:
what a client or the engine wrote never becomes part of one, because errors end up in other people's
logs.

Tested in tests/inference/gateway/api/test_openapi.py.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping
from typing import TypeVar

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from bedside_inference.audit.entries import AuditError
from bedside_inference.state.errors import StateUnavailable

logger = logging.getLogger(__name__)

CLIENT_CLOSED = 499
"""The status that is logged for a client that left before an answer; never sent."""

RETRY_SECONDS = 5
RETRY: Mapping[str, str] = {"Retry-After": str(RETRY_SECONDS)}
CLOSE: Mapping[str, str] = {"Connection": "close"}
FINAL: Mapping[str, str] = {"X-Should-Retry": "false"}
"""What OpenAI's SDKs obey, where a second try only costs: the engine would do the same work again,
or nothing would have changed."""


class ApiError(Exception):
    """An answer with an OpenAI error object; made by an entry of the table only."""

    def __init__(
        self,
        refusal: Refusal,
        message: str,
        *,
        status: int,
        code: str,
        param: str | None,
        headers: dict[str, str] | None,
    ) -> None:
        super().__init__(code)
        self.refusal, self.message = refusal, message
        self.status, self.code, self.param, self.headers = status, code, param, headers

    @property
    def body(self) -> dict[str, dict[str, str | None]]:
        """The error object; where within a field the fault lies, its sentence says alone."""
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


class Refusal:
    """One entry of the table; called, it makes the error.

    >>> raise body_too_large(limit=1024)
    """

    def __init__(
        self,
        statuses: int | tuple[int, ...],
        code: str,
        sentence: str,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        **usual: str,
    ) -> None:
        """Add it to the table.

        Args:
            statuses: the one that it is sent with; of several, the caller says which.
            code: stable, for programs.
            sentence: for people; may hold `{names}` of ours, as may the code.
            param: the field at fault, if it is always the same.
            headers: what it is always sent with.
            usual: what stands for a name of the sentence if the caller does not give it.
        """
        self.statuses = (statuses,) if isinstance(statuses, int) else statuses
        self.code, self.sentence, self.param, self.headers = code, sentence, param, headers
        self.usual = usual
        TABLE.append(self)

    def __call__(
        self,
        *,
        status: int | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        **names: str | int,
    ) -> ApiError:
        """The error; what is given here comes on top of what the table says."""
        merged = {**(self.headers or {}), **(headers or {})}
        said = {**self.usual, **names} if self.usual or names else None
        return ApiError(
            self,
            self.sentence.format_map(said) if said else self.sentence,
            status=self.statuses[0] if status is None else status,
            code=self.code.format_map(said) if said else self.code,
            param=param or self.param,
            headers=merged or None,
        )


TABLE: list[Refusal] = []

# 400: the request.
no_object = Refusal(400, "invalid_json", "The body must be a JSON object.")
has_bom = Refusal(
    400,
    "invalid_json",
    "The body begins with a byte order mark (BOM); send UTF-8 without one.",
)
not_utf8 = Refusal(
    400, "invalid_json", "The body is not UTF-8; send it so, plain and not compressed."
)
wrong_json = Refusal(
    400,
    "invalid_json",
    "The body is not JSON: a parser stops at {where}.",
    where="a line and column that are named",
)
twice = Refusal(
    400,
    "invalid_json",
    "{name} stands twice in one object of the body; give each name once.",
    name="A name",
)
no_number = Refusal(
    400, "invalid_json", "{name} is no number of JSON; leave it out.", name="NaN or Infinity"
)
too_many_digits = Refusal(
    400, "invalid_json", "A number in the body is larger than any that is taken."
)
too_many_names = Refusal(
    400,
    "invalid_json",
    "An object in the body has more than {most} names.",
    most="the number of taken",
)
too_deep = Refusal(
    400, "invalid_json", "The body has too many arrays and objects within one another."
)
body_too_complex = Refusal(
    400,
    "body_too_complex",
    "The body has more than {limit} names and values; texts may be as long as the house allows.",
    limit="the allowed number of",
)
missing_model = Refusal(400, "missing_model", "'model' must be given, as a string.", param="model")
missing_field = Refusal(400, "missing_{field}", "'{field}' must be given.")
unsupported_field = Refusal(
    400,
    "unsupported_field",
    "{which} is not taken; what is: {taken}.",
    which="A field or a member of one",
    taken="the names that are declared there",
)
invalid_value = Refusal(
    400,
    "invalid_value",
    "{where} must be {what}.",
    where="A field or a member of one",
    what="of the type and the value that are declared for it",
)
context_length_exceeded = Refusal(
    400,
    "context_length_exceeded",
    # Clients that shorten a conversation look for words: LiteLLM for the first ones, LangChain for
    # the code, which the openai package does not make a part of its exception's text.
    "This model's maximum context length is {window}; prompt and answer together would be longer "
    "(context_length_exceeded). Shorten the conversation or ask for a shorter answer.",
    window="smaller",
)
tools_not_offered = Refusal(
    400,
    "tools_not_offered",
    "The engine has no parser for this model's calls, so tools are not offered: leave out 'tools', "
    "or ask who runs this house to set inference.engine.tool_call_parser.",
    param="tools",
)
too_many_tokens = Refusal(
    400,
    "too_many_tokens",
    "Prompt and answer together need more tokens than the engine takes; shorten the prompt or ask "
    "for a shorter answer.",
)
too_many_tokens_for_key = Refusal(
    400,
    "too_many_tokens",
    "Prompt and answer together need more tokens than this key has in a minute; shorten the prompt "
    "or ask for a shorter answer.",
)
unknown_purpose = Refusal(
    400,
    "unknown_purpose",
    "X-Purpose-Of-Use takes a code of HL7 v3 PurposeOfUse: {codes}.",
    codes="see its parameter",
)
engine_refused = Refusal(
    (400, 413, 415, 422),
    "engine_refused",
    "The engine refuses this request{because}.",
    because="",
)
bad_request = Refusal(400, "bad_request", "This request cannot be answered.")
bad_http = Refusal(400, "bad_http", "This is not a valid HTTP/1.1 request.")
bad_host = Refusal(400, "bad_host", "A request over HTTP/1.1 has one 'Host' header, no more.")
no_tunnel = Refusal(400, "no_tunnel", "This is no proxy, so it does not take CONNECT.")

# 401, 403: who asks.
invalid_key = Refusal(
    401,
    "invalid_api_key",
    "No valid API key: send 'Authorization: Bearer <key>' with a key of this house.",
    headers={"WWW-Authenticate": "Bearer"},
)
invalid_token = Refusal(
    401,
    "invalid_token",
    "This token is not valid here: get a new one from the house's identity provider.",
    headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},  # RFC 6750 section 3.1
)
key_revoked = Refusal(
    401,
    "key_revoked",
    "This key was revoked while its request was answered.",
    headers={"WWW-Authenticate": "Bearer"},
)
locked_out = Refusal(
    403,
    "locked_out",
    "You are locked out of this service; ask who runs it.",
)
no_role = Refusal(
    403,
    "no_role",
    "This token is valid but has no role that may use this service; ask who runs it.",
    headers={"WWW-Authenticate": 'Bearer error="insufficient_scope"'},
)
forbidden_model = Refusal(
    403, "model_not_allowed", "This key may not use this model.", param="model"
)

# 404 to 431: what is not there, and what HTTP sets bounds to.
unknown_route = Refusal(404, "unknown_route", "There is no such route{hint}.", hint="")
unknown_model = Refusal(
    404,
    "model_not_found",
    "This model is not served here; GET /v1/models lists what is.",
    param="model",
)
not_offered = Refusal(404, "not_offered", "The engine does not offer this route for this model.")
method_not_allowed = Refusal(405, "method_not_allowed", "This route does not take this method.")
headers_timeout = Refusal(408, "headers_timeout", "The headers did not arrive in time.")
body_timeout = Refusal(408, "body_timeout", "The body did not arrive in time.", headers=CLOSE)
body_too_large = Refusal(
    413,
    "body_too_large",
    # Closing, because the rest of the body is not read.
    "The body is larger than {limit}.",
    headers=CLOSE,
    limit="the house allows",
)
unsupported_media_type = Refusal(
    415, "unsupported_media_type", "Send the body as application/json."
)
unsupported_encoding = Refusal(
    415,
    "unsupported_encoding",
    "The body is compressed; send it plain, without Content-Encoding.",
    headers={"Accept-Encoding": "identity"},  # RFC 9110 section 15.5.16
)
headers_too_large = Refusal(431, "headers_too_large", "The headers are too large.")

# 429: too much.
rate_limit_exceeded = Refusal(
    429,
    "rate_limit_exceeded",
    "This key has used up its rate; Retry-After says when there is enough again.",
)
caller_queue_full = Refusal(
    429,
    "caller_queue_full",
    "You have as many requests waiting as is fair; try again later.",
)
class_queue_full = Refusal(
    429,
    "class_queue_full",
    "This priority class has as many requests waiting as is fair; try again later.",
)

# 499: recorded, never sent.
client_stalled = Refusal(CLIENT_CLOSED, "client_stalled", "The answer was not taken in time.")

# 500 and above: the house.
internal_error = Refusal(500, "internal_error", "The gateway failed; this is a bug.", headers=FINAL)
engine_failed = Refusal(
    502, "engine_error", "The engine failed to answer this request.", headers=FINAL
)
model_loading = Refusal(
    503,
    "model_loading",
    "The model is loading or its engine is down; try again {about}.",
    headers=RETRY,
    about="shortly",
)
gateway_draining = Refusal(
    503,
    "gateway_draining",
    "This gateway is about to end and only finishes what it has begun; try again shortly.",
    # Closing, so that the next request finds another gateway, or the next one here.
    headers={**RETRY, **CLOSE},
)
engine_draining = Refusal(
    503,
    "engine_draining",
    "The engine is about to end and only finishes what it has begun; try again {about}.",
    headers=RETRY,
    about="shortly",
)
model_stalled = Refusal(
    503,
    "model_stalled",
    "The engine answers but gets no work done; try again later.",
    headers=RETRY,
)
model_stopped = Refusal(
    503,
    "model_stopped",
    "This model was taken out of service by the house.",
    param="model",
    headers=FINAL,
)
model_withdrawn = Refusal(
    503,
    "model_withdrawn",
    "This model was withdrawn and may not be used any more.",
    param="model",
    headers=FINAL,
)
model_foreign = Refusal(
    503,
    "model_foreign",
    "The engine's model was proved under another key than the one that this gateway pins. Whoever "
    "runs this house compares `bedside registry keys` with the gateway's pin.",
    param="model",
    headers=FINAL,
)
engine_busy = Refusal(
    503,
    "engine_busy",
    "The engine takes no further request now; try again shortly.",
    headers=RETRY,
)
gateway_full = Refusal(
    503,
    "gateway_full",
    "The gateway has no room for a further connection; try again shortly.",
    headers={**RETRY, **CLOSE},
)
overloaded = Refusal(
    503, "overloaded", "Too many requests are waiting; try again later.", headers=RETRY
)
queue_timeout = Refusal(
    503, "queue_timeout", "No place came free in time; try again later.", headers=RETRY
)
audit_unavailable = Refusal(
    503,
    "audit_unavailable",
    "Requests cannot be recorded now, so none is served.",
    headers=RETRY,
)
state_unavailable = Refusal(
    503, "state_unavailable", "Keys cannot be checked now, so nobody is let in.", headers=RETRY
)
limits_unavailable = Refusal(
    503,
    "limits_unavailable",
    "This key's rate cannot be checked now; try again shortly.",
    headers=RETRY,
)
provider_unavailable = Refusal(
    503,
    "identity_provider_unavailable",
    "Tokens cannot be checked now because the identity provider is away; try again shortly.",
    headers=RETRY,
)
engine_silent = Refusal(
    504, "engine_timeout", "The engine gave no sign of life in time.", headers=FINAL
)


def known(error: Exception) -> ApiError | None:
    """What a client is told of an exception; nothing if that is a bug."""
    match error:
        case ApiError():
            return error
        case StateUnavailable():
            return state_unavailable()
        case AuditError():
            return audit_unavailable()
    return None


T = TypeVar("T")


async def outcome(work: Awaitable[T]) -> T | ApiError:
    """What a piece of a request's work returns, or the error that its client gets instead.

    Raises:
        ClientDisconnect: nobody is there to get one.
    """
    try:
        return await work
    except ClientDisconnect:
        raise
    except Exception as error:  # a bug is logged, and counted as outcome `internal_error`
        if (told := known(error)) is not None:
            return told
        logger.exception("a request failed")
        return internal_error()
