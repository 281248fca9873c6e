"""`bedside inference openapi`: the API's OpenAPI document, for those who connect something to it.

Requests are described by the models that check them; errors by the table that makes them
(`gateway/errors.py`). The gateway does not serve the document.
Not covered: what OpenAI's answers hold in detail; their documents say it.

Form: OpenAPI Specification 3.1.1. What cannot be said in JSON Schema stands in descriptions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Annotated, Any, NamedTuple, get_args

from fastapi import Body
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from starlette.responses import Response
from starlette.routing import BaseRoute

from bedside_inference.config import PageConfig
from bedside_inference.gateway.api.fields import MAX_ANSWERS, REQUESTS
from bedside_inference.gateway.api.names import HINTS, NEUTRAL, VENDOR_FIELDS
from bedside_inference.gateway.api.parts import MAX_PATTERN, MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH
from bedside_inference.gateway.api.routes import MODELS, ONE_MODEL
from bedside_inference.gateway.errors import CLIENT_CLOSED, TABLE
from bedside_inference.gateway.page.pages import FILES, SETTINGS
from bedside_inference.served import ServedModel
from bedside_inference.state.records import PURPOSES

Json = dict[str, Any]

EXAMPLE_MODEL = "bedside"

REQUIRED = tuple(
    dict.fromkeys(
        name
        for request in REQUESTS.values()
        for name, field in request.model_fields.items()
        if field.is_required()
    )
)
"""Fields that some route must be given."""


def _errors() -> dict[int, dict[str, str]]:
    """Status -> code -> when; all that a client can get. Codes are stable, sentences are not."""
    found: dict[int, dict[str, str]] = {}
    for refusal in TABLE:
        for status in refusal.statuses:
            codes = found.setdefault(status, {})
            for field in REQUIRED if "{" in refusal.code else [""]:
                names = {"field": field, **refusal.usual}
                code = refusal.code.format_map(names)
                sentence = refusal.sentence.format_map(names)
                if code not in codes:
                    codes[code] = sentence
                elif not field:  # two causes of one code
                    codes[code] += f" Or: {sentence}"
    del found[CLIENT_CLOSED]
    return found


ERRORS = _errors()

ANY_ROUTE = (400, 408, 431, 500)
FOR_CALLERS = (*ANY_ROUTE, 401, 403, 503)
GENERATING = (*FOR_CALLERS, 404, 413, 415, 422, 429, 502, 504)

TEXT: Json = {"type": "string"}
COUNT: Json = {"type": "integer", "minimum": 0}

MARKS = ("X-Bedside-Model", "X-Bedside-Verdict")
SCOPE = "X-Bedside-Scope"
RATES = tuple(
    f"x-ratelimit-{what}-{kind}"
    for what in ("limit", "remaining", "reset")
    for kind in ("requests", "tokens")
)
HEADERS: dict[str, Json] = {
    "X-Request-Id": {
        "description": "Names the request in the house's records.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    },
    "X-Bedside-Model": {
        "description": "SHA-256 of the manifest of the model that answers.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    },
    "X-Bedside-Verdict": {
        "description": "`PROMOTE` if that model was promoted on evidence.",
        "schema": {"enum": list(get_args(ServedModel.model_fields["verdict"].annotation))},
    },
    SCOPE: {
        "description": "Only where a demo's policy gave the verdict: it says nothing of a house.",
        "schema": {"const": "demo"},
    },
    "X-AI-Generated": {"description": "A model wrote this.", "schema": {"const": "true"}},
    "Retry-After": {
        "description": "After so many seconds it is worth trying again.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "X-Should-Retry": {
        "description": "The same request again would not help.",
        "schema": {"const": "false"},
    },
    "WWW-Authenticate": {"description": "RFC 6750, section 3.", "schema": TEXT},
    "Allow": {"description": "The methods that the route takes.", "schema": TEXT},
    "Accept-Encoding": {
        "description": "How a body may be encoded: not at all.",
        "schema": {"const": "identity"},
    },
    **{
        name: {
            "description": "Of a key that has such a rate, as OpenAI writes it.",
            "schema": {"type": "string", "pattern": r"^([0-9]+m)?[0-9.]+m?s$"}
            if "-reset-" in name
            else COUNT,
        }
        for name in RATES
    },
}

ALWAYS = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    429: ("Retry-After",),
    **dict.fromkeys((500, 502, 504), ("X-Should-Retry",)),
}
"""Status -> headers that an error of it has."""
SOMETIMES = {
    **dict.fromkeys((400, 408, 431), ("X-Request-Id",)),
    403: ("WWW-Authenticate",),
    415: ("Accept-Encoding",),
    503: ("Retry-After", "X-Should-Retry"),
}
"""The same for some of its errors; what comes before a whole request has no id."""
WITHIN = frozenset({400, 404, 413, 415, 422, 429, 502, 503, 504})
"""Statuses of errors that may come when a request was counted or has reached a model."""

PARAMETERS: dict[str, Json] = {
    "Purpose": {
        "name": "X-Purpose-Of-Use",
        "in": "header",
        "description": "Why it is asked, a code of HL7 v3 PurposeOfUse; by default the key's.",
        "schema": {"enum": sorted(PURPOSES)},
    },
    "Trace": {
        "name": "traceparent",
        "in": "header",
        "description": "W3C Trace Context, for the house's records; anything else is ignored.",
        "schema": TEXT,
    },
}
NAME = {
    "name": "name",
    "in": "path",
    "required": True,
    "schema": TEXT,
    "example": EXAMPLE_MODEL,
}


def _object(required: Json, optional: Json | None = None, **more: Any) -> Json:
    properties = required | (optional or {})
    return {"type": "object", "required": list(required), "properties": properties, **more}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _usage(*counts: str) -> Json:
    return _object({name: COUNT for name in (*counts, "total_tokens")})


FINISHED: Json = {"type": "string", "description": "Why it ends, such as `stop` or `length`."}
CREATED: Json = {"type": "integer", "description": "Seconds since 1970."}


class Generation(NamedTuple):
    """What is said of a route besides its request."""

    name: str
    """Of the answer's schema, and of the operation that creates one."""
    summary: str
    answer: Json
    event: Json | None
    """The JSON of an event, where there are streams."""
    example: Json


