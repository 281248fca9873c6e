"""vLLM's server as a signal meets it: what 0.32 does there, without a model behind it.

As in vLLM a signal while it loads waits for what is loaded; one while it serves closes the pool
that tokenizes, lets what was begun finish, and only then ends the HTTP server.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import (
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from bedside_inference.engine.door import Door

TOKENS, TOKEN_SECONDS = 60, 0.05
CLEANING_SECONDS = 600
pool = ThreadPoolExecutor(1)
running = 0


class NoSignalServer(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def tokens() -> AsyncIterator[bytes]:
    global running
    running += 1
    try:
        for _ in range(TOKENS):
            delta = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
            yield b"data: " + json.dumps(delta).encode() + b"\n\n"
            await asyncio.sleep(TOKEN_SECONDS)
        yield b"data: [DONE]\n\n"
    finally:
        running -= 1


async def chat(request: Request) -> Response:
    body = await request.body()
    await asyncio.get_running_loop().run_in_executor(pool, len, body)
    if not json.loads(body).get("stream"):
        return JSONResponse({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    return StreamingResponse(tokens(), media_type="text/event-stream")


async def health(request: Request) -> Response:
    return Response()


async def metrics(request: Request) -> Response:
    return PlainTextResponse(f"vllm:num_requests_running {running}\n")


async def serve(path: str) -> None:
    routes = [
        Route("/health", health),
        Route("/metrics", metrics),
        Route("/v1/chat/completions", chat, methods=["POST"]),
    ]
    app = Starlette(routes=routes)
    app.add_middleware(Door)
    server = NoSignalServer(uvicorn.Config(app, uds=path, log_level="error"))
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    serving = loop.create_task(server.serve())
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    await told.wait()
    pool.shutdown()
    while running:
        await asyncio.sleep(0.01)
    server.should_exit = True
    await serving


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


async def load_and_serve(seconds: float, path: str) -> None:
    signal.signal(signal.SIGTERM, interrupt)
    sys.stdout.write("loading\n")
    sys.stdout.flush()
    try:
        time.sleep(seconds)
    except KeyboardInterrupt:
        time.sleep(CLEANING_SECONDS)
        raise
    await serve(path)


if __name__ == "__main__":
    uvloop.run(load_and_serve(float(sys.argv[-2]), sys.argv[-1]))
