"""A secret goes in through every door and comes out in no log, metric, trace, record or file.

One string is put into every field of every route, into headers, paths, broken and aborted requests,
and into all that an engine may say; then everything that the gateway has left anywhere is searched,
also in the forms that escaping and encoding give it.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import io
import json
import logging
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import aiohttp
import pytest
from aiohttp import web
from pydantic import BaseModel

from bedside_core import log
from bedside_inference import aliases, keys
from bedside_inference.audit import chain, manage
from bedside_inference.audit.fhir import EXPORTED
from bedside_inference.audit.journal import audit_directory, audited
from bedside_inference.audit.pseudonyms import Pseudonyms
from bedside_inference.audit.reader import snapshot
from bedside_inference.audit.syslog import message
from bedside_inference.config import (
    AdmissionConfig,
    InferenceConfig,
    OidcConfig,
    OidcRole,
    StateConfig,
    TimeoutsConfig,
    TracingConfig,
)
from bedside_inference.gateway.api.events import Events
from bedside_inference.gateway.api.fields import REQUESTS
from bedside_inference.gateway.telemetry.metrics import Metrics
from bedside_inference.state.records import Scope
from bedside_inference.state.store import Store

MARKER = "Kanarienvogel4711"
WORDS = "Fehlertext0815"
"""Of an engine's error; a client gets our words instead."""
CHAT = "/v1/chat/completions"
CHATTING = json.dumps({"model": "test", "messages": [{"role": "user", "content": MARKER}]}).encode()
LEAST = {"messages": [{"role": "user", "content": MARKER}], "prompt": MARKER, "input": MARKER}


# Searching