def _chosen(kind: str, choice: Json, more: Json | None = None) -> Json:
    """An answer or an event with choices."""
    head = {"id": TEXT, "object": {"const": kind}, "created": CREATED, "model": TEXT}
    choices = _list(_object({"index": COUNT, **choice}))
    mark = {"description": "As `X-Bedside-Model`.", **HEADERS["X-Bedside-Model"]["schema"]}
    return _object({**head, "choices": choices, "system_fingerprint": mark, **(more or {})})


FINISH = {"finish_reason": FINISHED}
USED = {"usage": _usage("prompt_tokens", "completion_tokens")}
SAID = _object(
    {"role": {"const": "assistant"}, "content": {"type": ["string", "null"]}},
    {"tool_calls": _list(_ref("schemas", "ToolCall"))},
)
EMBEDDING = {
    "description": "Numbers, or base64 of 32-bit floats.",
    "anyOf": [_list({"type": "number"}), TEXT],
}
GENERATIONS = {
    "/v1/chat/completions": Generation(
        "ChatCompletion",
        "Answer a conversation",
        _chosen("chat.completion", {"message": SAID, **FINISH}, USED),
        _chosen("chat.completion.chunk", {"delta": {"type": "object"}}),
        {"messages": [{"role": "user", "content": "Was senkt den Blutdruck?"}]},
    ),
    "/v1/completions": Generation(
        "Completion",
        "Go on with a text",
        _chosen("text_completion", {"text": TEXT, **FINISH}, USED),
        _chosen("text_completion", {"text": TEXT}),
        {"prompt": "Den Blutdruck senkt"},
    ),
    "/v1/embeddings": Generation(
        "Embeddings",
        "Embed texts",
        _object(
            {
                "object": {"const": "list"},
                "model": TEXT,
                "data": _list(
                    _object(
                        {
                            "index": COUNT,
                            "object": {"const": "embedding"},
                            "embedding": EMBEDDING,
                        }
                    )
                ),
                "usage": _usage("prompt_tokens"),
            }
        ),
        None,
        {"input": ["Bluthochdruck", "Hypertonie"]},
    ),
    "/v1/responses": Generation(
        "Response",
        "Answer a conversation, in the form of the Responses API",
        _object(
            {
                "id": TEXT,
                "object": {"const": "response"},
                "created_at": CREATED,
                "model": TEXT,
                "status": {"type": "string", "description": "Such as `completed`."},
                "output": _list(_object({"type": TEXT})),
            },
            {"usage": _usage("input_tokens", "output_tokens")},
        ),
        _object({"type": TEXT, "sequence_number": COUNT}),
        {"input": "Was senkt den Blutdruck?"},
    ),
}

