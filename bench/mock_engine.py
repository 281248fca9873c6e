"""The engine's HTTP side without a model behind it: `python bench/mock_engine.py --help`.

Tests, benchmarks and a hospital's load rehearsal put it where vLLM would be. It answers at a pace
that is set, with a text of ours that says what it is, and marks every answer with a digest that no
model can have, so that none of them can be taken for a model's.

Covered: where the engine listens and whom it lets in (see door.py), vLLM's answers, streams, usage
and queue, the metrics that a gateway looks at, and that a request ends when its client leaves.
Not covered: several answers to one request, tools, log-probabilities, response formats; it does not
let answers finish when it is stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import logging
import random
import resource
import signal
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import uvloop
from aiohttp import web
from mock_answers import ROUTES, MockRequest, Route, embeddings
from pydantic import Field

from bedside_core import lifeline, log
from bedside_core.config import Config, load_document, load_section, validate
from bedside_core.errors import BedsideError, ConfigError
from bedside_core.registry.registry import Registry
from bedside_inference.config import InferenceConfig
from bedside_inference.paths import lock, private_directory, socket_path
from bedside_inference.secret import ENGINE_TOKEN, read_secret
from bedside_inference.served import HEADER, ServedModel

logger = logging.getLogger("bedside_inference.mock_engine")
"""The log withholds what loggers of another name say."""

DIGEST = "mock".ljust(64, "-")
"""In the place of a model's digest; no SHA-256 is written like this."""

EMBEDDINGS = "/v1/embeddings"
OPEN = ("GET", "/health")
METRICS = ("GET", "/metrics")
ALLOWED = frozenset({OPEN, METRICS, *(("POST", path) for path in (*ROUTES, EMBEDDINGS))})

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 5
"""As vLLM's: a gateway must live with connections that the engine closes."""
SHUTDOWN_SECONDS = 0.1
"""Until running answers are broken off; aiohttp takes 0 for ever."""


class MockConfig(Config):
    """How it behaves."""

    first_token_ms: Annotated[float, Field(ge=0, le=3_600_000)] = 50
    """From a request's turn to its first token, in milliseconds."""
    inter_token_ms: Annotated[float, Field(ge=0, le=3_600_000)] = 10
    """From each token to the next, the same for all running answers, as in a batch."""
    jitter: Annotated[float, Field(ge=0, le=1)] = 0
    """Each of these waits is drawn evenly from its value minus to plus this share of it."""
    tokens: Annotated[int, Field(ge=1)] = 32
    """Length of an answer whose request names none; otherwise an answer is as long as it may be."""
    max_running: Annotated[int, Field(ge=1)] = 256
    """Requests that are answered at a time; others wait their turn, as in a full engine."""
    prompt_bytes_per_token: Annotated[int, Field(ge=1)] = 4
    """What usage is reckoned with."""


class RefusalError(Exception):
    """An answer with vLLM's error object."""

    def __init__(self, status: int, kind: str, message: str, param: str | None) -> None:
        super().__init__(kind)
        self.status = status
        error = {"message": message, "type": kind, "param": param, "code": status}
        self.body = {"error": error}