def forms(secret: str) -> dict[str, bytes]:
    """What a secret looks like after the usual encodings, in lower case."""
    raw = secret.encode()
    found = {
        "plain": raw,
        "UTF-16": secret.encode("utf-16-le"),
        "UTF-16, other order": secret.encode("utf-16-be"),
        "hex": raw.hex().encode(),
        "percent": "".join(f"%{byte:02x}" for byte in raw).encode(),
        "JSON": "".join(f"\\u{byte:04x}" for byte in raw).encode(),
        "escaped": "".join(f"\\x{byte:02x}" for byte in raw).encode(),
        "numbers": ", ".join(map(str, raw)).encode(),
        "digest": hashlib.sha256(raw).hexdigest()[:12].encode(),
    }
    for shift in range(3):
        # Only what does not depend on the bytes before and after it.
        coded = base64.b64encode(bytes(shift) + raw)[-(-shift * 8 // 6) :].rstrip(b"=")
        found[f"base64 at {shift}"] = coded[: (len(raw) * 8 - (6 - shift * 8 % 6) % 6) // 6]
    return {name: form.lower() for name, form in found.items()}


@dataclass
class Witness:
    """Everything that the gateway under test leaves anywhere."""

    home: Path
    scratch: Path
    texts: dict[str, io.StringIO] = field(default_factory=dict)
    said: dict[str, bytes] = field(default_factory=dict)
    """By where it was heard: answers that may hold nothing of a request, metrics, spans."""

    def hear(self, where: str, what: bytes | str) -> None:
        """Add something that must not hold the secret."""
        raw = what.encode() if isinstance(what, str) else what
        self.said[where] = self.said.get(where, b"") + raw + b"\n"

    def everything(self) -> dict[str, bytes]:
        found = dict(self.said)
        found |= {name: text.getvalue().encode() for name, text in self.texts.items()}
        for directory in (self.home, self.scratch):
            for path in directory.rglob("*"):
                relative = str(path.relative_to(directory.parent))
                found[relative] = relative.encode()
                if path.is_file() and not path.is_socket():
                    found[relative] += b"\n" + path.read_bytes()
        return found

    def identifiers(self, *ids: str) -> list[str]:
        """Where any of these stands as a whole word, but for the state database: it is no log."""
        words = re.compile("|".join(rf"(?<![0-9a-z.]){re.escape(one)}(?![0-9a-z.])" for one in ids))
        return sorted(
            where
            for where, what in self.everything().items()
            if "state.sqlite3" not in where and words.search(what.decode("latin-1").lower())
        )

    def leaks(self, *secrets: str) -> list[str]:
        """Where, and in which form, any of these is found."""
        wanted = [(name, form) for secret in secrets for name, form in forms(secret).items()]
        return sorted(
            f"{where}: {name}"
            for where, what in self.everything().items()
            for name, form in wanted
            if form in what.lower()
        )


WORKSTATION = "10.98.76.54"


@pytest.fixture
def persons(witness, config, home, make_key) -> Callable[..., list[str]]:
    """Where keys and the workstation are named in what the gateway has left, and exports of it."""

    def search(capfd: pytest.CaptureFixture[str]) -> list[str]:
        witness.hear("stdout and stderr so far", "".join(capfd.readouterr()))
        manage.export_fhir(config, home)
        exported = capfd.readouterr().out
        assert exported.count("AuditEvent") > 3
        witness.hear("FHIR", exported)
        with snapshot(audit_directory(config.audit, home)) as chain:
            for place in chain.places():
                if place.entry.members["type"] in EXPORTED:
                    witness.hear("syslog", message(place.entry.members, "site", 32473))
        with closing(Store.open(config.state, home)) as store:
            ids = [key.id for key in store.snapshot().keys.values()]
        assert len(ids) > 2
        return witness.identifiers(WORKSTATION, *ids)

    return search


def configure_logging(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the command line does, but everything of everybody; and once more as others format."""
    stream = witness.texts["stderr of Python"] = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    log.configure(level="DEBUG")
    plain = witness.texts["a plain handler"] = io.StringIO()
    foreign = logging.StreamHandler(plain)
    foreign.setFormatter(logging.Formatter("%(name)s %(message)s %(exc_text)s %(stack_info)s"))
    root = logging.getLogger()
    root.addHandler(foreign)
    root.setLevel(logging.DEBUG)
    for name in ("uvicorn.error", "uvicorn.asgi", "aiohttp", "asyncio", "sqlalchemy", "httptools"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
        logging.getLogger(name).manager._clear_cache()


@pytest.fixture(autouse=True)
def witness(home, tmp_path, monkeypatch, capfd) -> Iterator[Witness]:
    """Searched when the gateway has ended, so with what its end writes."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    for name in ("TMPDIR", "SQLITE_TMPDIR"):
        monkeypatch.setenv(name, str(scratch))
    root, factory = logging.getLogger(), logging.getLogRecordFactory()
    handlers, level = root.handlers[:], root.level
    found = Witness(home, scratch)
    configure_logging(found, monkeypatch)
    yield found
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.setLogRecordFactory(factory)
    out, err = capfd.readouterr()
    found.hear("stdout and stderr of the process", out + err)
    assert found.leaks(MARKER) == []


@pytest.fixture
def heard(witness) -> Callable[[], str]:
    """What our logging has written so far."""
    return lambda: witness.texts["stderr of Python"].getvalue()


@pytest.fixture
async def config(config, witness) -> AsyncIterator:
    """With a collector of traces that keeps all that it gets."""

    async def collect(request: web.Request) -> web.StreamResponse:
        witness.hear("spans", await request.read())
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", collect)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    yield config.model_copy(update={"tracing": TracingConfig(endpoint=f"http://127.0.0.1:{port}")})
    await runner.cleanup()


def test_the_search_finds_what_leaks(witness, capfd) -> None:
    """Each place and each form; otherwise the silence of the others would prove nothing."""
    raw = MARKER.encode()
    leaks = {
        "plain": raw,
        "hex": raw.hex().upper().encode(),
        "base64": base64.b64encode(b"x" + raw + b"y"),
        "url": base64.urlsafe_b64encode(b'{"a":"' + raw + b'"}'),
        "percent": "".join(f"%{byte:02X}" for byte in raw).encode(),
        "json": "".join(f"\\u{byte:04X}" for byte in raw).encode(),
        "shouted": raw.upper(),
        "digest": hashlib.sha256(raw).hexdigest().encode(),
        MARKER: b"",
    }
    (witness.home / "gateway").mkdir(exist_ok=True)
    for name, form in leaks.items():
        (witness.home / "gateway" / name).write_bytes(b"before" + form + b"after")
    for shift in range(9):
        coded = base64.b64encode(b"?" * shift + raw + b"!" * (9 - shift))
        (witness.scratch / str(shift)).write_bytes(coded)
    logging.getLogger("bedside_inference.gateway.app").debug(f"prompt {MARKER}")
    logging.getLogger("somebody.else").debug("%s", MARKER)  # by template only, so nothing
    print(MARKER)
    witness.hear("stdout", capfd.readouterr().out)
    witness.hear("/metrics", f'route="{MARKER}"')
    found = "\n".join(witness.leaks(MARKER))
    for name in leaks:
        assert f"gateway/{name}: " in found
    for shift in range(9):
        assert f"scratch/{shift}: base64" in found
    for where in ("a plain handler", "stderr of Python", "stdout", "/metrics"):
        assert f"{where}: plain" in found
    # It would have been found; now it was not there.
    for path in (*(witness.home / "gateway").iterdir(), *witness.scratch.iterdir()):
        path.unlink()
    witness.said.clear()
    for text in witness.texts.values():
        text.truncate(0)


# What goes in


def samples(kind: Any) -> list[Any]:
    """Values of a type, every branch of it, with the marker wherever a text may be."""
    if kind in (None, NoneType):
        return []
    plain: dict[Any, list[Any]] = {str: [MARKER], int: [1], float: [0.5], bool: [True, False]}
    if kind in plain:
        return plain[kind]
    if kind is Any:
        return [{MARKER: MARKER}]
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return samples(inside[0])
    if origin is Literal:
        return list(inside)
    if origin in (Union, UnionType):
        return [value for branch in inside for value in samples(branch)]
    if origin is list:
        return [[value] for value in samples(inside[0])] or [[]]
    if origin is dict:
        return [{MARKER: value} for value in samples(inside[1])]
    assert isinstance(kind, type) and issubclass(kind, BaseModel), f"teach this test {kind}"
    return objects(kind)


def objects(kind: type[BaseModel]) -> list[dict[str, Any]]:
    """Objects of a model: each field with each of its values, beside what is required."""
    named = {(field.alias or name): field for name, field in kind.model_fields.items()}
    required = {
        name: samples(field.annotation)[0] for name, field in named.items() if field.is_required()
    }
    return [
        required | {name: value}
        for name, field in named.items()
        for value in samples(field.annotation)
    ] or [required]


def objects_within(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from objects_within(inner)


def with_more(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The body with an unknown field in each of its objects."""
    for number in range(len(list(objects_within(body)))):
        changed = json.loads(json.dumps(body))
        list(objects_within(changed))[number][MARKER] = MARKER
        yield changed


def bodies(path: str) -> Iterator[bytes]:
    """Requests that hold the marker in texts, names, types and broken syntax."""
    kind = REQUESTS[path]
    seen = set()
    for body in objects(kind):
        changed = [body | {"model": "test"}]
        changed += with_more(changed[0])
        seen |= {json.dumps(found).encode() for found in changed}
    for name in kind.model_fields:
        least = {"model": "test"} | {n: v for n, v in LEAST.items() if n in kind.model_fields}
        for wrong in (MARKER, [MARKER], {MARKER: MARKER}, [[MARKER]], [{MARKER: [MARKER]}]):
            seen.add(json.dumps(least | {name: wrong}).encode())
    yield from sorted(seen)
    good = json.dumps(least).encode()
    yield from (
        good[:-3],
        good + MARKER.encode(),
        MARKER.encode() + b"\xff",
        good.replace(MARKER.encode(), MARKER.encode() + b"\xff\xfe"),
        good.decode().encode("utf-16"),
        json.dumps([MARKER]).encode(),
        json.dumps(MARKER).encode(),
        json.dumps({MARKER: MARKER, "model": MARKER}).encode(),
        b'{"%s": 1, "%s": 2}' % (MARKER.encode(), MARKER.encode()),
        b"[" * 5000 + good,
        MARKER.encode() * 300,
        json.dumps(least | {"user": MARKER * 300}).encode(),
        json.dumps(least | {"temperature": 10**400}).encode(),
    )


TOKEN = ".".join(
    base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
    for part in ({"alg": "RS256", "kid": MARKER}, {"sub": MARKER, "roles": [MARKER], "exp": 1})
)
HEADERS = [
    *({"Authorization": value} for value in (
        MARKER, f"Bearer {MARKER}", f"Basic {MARKER}", f"Bearer bsk-{MARKER}{'a' * 26}",
        f"Bearer {TOKEN}.{MARKER}", f"Bearer a.{MARKER}.b", f"bearer  {MARKER} {MARKER}",
        f"Negotiate {base64.b64encode(MARKER.encode()).decode()}", f"Bearer {TOKEN}.",
    )),
    *({name: MARKER} for name in (
        "X-Request-Id", "traceparent", "tracestate", "baggage", "X-Purpose-Of-Use", "User-Agent",
        "Cookie", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Forwarded", "Host",
        "Referer", "Origin", "Accept", "Accept-Language", "Accept-Encoding", "Content-Type",
        "Content-Encoding", "If-None-Match", "Idempotency-Key", "OpenAI-Organization", "From",
        "Proxy-Authorization", "X-Api-Key", "Via", "Range", "Sec-WebSocket-Key", MARKER,
    )),
    {"traceparent": f"00-{MARKER}-{MARKER}-01"},
    {"User-Agent": f"OpenAI/Python {MARKER}"},
    {"Content-Type": f"application/json; charset={MARKER}"},
    {"Content-Type": f"multipart/form-data; boundary={MARKER}"},
    {"Upgrade": MARKER, "Connection": "upgrade"},
    {"Expect": MARKER},
]  # fmt: skip


# Asking


async def ask(
    witness: Witness,
    gateway: Any,
    body: bytes,
    path: str = CHAT,
    headers: dict[str, str] | None = None,
) -> int:
    """Post it; an error, and the headers of any answer, must not repeat it."""
    try:
        async with gateway.post(body, path, headers) as answer:
            content = await answer.read()
            witness.hear("headers of answers", f"{answer.status} {answer.headers}")
            assert WORDS.encode() not in content
            if answer.status != 200:
                witness.hear("errors", content)
            return int(answer.status)
    except aiohttp.ClientError:
        return 0


async def measure(witness: Witness, gateway: Any) -> None:
    async with gateway.session.get(f"{gateway.url}/metrics") as answer:
        witness.hear("/metrics", await answer.read())


async def send_raw(witness: Witness, gateway: Any, request: bytes, *, stay: float = 0.05) -> None:
    """Send bytes as they are and leave."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(request)
    with suppress(TimeoutError, ConnectionError):
        witness.hear("raw answers", await asyncio.wait_for(reader.read(), stay))
    writer.close()


async def echo(request: web.Request) -> web.StreamResponse:
    """A friendly engine that repeats everything, streamed if that was asked for."""
    asked = await request.json()
    if not asked.get("stream"):
        answer = {"id": MARKER, "choices": [{"message": {"content": json.dumps(asked)}}]}
        return web.json_response(answer, headers={"X-Request-Id": MARKER, MARKER: MARKER})
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"data: " + json.dumps({"id": MARKER, "of": asked}).encode() + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    return response


@pytest.mark.parametrize("path", REQUESTS)
async def test_every_field(engine, gateway, witness, path: str) -> None:
    engine.script = echo
    statuses = [await ask(witness, gateway, body, path) for body in bodies(path)]
    assert statuses.count(200) > 5
    assert statuses.count(400) > 30
    assert 413 in statuses
    assert {200, 400, 404, 413} >= set(statuses)
    assert sum(MARKER.encode() in body for body in engine.bodies) > 5  # it really went through
    await measure(witness, gateway)


async def test_headers_paths_and_methods(engine, gateway, witness, heard) -> None:
    engine.script = echo
    body = json.dumps({"model": "test", "messages": LEAST["messages"]}).encode()
    for headers in HEADERS:
        await ask(witness, gateway, body, headers=headers)
        async with gateway.session.get(
            f"{gateway.url}/v1/models", headers=gateway.authorization | headers
        ) as answer:
            witness.hear("raw answers", f"{answer.headers}{await answer.text()}")
    for path in (
        *(f"/{MARKER}", f"/v1/{MARKER}", f"/v1/models/{MARKER}", f"{CHAT}/{MARKER}"),
        *(
            f"{CHAT}?{MARKER}={MARKER}",
            f"/livez?{MARKER}",
            f"/metrics?{MARKER}",
            f"/readyz#{MARKER}",
        ),
        *(f"/v1/models/{MARKER}%00", f"/%ff{MARKER}", f"//{MARKER}@x{CHAT}"),
    ):
        for key in (gateway.authorization, {}):
            for method in ("GET", "POST", "PUT", "OPTIONS", "HEAD", "PROPFIND"):
                async with gateway.session.request(
                    method, f"{gateway.url}{path}", data=MARKER, headers=key
                ) as answer:
                    witness.hear("raw answers", f"{answer.headers}{await answer.text()}")
    marker = MARKER.encode()
    bearer = f"Host: x\r\nAuthorization: Bearer {gateway.key}\r\n".encode()
    for request in (
        marker + b" / HTTP/1.1\r\n\r\n",
        b"GET http://" + marker + b"/v1/models HTTP/1.1\r\nHost: " + marker + b"\r\n\r\n",
        b"GET /livez HTTP/1.1 " + marker + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n" + marker + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + marker + b"\x00\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + marker * 4000 + b"\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: " + marker + b"\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: " + marker + b"\r\n\r\n",
        b"POST %s HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n%s"
        % (CHAT.encode(), bearer, marker),
        b"CONNECT " + marker + b":443 HTTP/1.1\r\nHost: x\r\n\r\n",
        marker,
    ):
        await send_raw(witness, gateway, request)
    await measure(witness, gateway)
    assert '"route": "unknown"' in heard()


async def test_tokens_of_an_identity_provider(engine, config, open_gateway, witness) -> None:
    """With a provider that is away."""
    oidc = OidcConfig(
        issuer="http://127.0.0.1:9/realm", audience="bedside", roles={"ward": OidcRole()}
    )
    async with open_gateway(config.model_copy(update={"oidc": oidc})) as gateway:
        for headers in HEADERS:
            if "Authorization" in headers:
                assert await ask(witness, gateway, b"{}", headers=headers) in (401, 503)
        await measure(witness, gateway)


# What an engine may say


async def abort(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def raw_answer(raw: bytes) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def script(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(raw)
        await asyncio.sleep(0.02)
        return await abort(request)

    return script


def whole(body: object, status: int = 200, **headers: str):
    async def script(request: web.Request) -> web.StreamResponse:
        return web.Response(
            status=status,
            headers={"Content-Type": "application/json", MARKER: MARKER} | headers,
            body=body if isinstance(body, bytes) else json.dumps(body).encode(),
            reason=MARKER,
        )

    return script


def events(*said: bytes, broken: bool = False):
    async def script(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in said:
            await response.write(event)
            await asyncio.sleep(0.005)
        return await abort(request) if broken else response

    return script


ERROR = {"error": {n: f"{MARKER} {WORDS}" for n in ("message", "type", "param", "code")}}
SPACED = b"data: " + json.dumps(ERROR).encode() + b"\n\n"
"""As vLLM writes it."""
DENSE = b"data: " + json.dumps(ERROR, separators=(",", ":")).encode() + b"\n\n"
TOLD = b'data: {"choices":[{"delta":{"content":"%s"},"finish_reason":"%s"}],"usage":{}}\n\n' % (
    MARKER.encode(),
    MARKER.encode(),
)
ENGINES = {
    "a crash": whole(f"Traceback: {MARKER}".encode(), 500),
    **{f"status {status}": whole(ERROR, status) for status in (400, 401, 404, 422, 429, 500, 503)},
    "a parameter": whole({"error": {"param": f"messages.{MARKER}", "message": MARKER}}, 400),
    "an error that claims success": whole(ERROR),
    "no JSON": whole(MARKER.encode()),
    "a list": whole([MARKER]),
    "a reason": whole({"choices": [{"finish_reason": MARKER}], "status": MARKER}),
    "a status": whole({"status": MARKER, "usage": {MARKER: MARKER, "prompt_tokens": MARKER}}),
    "a redirect": whole(MARKER.encode(), 307, Location=f"/{MARKER}"),
    "another type": whole(MARKER.encode(), **{"Content-Type": f"text/{MARKER}"}),
    "an error event": events(DENSE),
    "an error event later": events(TOLD, DENSE),
    "an error event with spaces": events(SPACED),
    "an error event with spaces later": events(TOLD, SPACED),
    "a reason in a stream": events(TOLD, b"data: [DONE]\n\n"),
    "no events": events(MARKER.encode() + b"\n\n"),
    "no events later": events(TOLD, MARKER.encode() + b"\n\n"),
    "half an event": events(TOLD, TOLD[:-9]),
    "a death in a stream": events(TOLD, TOLD[:-9], broken=True),
    "a death": abort,
    "no HTTP": raw_answer(MARKER.encode() * 9),
    "a status line": raw_answer(f"HTTP/1.1 {MARKER} {MARKER}\r\n\r\n".encode()),
    "a bad header": raw_answer(f"HTTP/1.1 200 OK\r\n{MARKER}\r\n\r\n".encode()),
    "a long header": raw_answer(f"HTTP/1.1 200 OK\r\nX: {MARKER * 2000}\r\n\r\n".encode()),
    "a bad length": raw_answer(f"HTTP/1.1 200 OK\r\nContent-Length: {MARKER}\r\n\r\n".encode()),
    "a model of words": raw_answer(
        f"HTTP/1.1 200 OK\r\nX-Bedside-Served: {MARKER}\r\nContent-Length: 0\r\n\r\n".encode()
    ),
}


@pytest.mark.parametrize("path", [CHAT, "/v1/responses"])
async def test_whatever_the_engine_says(engine, gateway, witness, heard, path) -> None:
    asked = {"messages": LEAST["messages"]} if path == CHAT else {"input": MARKER}
    for what, script in ENGINES.items():
        engine.script = script
        for stream in (False, True):
            body = json.dumps({"model": "test", "stream": stream, **asked}).encode()
            await ask(witness, gateway, body, path)
            assert engine.bodies, what
    await measure(witness, gateway)
    assert "engine_error" in heard()


# Clients that leave, and everything else that breaks


async def begin(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(TOLD)
    await asyncio.sleep(600)
    return response


async def wait(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(600)
    return web.Response()


@asynccontextmanager
async def asking(
    gateway: Any, *, stream: bool, reached: str | None = None
) -> AsyncIterator[aiohttp.ClientResponse | None]:
    """A request that is left in the middle: once there is such a metric, or an answer begins."""
    body = {"model": "test", "messages": LEAST["messages"], "stream": stream}
    task = asyncio.create_task(gateway.post(json.dumps(body).encode()).__aenter__())
    if reached is None:
        answer = await task
    else:
        async with asyncio.timeout(30):
            while reached not in await (await gateway.session.get(f"{gateway.url}/metrics")).text():
                await asyncio.sleep(0.02)
        assert not task.done()
        answer = None
    yield answer
    if answer is not None:
        answer.close()
    task.cancel()
    await asyncio.wait({task})


async def test_clients_that_leave(engine, config, open_gateway, witness, heard) -> None:
    one = {"admission": AdmissionConfig(max_running=1, emergency_reserve=0)}
    async with open_gateway(config.model_copy(update=one)) as gateway:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.key}\r\n"
        for rest in (
            f"X: {MARKER}",
            f"Content-Type: application/json\r\nContent-Length: 999\r\n\r\n{MARKER}",
            f"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n{MARKER}",
        ):
            await send_raw(witness, gateway, (head + rest).encode())
        engine.script = begin
        async with asking(gateway, stream=True) as answer:  # streaming
            assert answer is not None
            async with asking(
                gateway, stream=True, reached='bedside_gateway_queued{priority="ward"} 1.0'
            ):
                pass
        await engine.freed()
        engine.script = wait
        for stream in (True, False):  # before the first byte, and not streaming
            engine.arrived.clear()
            async with asking(gateway, stream=stream, reached="bedside_gateway_running 1.0"):
                await engine.arrived.wait()
            await engine.freed()
        async with asyncio.timeout(30):
            while heard().count('"client_left"') < 6:
                await asyncio.sleep(0.02)
        await measure(witness, gateway)


async def test_the_house_ends_it(engine, gateway, config, home, witness, heard) -> None:
    """The kill switch, and the gateway's own end, in the middle of a stream."""
    engine.script = begin
    async with asking(gateway, stream=True) as answer:
        assert answer is not None
        with closing(Store.open(config.state, home)) as store:
            aliases.stop(store, engine.served.model, audit=lambda action, **ids: None)
            async with asyncio.timeout(30):
                assert b"model_stopped" in await answer.content.read()
            aliases.resume(store, engine.served.model, audit=lambda action, **ids: None)
    async with asyncio.timeout(30):
        while '"model_stopped"' not in heard():
            await asyncio.sleep(0.02)
    await measure(witness, gateway)
    await gateway.looked()
    body = {"model": "test", "messages": LEAST["messages"], "stream": True}
    async with gateway.post(json.dumps(body).encode()) as answer:
        gateway.end()  # it waits for a second, and breaks it off
        with suppress(aiohttp.ClientError):
            await answer.content.read()


async def test_patience_ends(engine, config, open_gateway, witness, heard) -> None:
    """Every deadline."""
    timeouts = TimeoutsConfig(body=0.2, first_token=0.2, between_tokens=0.2, answer=0.2)
    queue = AdmissionConfig(max_running=1, emergency_reserve=0, queue_timeout_seconds=0.05)
    section = config.gateway.model_copy(update={"timeouts": timeouts})
    changed = config.model_copy(update={"gateway": section, "admission": queue})
    body = json.dumps({"model": "test", "messages": LEAST["messages"]}).encode()
    async with open_gateway(changed) as gateway:
        engine.script = wait
        statuses = await asyncio.gather(*(ask(witness, gateway, body) for _ in range(3)))
        assert 504 in statuses
        engine.script = begin
        await ask(witness, gateway, body[:-1] + b', "stream": true}')
        await send_raw(
            witness,
            gateway,
            f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{MARKER}".encode(),
            stay=30,
        )
        await measure(witness, gateway)
        assert "body_timeout" in heard()


async def test_audit_and_state_fail(
    engine, config, open_gateway, home, witness, monkeypatch
) -> None:
    soon = config.model_copy(update={"state": StateConfig(poll_seconds=0.05, stale_seconds=0.2)})
    body = json.dumps({"model": "test", "messages": LEAST["messages"]}).encode()

    class FullDisk:
        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def write(self, *arguments: object) -> int:
            raise OSError(errno.ENOSPC, MARKER, MARKER)

    async with open_gateway(soon) as gateway:
        with monkeypatch.context() as patch:
            patch.setattr(chain, "os", FullDisk())
            assert await ask(witness, gateway, body) == 503
            assert await ask(witness, gateway, body) == 503
        await measure(witness, gateway)
        async with asyncio.timeout(30):
            while await ask(witness, gateway, body) != 200:
                await asyncio.sleep(0.05)
        (home / "gateway" / "state.sqlite3").write_bytes(b"no database" * 999)
        async with asyncio.timeout(30):
            while await ask(witness, gateway, body) != 503:
                await asyncio.sleep(0.05)
        await measure(witness, gateway)


async def test_no_key_and_no_workstation_is_named(
    engine, config, home, open_gateway, witness, persons, heard, capfd, monkeypatch
) -> None:
    """Answers, refusals of a known key, a client that leaves, and what is done to keys."""
    proxied = config.gateway.model_copy(update={"trusted_proxies": ("127.0.0.1",)})
    here = config.model_copy(update={"gateway": proxied})
    from_there = {"X-Forwarded-For": WORKSTATION}
    act = audited(config.audit, home)
    with closing(Store.open(config.state, home)) as store:
        officers = [
            keys.create(store, Scope(reidentify=True, holder=name), days=1, audit=act)
            for name in ("Jana Weiß", "Erik Groß")
        ]
        second = keys.rotate(store, officers[1].id, overlap=timedelta(hours=1), audit=act)
        async with open_gateway(here) as gateway:
            for body in (b"{}", json.dumps({"model": "test", **LEAST}).encode(), CHATTING):
                await ask(witness, gateway, body, headers=from_there)
            async with gateway.session.get(
                f"{gateway.url}/v1/models", headers=gateway.authorization | from_there
            ) as answer:
                assert answer.status == 200
            engine.script = begin
            async with gateway.post(CHATTING[:-1] + b', "stream": true}', headers=from_there):
                pass
            await engine.freed()
            async with asyncio.timeout(30):
                while '"client_left"' not in heard():
                    await asyncio.sleep(0.02)
            await measure(witness, gateway)
        [pseudonym, *_] = {
            entry["pseudonym"] for entry in entries(config, home) if entry["type"] == "request"
        }
        for officer in officers:
            monkeypatch.setenv("BEDSIDE_API_KEY", officer.secret)
            find = keys.reidentifier(config.state, home)
            manage.open_pseudonym(config, home, pseudonym, find)
        [revealed] = [line for line in capfd.readouterr().out.split() if len(line) == 8]
        assert revealed in {key.id for key in store.snapshot().keys.values()}
        keys.revoke(store, second.id, audit=act)
    assert persons(capfd) == []
    for entry in entries(config, home):
        assert "." in (entry.get("client_address") or ".")
    # The search would have found them.
    with closing(Store.open(config.state, home)) as store:
        some = next(iter(store.snapshot().keys.values())).id
    witness.hear("there", f'"{some}"')
    witness.hear("here", f"from {WORKSTATION}")
    assert persons(capfd) == ["here", "there"]


async def test_a_scope_of_an_address_is_no_place_for_a_text(
    engine, config, home, open_gateway, witness
) -> None:
    proxied = config.gateway.model_copy(update={"trusted_proxies": ("127.0.0.1",)})
    async with open_gateway(config.model_copy(update={"gateway": proxied})) as gateway:
        for key in ({}, gateway.authorization):
            headers = {"X-Forwarded-For": f"fe80::1%{MARKER}", "Content-Type": "application/json"}
            async with gateway.session.post(
                f"{gateway.url}{CHAT}", data=CHATTING, headers=headers | key
            ) as answer:
                await answer.read()
    addresses = [e["client_address"] for e in entries(config, home) if e["type"] == "request"]
    assert addresses[0] == "fe80::1"  # nobody was known, so abuse must be traced
    opened = Pseudonyms(audit_directory(config.audit, home), config.audit)
    assert opened.reveal(addresses[1]) == "address fe80::1"


def entries(config: InferenceConfig, home: Path) -> list[dict[str, Any]]:
    with snapshot(audit_directory(config.audit, home)) as chain:
        return [place.entry.members for place in chain.places()]


def broken(*arguments: object, **named: object) -> None:
    raise ValueError(MARKER, arguments, named)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_our_own_bugs(engine, gateway, witness, heard, monkeypatch, stream) -> None:
    """Everywhere on the way of a request an exception quotes it."""
    engine.script = echo
    body = {"model": "test", "messages": LEAST["messages"], "stream": stream}
    places = (
        *("bedside_inference.gateway.app.prepare_body", "bedside_inference.gateway.app.read_body"),
        *(
            "bedside_inference.gateway.app.require_json",
            "bedside_inference.gateway.relay.whole_answer",
        ),
        *((Events, "feed"), (Metrics, "record")),
    )
    for place in places:
        with monkeypatch.context() as patch:
            if isinstance(place, tuple):
                patch.setattr(*place, broken)
            else:
                patch.setattr(place, broken)
            before = heard().count("ValueError")
            await ask(witness, gateway, json.dumps(body).encode())
            await measure(witness, gateway)
            async with asyncio.timeout(30):
                while place not in unused(stream) and heard().count("ValueError") == before:
                    await asyncio.sleep(0.01)
    assert "ValueError" in heard()


def unused(stream: bool) -> tuple[object, ...]:
    """What only the other kind of answer goes through."""
    if stream:
        return ("bedside_inference.gateway.relay.whole_answer",)
    return ((Events, "feed"),)
