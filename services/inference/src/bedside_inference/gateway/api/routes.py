"""The routes that are offered, by their templates; no right hangs on one.

Tested in tests/inference/gateway/api/test_openapi.py.
"""

from __future__ import annotations

from starlette.types import Scope

from bedside_inference.gateway.api.fields import REQUESTS
from bedside_inference.gateway.page.pages import FILES

MODELS = "/v1/models"
ONE_MODEL = "/v1/models/{name}"
PUBLIC = frozenset({*FILES, "/livez", "/readyz", "/metrics"})
"""What the page consists of and what monitoring asks for every few seconds."""
ROUTES = PUBLIC | {*REQUESTS, MODELS}


def route_of(scope: Scope) -> str:
    """The template of a request's route, for metrics and records; `unknown` for any other path."""
    path: str = scope["path"]
    if path in ROUTES:
        return path
    return ONE_MODEL if path.startswith(f"{MODELS}/") else "unknown"