class MockEngine:
    """What answers the requests, and its counts."""

    def __init__(self, config: InferenceConfig, mock: MockConfig) -> None:
        """Read the token where the engine is on a network.

        Raises:
            ConfigError: the token is missing or a placeholder.
        """
        self.mock, self.model_name = mock, config.model_name
        self.max_model_len = config.engine.max_model_len
        self.token = read_secret(ENGINE_TOKEN) if config.engine.url else None
        now = datetime.now(UTC)
        served = ServedModel(
            model=DIGEST,
            created=now,
            evidence=None,
            verdict="UNPROVEN",
            max_model_len=self.max_model_len,
            tools=False,
        )
        self.mark = {HEADER: served.model_dump_json()}
        self.stream_headers = {**self.mark, "Content-Type": "text/event-stream; charset=utf-8"}
        self.turns = asyncio.Semaphore(self.mock.max_running)
        self.waiting = self.running = self.tokens = self.iterations = 0
        self.iteration = asyncio.Event()
        self.iteration.set()
        self.finished = Counter(stop=0, length=0, abort=0)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        asked = (request.method, request.path)
        if asked not in ALLOWED:
            return web.Response(status=404, headers=self.mark)
        if asked == OPEN:
            return web.Response(headers=self.mark)
        if not self._may_enter(request):
            return web.Response(status=401, headers=self.mark)
        if asked == METRICS:
            return web.Response(text=self.metrics(), headers=self.mark)
        try:
            body = await self._body(request)
            if request.path == EMBEDDINGS:
                return await self._embed(body)
            return await self._generate(request, ROUTES[request.path], body)
        except RefusalError as refusal:
            return web.json_response(refusal.body, status=refusal.status, headers=self.mark)

    def _may_enter(self, request: web.BaseRequest) -> bool:
        if self.token is None:
            return True
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        return hmac.compare_digest(given, f"Bearer {self.token}".encode())

    async def _body(self, request: web.BaseRequest) -> dict[str, Any]:
        try:
            # Not `request.read()`, which has a limit of its own: size is the gateway's affair.
            body = json.loads(await request.content.read())
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise RefusalError(400, "BadRequestError", "The body is not a JSON object.", None)
        if body.get("model", self.model_name) != self.model_name:
            raise RefusalError(404, "NotFoundError", "The model does not exist.", "model")
        return body

    async def _generate(
        self, request: web.BaseRequest, route: Route, body: dict[str, Any]
    ) -> web.StreamResponse:
        asked = self._understand(request, route, body)
        async with self._turn(asked.reason):
            if body.get("stream") is True:
                return await self._stream(request, route, asked)
            for number in range(asked.tokens):
                await self._token(number)
            answer = json.dumps(route.whole(asked), ensure_ascii=False)
            return web.Response(text=answer, content_type="application/json", headers=self.mark)

    async def _stream(
        self, request: web.BaseRequest, route: Route, asked: MockRequest
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=self.stream_headers)
        for number, event in enumerate(route.events(asked)):
            await self._token(number)
            if number == 0:
                await response.prepare(request)
            await response.write(event)
        await response.write_eof()
        return response

    async def _embed(self, body: dict[str, Any]) -> web.Response:
        given = body.get("input")
        async with self._turn("stop"):
            await self._prefill()
        answer = embeddings(
            uuid.uuid4().hex,
            self.model_name,
            len(given) if isinstance(given, list) else 1,
            self._prompt_tokens(given),
            as_base64=body.get("encoding_format") == "base64",
        )
        return web.json_response(answer, headers=self.mark)

    @asynccontextmanager
    async def _turn(self, reason: str) -> AsyncIterator[None]:
        """Wait until the engine has room; leaving with an error counts as an abort."""
        outcome = "abort"
        try:
            self.waiting += 1
            try:
                await self.turns.acquire()
            finally:
                self.waiting -= 1
            self.running += 1
            try:
                yield
                outcome = reason
            finally:
                self.running -= 1
                self.turns.release()
        finally:
            self.finished[outcome] += 1

    async def _token(self, number: int) -> None:
        """Wait for the token with this number."""
        if number == 0:
            await self._prefill()
        else:
            await self._iteration()
        self.tokens += 1

    async def _prefill(self) -> None:
        await asyncio.sleep(self._seconds(self.mock.first_token_ms))
        self.iterations += 1

    async def _iteration(self) -> None:
        """The next step of the engine, which gives every running answer one token.

        One timer for all is also what lets thousands of streams cost little.
        """
        if self.iteration.is_set():
            self.iteration = asyncio.Event()
            pause = self._seconds(self.mock.inter_token_ms)
            asyncio.get_running_loop().call_later(pause, self._iterate)
        await self.iteration.wait()

    def _iterate(self) -> None:
        self.iterations += 1
        self.iteration.set()

    def _seconds(self, milliseconds: float) -> float:
        """A wait with its jitter."""
        jitter = self.mock.jitter
        return milliseconds / 1000 * (1 + random.uniform(-jitter, jitter))

    def _understand(
        self, request: web.BaseRequest, route: Route, body: dict[str, Any]
    ) -> MockRequest:
        prompt = [body.get(name) for name in ("messages", "prompt", "input", "instructions")]
        prompt_tokens = self._prompt_tokens(prompt)
        limit = next((body[name] for name in route.limits if body.get(name) is not None), None)
        tokens = self.mock.tokens if limit is None else limit
        if type(tokens) is not int or tokens < 1:
            raise RefusalError(400, "BadRequestError", "No number of tokens.", route.limits[-1])
        if prompt_tokens + tokens > self.max_model_len:
            message = "Prompt and answer are longer than the model's maximum context length."
            raise RefusalError(400, "BadRequestError", message, "input_tokens")
        options = body.get("stream_options")
        return MockRequest(
            id=request.headers.get("X-Request-Id") or uuid.uuid4().hex,
            model=self.model_name,
            created=int(time.time()),
            prompt_tokens=prompt_tokens,
            tokens=tokens,
            reason="stop" if limit is None else "length",
            include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        )

    def _prompt_tokens(self, prompt: object) -> int:
        return max(1, -(-_text_bytes(prompt) // self.mock.prompt_bytes_per_token))

    def metrics(self) -> str:
        """Some of vLLM's, in Prometheus' text format."""
        model = f'model_name="{self.model_name}"'
        engine = f'engine="0",{model}'
        iterations = "vllm:iteration_tokens_total"
        finished = (
            f'vllm:request_success_total{{engine="0",finished_reason="{reason}",{model}}} {count}.0'
            for reason, count in self.finished.items()
        )
        lines = (
            "# TYPE vllm:num_requests_running gauge",
            f"vllm:num_requests_running{{{engine}}} {self.running}.0",
            "# TYPE vllm:num_requests_waiting gauge",
            f"vllm:num_requests_waiting{{{engine}}} {self.waiting}.0",
            "# TYPE vllm:generation_tokens_total counter",
            f"vllm:generation_tokens_total{{{engine}}} {self.tokens}.0",
            f"# TYPE {iterations} histogram",
            f'{iterations}_bucket{{engine="0",le="+Inf",{model}}} {self.iterations}.0',
            f"{iterations}_count{{{engine}}} {self.iterations}.0",
            f"{iterations}_sum{{{engine}}} {self.tokens}.0",
            "# TYPE vllm:request_success_total counter",
            *finished,
        )
        return "\n".join(lines) + "\n"


def _text_bytes(prompt: object) -> int:
    """Size of all text in a prompt, in bytes of UTF-8."""
    if isinstance(prompt, str):
        return len(prompt.encode(errors="surrogatepass"))
    if isinstance(prompt, list):
        return sum(map(_text_bytes, prompt))
    if isinstance(prompt, dict):
        return _text_bytes(prompt.get("content")) + _text_bytes(prompt.get("text"))
    return 0


@asynccontextmanager
async def running(
    config: InferenceConfig, home: Path, mock: MockConfig
) -> AsyncIterator[MockEngine]:
    """A mock engine that listens where the engine would.

    Raises:
        ConfigError: the socket or port cannot be used, or the token is missing.
    """
    engine = MockEngine(config, mock)
    server = web.Server(
        engine.handle,
        handler_cancellation=True,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        access_log=None,
    )
    runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await _listen(config, home, runner)
        yield engine
    finally:
        await runner.cleanup()


async def _listen(config: InferenceConfig, home: Path, runner: web.ServerRunner) -> None:
    site: web.BaseSite
    if config.engine.url:
        port = urlsplit(config.engine.url).port
        # All addresses, as the engine: a container does not know its own beforehand.
        site = web.TCPSite(runner, "0.0.0.0", port, backlog=BACKLOG)
    else:
        socket = socket_path(config, home)
        private_directory(socket.parent)
        site = web.UnixSite(runner, socket, backlog=BACKLOG)
    try:
        await site.start()
    except OSError as error:
        raise ConfigError(
            f"the mock engine cannot listen at {config.engine.url or 'its socket'} "
            f"({error.strerror}) - stop what uses it, or set inference.engine.url or "
            "inference.engine.socket to another place"
        ) from None


def serve(config: InferenceConfig, home: Path, mock: MockConfig) -> None:
    """Answer until SIGINT or SIGTERM.

    Raises:
        ConfigError: the socket or port cannot be used, an engine runs, or the token is missing.
    """
    lifeline.hold(signal.SIGTERM)
    if not config.engine.url:
        socket = socket_path(config, home)
        private_directory(socket.parent)
        lock(Path(f"{socket}.lock"))
    # Each stream is a file, and a rehearsal may hold ten thousand.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_stopped(config, home, mock))


async def _until_stopped(config: InferenceConfig, home: Path, mock: MockConfig) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(config, home, mock):
        facts = log.fields(name=config.model_name, **mock.model_dump())
        logger.warning("this is a mock engine: no model answers", extra=facts)
        await stop.wait()


def main() -> None:
    """Read the run config that the gateway reads, and the behaviour from options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":", 1)[0])
    parser.add_argument("--config", type=Path, required=True)
    for name, field in MockConfig.model_fields.items():
        said = f"{field.description} Default {field.default}."
        parser.add_argument(f"--{name.replace('_', '-')}", default=field.default, help=said)
    given = vars(parser.parse_args())
    log.configure()
    try:
        config = load_section(InferenceConfig, load_document(given.pop("config")), "inference")
        serve(config, Registry.from_environment().home, validate(MockConfig, given, "mock"))
    except BedsideError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