MODEL = _object(
    {"id": TEXT, "object": {"const": "model"}, "created": CREATED, "owned_by": TEXT},
    {
        "max_model_len": {
            "type": "integer",
            "minimum": 1,
            "description": "Tokens that prompt and answer may have together, as vLLM names it; "
            "missing if the engine does not say.",
        }
    },
    additionalProperties=False,
)
SCHEMAS = {
    "Error": _object(
        {
            "error": _object(
                {
                    "message": TEXT,
                    "type": {"enum": ["invalid_request_error", "server_error"]},
                    "param": {"type": ["string", "null"], "description": "The field at fault."},
                    "code": TEXT,
                },
                additionalProperties=False,
            )
        },
        additionalProperties=False,
    ),
    "Model": MODEL,
    "Models": _object(
        {"object": {"const": "list"}, "data": _list(_ref("schemas", "Model"))},
        additionalProperties=False,
    ),
    "Ready": _object(
        {
            "status": {"const": "ready"},
            "name": {"type": "string", "description": "What requests call the model."},
            "model": HEADERS["X-Bedside-Model"]["schema"],
            "verdict": HEADERS["X-Bedside-Verdict"]["schema"],
        },
        additionalProperties=False,
    ),
    "Status": _object({"status": TEXT}, additionalProperties=False),
}

STREAMED = (
    "What one event of the stream holds, if `stream` is true; events come as the engine makes "
    "them. A stream that breaks off ends with an `Error` (`engine_error`, `engine_timeout` or "
    "`model_stopped`) and without what else is its end: `[DONE]`, or of responses the event "
    "`response.completed`."
)

INTRODUCTION = f"""\
A language model of this house behind OpenAI's API; any OpenAI client works with it.

Whatever is answered to a whole request has an `X-Request-Id`; quote it when something is wrong.
Every generated answer names the model behind it. Errors are OpenAI error objects: `code` is stable,
`message` is for reading and repeats nothing of the request. Undeclared routes are refused with 404
(`unknown_route`), undeclared methods with 405 (`method_not_allowed`).

Requests are strict: a field that is not declared is refused with 400 (`unsupported_field`), media
are no content, and types are not converted (1.0 is no integer). Only what describes the past is
open: undeclared members of what the model said and of what tools gave are left out. Null means left
out, but in a JSON schema of the client's. `model` is the name that `GET {MODELS}` lists.
"""


def _neutral() -> str:
    values = ((n, json.dumps(value)) for n, many in NEUTRAL.items() for value in many)
    return ", ".join(f"`{name}: {value}`" for name, value in values)


BOUNDS = f"""\
Bounds that the schemas do not say: `stream_options` needs `stream`; `n` times the number of
prompts is at most {MAX_ANSWERS}; a JSON schema of the client's has at most {MAX_SCHEMA_BYTES} bytes
and {MAX_SCHEMA_DEPTH} levels, patterns of at most {MAX_PATTERN} characters, and a `$ref` only to
itself.

Known to OpenAI or vLLM and refused by all routes where they are not declared:
{", ".join(f"`{name}`" for name in sorted(VENDOR_FIELDS))}.

The same as leaving a field out, also where it is refused otherwise: {_neutral()}. Left out wherever
they stand: {", ".join(f"`{name}`" for name in sorted(HINTS))}.
"""


TAGS = [
    {"name": "generation", "description": BOUNDS},
    {"name": "models", "description": "What is served."},
    {"name": "monitoring", "description": "For the house's probes; no key is asked for."},
    {"name": "page", "description": "The page for people, which asks for a key itself."},
]
BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key of the house, or an access token of its identity provider where it "
    "has set one up.",
}


