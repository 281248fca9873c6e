"""The outermost layer of vLLM's server: who may ask what, and which model answers.

Covered: every path that is not listed is 404, whatever vLLM adds; on a network every listed path
but `/health` wants the house's engine token; every response names the verified model; once that is
withdrawn, everything is 503; from the signal that ends the engine on, so is every request but for
its metrics, while the answers that run finish.
Not covered: what a request's body asks for (the gateway's task), and encryption on the wire.
"""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING

from bedside_inference.engine import ending
from bedside_inference.engine.withdrawal import NOTICE
from bedside_inference.secret import ENGINE_TOKEN, read_secret
from bedside_inference.served import HEADER, VARIABLE, ServedModel

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN = frozenset({("GET", "/health")})
METRICS = ("GET", "/metrics")
ALLOWED = OPEN | {
    METRICS,
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/responses"),
}
NETWORK = "BEDSIDE_ENGINE_NETWORK"
"""Set to 1 where vLLM listens on a network, not on a Unix socket in a private directory."""


class Door:
    """A pure ASGI middleware, named to vLLM with `--middleware`."""

    def __init__(self, app: ASGIApp) -> None:
        """Read what is served and the token from the environment.

        Raises:
            ConfigError: the token is missing or a placeholder.
        """
        self.app = app
        served = ServedModel.model_validate_json(os.environ[VARIABLE])
        self.mark = _mark(served)
        self.withdrawn_mark = _mark(served.model_copy(update={"withdrawn": True}))
        self.draining_mark = _mark(served.model_copy(update={"draining": True}))
        self.token = read_secret(ENGINE_TOKEN) if os.environ.get(NETWORK) == "1" else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            ending.serving()  # vLLM's server starts, so it has its handlers
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return

        async def marked_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] >= 500 and ending.DRAINING.is_set():
                    # It was let in a moment too early, or cut off at the drain's end.
                    message["status"] = 503
                message["headers"] = [*message.get("headers", ()), self._said(message["status"])]
            await send(message)

        status = self._refusal(scope)
        if status is None:
            await self.app(scope, receive, marked_send)
        else:
            await marked_send({"type": "http.response.start", "status": status, "headers": []})
            await marked_send({"type": "http.response.body", "body": b""})

    def _said(self, status: int) -> tuple[bytes, bytes]:
        """The mark of an answer; that of a refusal says why."""
        if status == 503 and NOTICE.is_set():
            return self.withdrawn_mark
        return self.draining_mark if status == 503 and ending.DRAINING.is_set() else self.mark

    def _refusal(self, scope: Scope) -> int | None:
        asked = (scope["method"], scope["path"])
        if NOTICE.is_set():
            return 503
        if asked not in ALLOWED:
            return 404
        if self.token is not None and asked not in OPEN:
            expected = f"Bearer {self.token}".encode()
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, expected):
                return 401
        return 503 if ending.DRAINING.is_set() and asked != METRICS else None


def _mark(served: ServedModel) -> tuple[bytes, bytes]:
    return HEADER.lower().encode(), served.model_dump_json().encode()