def document(routes: Sequence[BaseRoute]) -> Json:
    """The OpenAPI document of FastAPI's routes, with what they share under one name each."""
    found = get_openapi(
        title="Bedside",
        version=version("bedside-inference"),
        openapi_version="3.1.1",
        description=INTRODUCTION,
        routes=routes,
        tags=TAGS,
        servers=[{"url": "/", "description": "Where the house has put its gateway."}],
    )
    made: Json = json.loads(json.dumps(found), parse_float=_number)
    for path in made["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if "content" not in response:
                    operation["responses"][status] = _ref("responses", status)
    schemas = made["components"]["schemas"]
    for request in REQUESTS.values():
        for name in request.IGNORED:
            ignored = schemas[request.__name__]["properties"][name]
            ignored["description"] = "Accepted, because clients send it, and not passed on."
    answers = {generation.name: generation.answer for generation in GENERATIONS.values()}
    made["components"] = {
        "securitySchemes": {"bearer": BEARER},
        "parameters": PARAMETERS,
        "responses": {str(status): _refusal(status) for status in ERRORS},
        "schemas": {**schemas, **answers, **SCHEMAS},
    }
    return made | {"security": [{"bearer": []}]}


def _number(digits: str) -> int | float:
    """Whole again: FastAPI makes a float of each bound, and one of 64 bits is then another."""
    number = float(digits)
    return int(number) if number.is_integer() else number


def _operations() -> Iterator[tuple[str, Json]]:
    for path, generation in GENERATIONS.items():
        yield path, _generation(generation)
    asked = [_ref("parameters", parameter) for parameter in PARAMETERS]
    listed = _answer("What the caller may use.", "Models", may=(*MARKS, SCOPE))
    yield MODELS, _route("models", "listModels", "List models", listed, parameters=asked)
    found = _answer("The model.", "Model", must=MARKS, may=(SCOPE,))
    errors, asked = (*FOR_CALLERS, 404), [NAME, *asked]
    yield (
        ONE_MODEL,
        _route("models", "getModel", "Describe a model", found, errors, parameters=asked),
    )
    alive = _answer("The gateway runs.", "Status")
    yield "/livez", _unprotected("monitoring", "getLive", "Is it there?", alive)
    ready = _unprotected(
        "monitoring", "getReady", "Would it answer?", _answer("It would.", "Ready")
    )
    ready["responses"][503] = _answer("It would not.", "Status", may=SOMETIMES[503])
    yield "/readyz", ready
    numbers = _file("In Prometheus' text format or OpenMetrics.", "text/plain")
    numbers["content"]["application/openmetrics-text"] = {"schema": TEXT}
    yield "/metrics", _unprotected("monitoring", "getMetrics", "Metrics", numbers)
    for path, (file, media_type) in FILES.items():
        schema = PageConfig.model_json_schema() if path == SETTINGS else TEXT
        content = _file("The file.", media_type, schema)
        yield path, _unprotected("page", f"load_{file.replace('.', '_')}", f"Load {file}", content)


def _unprotected(tag: str, name: str, summary: str, answer: Json) -> Json:
    return _route(tag, name, summary, answer, ANY_ROUTE, security=[])


def _route(
    tag: str,
    name: str,
    summary: str,
    answer: Json,
    errors: tuple[int, ...] = FOR_CALLERS,
    **more: Any,
) -> Json:
    return {
        "tags": [tag],
        "operation_id": name,
        "summary": summary,
        "response_class": JSONResponse if "application/json" in answer["content"] else Response,
        "response_model": None,
        "responses": {200: answer, **{status: {} for status in sorted(errors)}},
        "openapi_extra": more,
    }


def _generation(generation: Generation) -> Json:
    answer = _answer(
        "The answer.", generation.name, must=(*MARKS, "X-AI-Generated"), may=(*RATES, SCOPE)
    )
    if generation.event is not None:
        answer["content"]["text/event-stream"] = {"schema": _stream(generation.event)}
    return _route(
        "generation",
        f"create{generation.name}",
        generation.summary,
        answer,
        GENERATING,
        parameters=[_ref("parameters", parameter) for parameter in PARAMETERS],
    )


def taking(path: str) -> Callable[..., None]:
    """What FastAPI takes for the endpoint of a generating route, to describe its request.

    `Shortcut` answers before it.
    """

    def generate(body: Any) -> None:
        raise NotImplementedError

    least = {"model": EXAMPLE_MODEL, **GENERATIONS[path].example}
    said = Body(openapi_examples={"least": {"value": least}})
    generate.__annotations__["body"] = Annotated[REQUESTS[path], said]
    return generate


def _stream(event: Json) -> Json:
    said = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"anyOf": [event, _ref("schemas", "Error")]},
    }
    data = {"anyOf": [{"const": "[DONE]"}, said]}
    return _object({"data": data}, {"event": TEXT}, description=STREAMED)


def _answer(
    description: str, schema: str, *, must: tuple[str, ...] = (), may: tuple[str, ...] = ()
) -> Json:
    return {
        "description": description,
        "headers": _headers(("X-Request-Id", *must), may),
        "content": {"application/json": {"schema": _ref("schemas", schema)}},
    }


def _file(description: str, media_type: str, schema: Json = TEXT) -> Json:
    return {
        "description": description,
        "headers": _headers(("X-Request-Id",), ()),
        "content": {media_type: {"schema": schema}},
    }


def _headers(must: tuple[str, ...], may: tuple[str, ...]) -> Json:
    return {
        **{name: HEADERS[name] | {"required": True} for name in must},
        **{name: HEADERS[name] for name in may},
    }


def _refusal(status: int) -> Json:
    must, may = ALWAYS.get(status, ()), SOMETIMES.get(status, ())
    if "X-Request-Id" not in may:
        must = ("X-Request-Id", *must)
    if status in WITHIN:
        may = (*may, *RATES, *MARKS, SCOPE)
    codes = ERRORS[status]
    return {
        "description": "\n".join(f"- `{code}`: {when}" for code, when in codes.items()),
        "headers": _headers(must, may),
        "content": {
            "application/json": {
                "schema": {
                    "allOf": [
                        _ref("schemas", "Error"),
                        {"properties": {"error": {"properties": {"code": {"enum": [*codes]}}}}},
                    ]
                }
            }
        },
    }


OPERATIONS: dict[str, Json] = dict(_operations())
"""By route, what FastAPI's decorators are told of it."""
