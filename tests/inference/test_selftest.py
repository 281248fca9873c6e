"""Each check of the self-test passes where it should, and finds what it is there to find."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from bedside_core import confinement
from bedside_core.artifacts import Artifact
from bedside_core.cli import main
from bedside_core.config import Config
from bedside_core.confinement import Check
from bedside_core.errors import ConfigError, PolicyError
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_inference import keys, selftest
from bedside_inference.config import EngineConfig, GatewayConfig, InferenceConfig
from bedside_inference.keys import NewKey
from bedside_inference.paths import base_url
from bedside_inference.state.records import Key, digest_of
from bedside_inference.state.store import Store

CHAT = "/v1/chat/completions"
KEY = "bsk-the-right-one"
NOBODY, STRANGER, HOLDER = None, "Bearer bsk-wrong", f"Bearer {KEY}"
OPEN_CHECKS = [
    *("ready", "401 without a key", "401 with a wrong key"),
    "404 where nothing is offered",
]
KEY_CHECKS = ["the model is listed", "answers name their verdict", "streaming works"]
WEIGHTS = "served weights equal the manifest"


@pytest.fixture(autouse=True)
def elsewhere_tested(monkeypatch) -> None:
    """Confinement has tests of its own and fails on a developer's machine."""
    monkeypatch.setattr(selftest, "confinement", lambda: iter([Check("ways out", True, "")]))
    monkeypatch.setattr(selftest, "rights", lambda: iter([Check("rights", True, "")]))
    monkeypatch.setattr(selftest, "refuse_elsewhere", lambda: None)
    monkeypatch.setattr(selftest, "PATIENCE_SECONDS", 0)
    for name in ("BEDSIDE_SELFTEST_LISTENER", "BEDSIDE_URL", "BEDSIDE_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(home: Path) -> Run:
    return Run("test", "inference", "selftest", Registry(home))


async def collect(checks: Iterator[Check]) -> list[Check]:
    return await asyncio.to_thread(list, checks)


def failed(checks: list[Check]) -> list[Check]:
    return [check for check in checks if not check.ok]


# --- the API, as a client sees it ----------------------------------------------------------------


class Answer(NamedTuple):
    """One answer of the gateway that a test spoils."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = {}  # noqa: RUF012 - never written


MODELS = Answer(200, b'{"object": "list", "data": [{"id": "test"}]}')
EVENTS = b'data: {"a": "Guten "}\n\ndata: {"a": "Tag"}\n\ndata: [DONE]\n\n'
STREAM = Answer(200, EVENTS, {"X-Bedside-Verdict": "PROMOTE"})


class Pretender:
    """Answers as a good gateway does, but for what a test spoils."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.answers: dict[tuple[str, str | None], Answer | None] = {
            ("/readyz", NOBODY): Answer(200, b'{"status": "ready"}'),
            (CHAT, NOBODY): Answer(401),
            (CHAT, STRANGER): Answer(401),
            ("/v1/models", HOLDER): MODELS,
            (CHAT, HOLDER): STREAM,
        }

    async def answer(self, request: web.Request) -> web.Response:
        """Answer by path and by who asks; None breaks the connection."""
        who = request.headers.get("Authorization")
        if who == HOLDER and request.method == "POST":
            self.asked.append(await request.json())
        found = self.answers.get((request.path, who), Answer(404))
        if found is None:
            assert request.transport is not None
            request.transport.abort()
            found = Answer(500)
        return web.Response(status=found.status, body=found.body, headers=found.headers)


@pytest.fixture
async def pretender() -> AsyncIterator[Pretender]:
    found = Pretender()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


@pytest.fixture
def key_file(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    monkeypatch.setenv("BEDSIDE_API_KEY_FILE", str(path))
    return path


@pytest.fixture
def from_outside(pretender, key_file, monkeypatch) -> Pretender:
    monkeypatch.setenv("BEDSIDE_URL", pretender.url)
    return pretender


async def test_client_with_a_key(from_outside, config) -> None:
    assert await collect(selftest.client(config)) == [
        Check("ready", True, '{"status": "ready"}'),
        Check("401 without a key", True, "401"),
        Check("401 with a wrong key", True, "401"),
        Check("404 where nothing is offered", True, "all closed"),
        Check("the model is listed", True, "200, ['test']"),
        Check("answers name their verdict", True, "PROMOTE"),
        Check("streaming works", True, "200, 3 events"),
    ]
    [body] = from_outside.asked
    assert (body["model"], body["stream"]) == ("test", True)


async def test_client_without_a_key_asks_only_what_needs_none(
    from_outside, config, monkeypatch
) -> None:
    for unset in ("", None):
        monkeypatch.delenv("BEDSIDE_API_KEY_FILE", raising=False)
        if unset is not None:
            monkeypatch.setenv("BEDSIDE_API_KEY_FILE", unset)
        checks = await collect(selftest.client(config))
        assert [check.name for check in checks] == OPEN_CHECKS
        assert failed(checks) == []
    assert from_outside.asked == []


def streamed(events: bytes, verdict: str = "PROMOTE") -> Answer:
    return Answer(200, events, {"X-Bedside-Verdict": verdict})


DEFECTS = [
    (
        *("/readyz", NOBODY, Answer(503, b'{"status": "model loading"}')),
        *("ready", '{"status": "model loading"}'),
    ),
    (CHAT, NOBODY, Answer(200), "401 without a key", "200"),
    (CHAT, NOBODY, Answer(400), "401 without a key", "400"),
    (CHAT, STRANGER, Answer(200), "401 with a wrong key", "200"),
    ("/docs", NOBODY, Answer(200), "404 where nothing is offered", "/docs"),
    ("/openapi.json", NOBODY, Answer(200), "404 where nothing is offered", "/openapi.json"),
    # Refused is not absent: something is there to refuse.
    ("/tokenize", NOBODY, Answer(405), "404 where nothing is offered", "/tokenize"),
    ("/pause", NOBODY, Answer(401), "404 where nothing is offered", "/pause"),
    (
        *("/v1/models", HOLDER, Answer(200, b'{"data": [{"id": "other"}]}')),
        *("the model is listed", "200, ['other']"),
    ),
    (
        *("/v1/models", HOLDER, Answer(200, b'{"data": [{"id": "test"}, {"id": "more"}]}')),
        *("the model is listed", "200, ['test', 'more']"),
    ),
    ("/v1/models", HOLDER, Answer(401), "the model is listed", "401, []"),
    *(
        ("/v1/models", HOLDER, Answer(200, body), "the model is listed", "200, []")
        for body in (b"", b"<html>", b"[]", b"{}", b'{"data": 1}', b'{"data": ["test"]}', b"\xff")
    ),
    (CHAT, HOLDER, Answer(200, EVENTS), "answers name their verdict", "none"),
    (CHAT, HOLDER, streamed(EVENTS, "REJECT"), "answers name their verdict", "REJECT"),
    (
        *(CHAT, HOLDER, streamed(EVENTS.replace(b"data: [DONE]\n\n", b""))),
        *("streaming works", "200, 2 events"),
    ),
    (
        *(CHAT, HOLDER, streamed(EVENTS.replace(b"[DONE]", b'{"error": {}}'))),
        *("streaming works", "200, 3 events"),
    ),
    (CHAT, HOLDER, streamed(b"data: [DONE]\n\n"), "streaming works", "200, 1 events"),
    (CHAT, HOLDER, streamed(b'{"choices": []}'), "streaming works", "200, 0 events"),
    (
        *(CHAT, HOLDER, Answer(503, headers={"X-Bedside-Verdict": "PROMOTE"})),
        *("streaming works", "503, 0 events"),
    ),
]


@pytest.mark.parametrize(("path", "who", "answer", "name", "detail"), DEFECTS)
async def test_a_spoiled_answer_fails_its_check_and_no_other(
    from_outside, config, path, who, answer, name, detail
) -> None:
    from_outside.answers[path, who] = answer
    checks = await collect(selftest.client(config))
    assert [check.name for check in checks] == OPEN_CHECKS + KEY_CHECKS
    assert failed(checks) == [Check(name, False, detail)]


@pytest.mark.parametrize(
    ("path", "who", "before"),
    [
        ("/readyz", NOBODY, []),
        (CHAT, STRANGER, OPEN_CHECKS[:2]),
        ("/pause", NOBODY, OPEN_CHECKS[:3]),
        ("/v1/models", HOLDER, OPEN_CHECKS),
        (CHAT, HOLDER, [*OPEN_CHECKS, KEY_CHECKS[0]]),
    ],
)
async def test_a_connection_that_breaks_ends_the_checks_with_a_failed_one(
    from_outside, config, path, who, before
) -> None:
    from_outside.answers[path, who] = None
    *done, last = await collect(selftest.client(config))
    assert [check.name for check in done] == before
    assert last in (
        Check("reachable", False, "RemoteDisconnected"),
        Check("reachable", False, "ECONNRESET"),
    )


async def test_a_broken_answer_is_not_repeated(config, monkeypatch) -> None:
    """Python's own error quotes the line that is no HTTP."""

    async def gabble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"Herr Muster has fever\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(gabble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("BEDSIDE_URL", f"http://127.0.0.1:{port}")
        checks = await collect(selftest.client(config))
    assert checks == [Check("reachable", False, "BadStatusLine")]


async def test_every_defect_makes_the_verb_fail(from_outside, config, run) -> None:
    from_outside.answers["/docs", NOBODY] = Answer(200)
    from_outside.answers[CHAT, HOLDER] = Answer(200, EVENTS)
    words = "self-test of the client failed: 404 where nothing is offered, answers name"
    with pytest.raises(PolicyError, match=words) as caught:
        await asyncio.to_thread(selftest.selftest, config, run, "client")
    assert caught.value.exit_code == 5


async def test_neither_the_key_nor_an_answers_text_is_reported(
    from_outside, config, run, capsys
) -> None:
    from_outside.answers[CHAT, HOLDER] = streamed(EVENTS.replace(b"[DONE]", b"torn"))
    with pytest.raises(PolicyError) as caught:
        await asyncio.to_thread(selftest.selftest, config, run, "client")
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == len(OPEN_CHECKS + KEY_CHECKS)
    for text in (KEY, "bsk-", "Guten", "Tag", "torn"):
        assert text not in printed.out + printed.err + str(caught.value)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (None, "is not set"),
        ("", "is not set"),
        # Without TLS here, the key would go in the clear to whoever listens on port 80.
        ("https://gateway:8443", "is not http://HOST:PORT"),
        ("gateway:8080", "is not http://HOST:PORT"),
        ("gateway", "is not http://HOST:PORT"),
        ("http://", "is not http://HOST:PORT"),
        ("http://gateway:99999", "is not http://HOST:PORT"),
        ("http://gateway:port", "is not http://HOST:PORT"),
        ("http://[::1", "is not http://HOST:PORT"),
        ("http://gateway:8080/v1", "is not http://HOST:PORT"),
    ],
)
def test_client_wants_the_gateways_address(config, monkeypatch, url, problem) -> None:
    if url is not None:
        monkeypatch.setenv("BEDSIDE_URL", url)
    with pytest.raises(ConfigError, match=f"BEDSIDE_URL {problem} - name the gateway"):
        list(selftest.client(config))


async def test_an_address_may_end_in_a_slash(from_outside, config, monkeypatch) -> None:
    monkeypatch.setenv("BEDSIDE_URL", f"{from_outside.url}/")
    assert failed(await collect(selftest.client(config))) == []


@pytest.mark.parametrize(
    "content", [None, b"", b"\n", b"bsk-a\nbsk-b\n", "bsk-ä".encode(), b"\xff"]
)
def test_a_file_without_one_key_is_refused_and_not_quoted(
    config, monkeypatch, key_file, content
) -> None:
    monkeypatch.setenv("BEDSIDE_URL", "http://127.0.0.1:1")
    key_file.unlink()
    if content is not None:
        key_file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        list(selftest.client(config))
    assert str(caught.value) == (
        f"BEDSIDE_API_KEY_FILE: {key_file} is not a readable file with one key"
    )


# --- the gateway's container ---------------------------------------------------------------------


@pytest.fixture
def valid(config, home) -> Callable[[], list[Key]]:
    """The keys that are valid now."""

    def look() -> list[Key]:
        with closing(Store.open(config.state, home)) as store:
            return [k for k in store.snapshot().keys.values() if k.valid(datetime.now(UTC))]

    return look


async def test_gateway_that_keeps_every_promise(engine, gateway, config, run, valid) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(engine.chunk("Guten ") + engine.chunk("Tag") + b"data: [DONE]\n\n")
        return response

    engine.script = stream
    before = valid()
    checks = await collect(selftest.gateway(config, run))
    assert failed(checks) == []
    assert [check.name for check in checks] == ["no proxy", "rights", *OPEN_CHECKS, *KEY_CHECKS]
    assert checks[-2:] == [
        Check("answers name their verdict", True, "UNPROVEN"),
        Check("streaming works", True, "200, 3 events"),
    ]
    assert valid() == before
    assert len(engine.bodies) == 1


async def test_gateway_whose_engine_is_not_there(gateway, config, run) -> None:
    failures = failed(await collect(selftest.gateway(config, run)))
    assert failures == [
        Check("ready", False, '{"status":"model loading"}'),
        Check("the model is listed", False, "503, []"),
        Check("answers name their verdict", False, "none"),
        Check("streaming works", False, "503, 0 events"),
    ]


async def test_gateway_says_nothing_of_its_key_or_the_answer(
    engine, gateway, config, run, monkeypatch, capsys
) -> None:
    made = []
    temporary = keys.temporary

    @contextmanager
    def remember(*arguments: Any, **named: Any) -> Iterator[NewKey]:
        with temporary(*arguments, **named) as key:
            made.append(key.secret)
            yield key

    monkeypatch.setattr(keys, "temporary", remember)
    with pytest.raises(PolicyError):  # this engine does not stream
        await asyncio.to_thread(selftest.selftest, config, run, "gateway")
    printed = capsys.readouterr()
    [key] = made
    for text in (key, "bsk-", "Guten Tag"):
        assert text not in printed.out + printed.err


def test_the_temporary_key_is_revoked_where_nobody_answers(config, run, valid) -> None:
    assert list(selftest.gateway(config, run)) == [
        Check("no proxy", True, "no variable names one"),
        Check("rights", True, ""),
        Check("reachable", False, "ECONNREFUSED"),
    ]
    assert valid() == []


def test_the_temporary_key_is_revoked_after_an_error(config, run, valid, monkeypatch) -> None:
    seen = []

    def broken(url: str, model: str, key: str) -> Iterator[Check]:
        seen.append((url, model, [digest_of(key)] == [k.sha256 for k in valid()]))
        yield Check("ready", True, "")
        raise RuntimeError("a bug")

    monkeypatch.setattr(selftest, "api", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        list(selftest.gateway(config, run))
    assert seen == [(base_url(config.gateway), "test", True)]
    assert valid() == []


def test_the_temporary_key_is_revoked_when_nobody_reads_on(config, run, valid, monkeypatch) -> None:
    """As when the report's pipe breaks, or Ctrl-C ends it."""
    monkeypatch.setattr(selftest, "api", lambda *_: iter([Check("ready", True, "")] * 2))
    checks = selftest.gateway(config, run)
    assert "ready" in (check.name for check in checks)
    assert len(valid()) == 1
    checks.close()
    assert valid() == []


def test_a_proxy_is_found(config, run, monkeypatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert Check("no proxy", False, "HTTPS_PROXY") in list(selftest.gateway(config, run))


def test_the_gateway_reaches_the_listener_outside(config, run, monkeypatch) -> None:
    name = "the listener outside is there"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("BEDSIDE_SELFTEST_LISTENER", f"127.0.0.1:{listening.getsockname()[1]}")
        assert Check(name, True, "connected") in list(selftest.gateway(config, run))
    assert Check(name, False, "ECONNREFUSED") in list(selftest.gateway(config, run))


# --- the engine's container ----------------------------------------------------------------------


@pytest.fixture
def model(run: Run) -> Artifact:
    with run.write("merged", run.recipe(Config())) as writer:
        (writer.path / "model.safetensors").write_bytes(b"w" * 100)
    return writer.result


@pytest.fixture
def serving(engine, model, monkeypatch) -> Any:
    """An engine that serves what it should."""
    engine.served = engine.served.model_copy(update={"model": model.digest})
    monkeypatch.setattr(selftest, "_model_arguments", lambda: iter([str(model.path)]))
    return engine


@pytest.fixture
async def on_network(serving, config) -> InferenceConfig:
    """The config of that engine on a network; its answers are still open to all."""
    url = f"http://127.0.0.1:{await serving.listen_on_loopback()}"
    return config.model_copy(update={"engine": EngineConfig(url=url)})


async def unauthorised(request: web.Request) -> web.StreamResponse:
    return web.Response(status=401)


async def test_engine_on_its_socket(serving, config, run, model) -> None:
    assert await collect(selftest.engine(config, run)) == [
        Check("ways out", True, ""),
        Check("rights", True, ""),
        Check("healthy", True, "200"),
        Check(WEIGHTS, True, f"{model.digest[:12]}, UNPROVEN"),
    ]


async def test_engine_on_a_network(serving, on_network, run) -> None:
    serving.script = unauthorised
    checks = await collect(selftest.engine(on_network, run))
    assert failed(checks) == []
    assert checks[-1] == Check("401 without the engine's token", True, "401")
    assert "Authorization" not in serving.headers[0]


async def test_engine_that_needs_no_token(serving, on_network, run) -> None:
    failures = failed(await collect(selftest.engine(on_network, run)))
    assert failures == [Check("401 without the engine's token", False, "200")]


async def test_engine_that_is_not_healthy(serving, config, run) -> None:
    serving.healthy = False
    failures = failed(await collect(selftest.engine(config, run)))
    assert failures == [Check("healthy", False, "503")]


async def test_weights_that_were_changed_on_disk(serving, config, run, model) -> None:
    (model.path / "model.safetensors").write_bytes(b"w" * 99 + b"x")
    [failure] = failed(await collect(selftest.engine(config, run)))
    assert failure.name == WEIGHTS
    assert "model.safetensors was changed" in failure.detail


@pytest.mark.parametrize("started", [[], ["/elsewhere/model"], ["/elsewhere", "/other"]])
async def test_vllm_was_started_on_another_directory(
    serving, config, run, model, monkeypatch, started
) -> None:
    monkeypatch.setattr(selftest, "_model_arguments", lambda: iter(started))
    failures = failed(await collect(selftest.engine(config, run)))
    assert failures == [Check(WEIGHTS, False, f"no process here was started on {model.path}")]


async def test_engine_that_names_a_model_the_house_does_not_have(engine, config, run) -> None:
    [failure] = failed(await collect(selftest.engine(config, run)))
    assert failure.name == WEIGHTS
    assert "there is no artifact 'abab" in failure.detail


async def test_engine_that_names_no_model(serving, config, run) -> None:
    serving.served = None
    failures = failed(await collect(selftest.engine(config, run)))
    assert failures == [Check(WEIGHTS, False, "the engine names no model")]


def test_engine_that_is_not_there(config, run) -> None:
    on_network = config.model_copy(
        update={"engine": EngineConfig(url=base_url(config.gateway))}  # nobody listens there
    )
    for place, how in ((config, "ENOENT"), (on_network, "ECONNREFUSED")):
        assert failed(list(selftest.engine(place, run))) == [Check("reachable", False, how)]


def test_the_model_argument_of_a_process_is_found() -> None:
    code = "import sys; print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, "--model", "/artifacts/ä b", "--port", "1"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()  # before, the system may not show its arguments yet
        found = list(selftest._model_arguments())
        process.communicate()
    assert "/artifacts/ä b" in found
    assert "/artifacts/ä b" not in selftest._model_arguments()


# --- the command line ----------------------------------------------------------------------------


@pytest.fixture
def config_file(home, config, monkeypatch) -> str:
    monkeypatch.setenv("BEDSIDE_HOME", str(home))
    path = home / "run.yaml"
    gateway: GatewayConfig = config.gateway
    path.write_text(f"name: x\ninference: {{gateway: {{port: {gateway.port}}}}}\n")
    return str(path)


@pytest.mark.parametrize("what", ["engine", "gateway", "client"])
def test_nobody_answers(config, config_file, monkeypatch, capsys, what) -> None:
    monkeypatch.setenv("BEDSIDE_URL", base_url(config.gateway))
    assert main(["inference", "selftest", "--config", config_file, what]) == 5
    printed = capsys.readouterr()
    last = json.loads(printed.out.splitlines()[-1])
    how = "ENOENT" if what == "engine" else "ECONNREFUSED"
    assert last == {"ok": False, "where": what, "check": "reachable", "detail": how}
    assert printed.err.endswith(f"bedside: the self-test of the {what} failed: reachable\n")


@pytest.mark.parametrize("what", ["merger", "", "Engine"])
def test_an_unknown_place(config_file, capsys, what) -> None:
    assert main(["inference", "selftest", "--config", config_file, what]) == 2
    words = f"bedside: self-test of what? {what!r} is not engine, gateway or client\n"
    assert capsys.readouterr() == ("", words)


def test_no_address_is_a_slip(config_file, capsys) -> None:
    assert main(["inference", "selftest", "--config", config_file, "client"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "BEDSIDE_URL is not set" in printed.err


@pytest.mark.parametrize("what", ["engine", "gateway"])
def test_something_is_tried_on_a_workstation(config_file, monkeypatch, capsys, what) -> None:
    def tried(*_: object) -> None:
        raise AssertionError("tried")

    monkeypatch.setattr(selftest, "refuse_elsewhere", confinement.refuse_elsewhere)
    for name in ("confinement", "rights", "ask"):
        monkeypatch.setattr(selftest, name, tried)
    assert main(["inference", "selftest", "--config", config_file, what]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "this is not a container of Bedside" in printed.err
    assert "nothing was tried" in printed.err


async def test_a_gateway_that_just_starts_is_given_up(from_outside, config, monkeypatch) -> None:
    """As a network plugin does that lets a new pod's packets through a second late."""
    monkeypatch.setattr(selftest, "PATIENCE_SECONDS", 30)
    refused = iter([True, True])
    asked = selftest.ask

    def ask(url: str, *words: Any, **options: Any) -> Any:
        if next(refused, False):
            raise ConnectionRefusedError
        return asked(url, *words, **options)

    monkeypatch.setattr(selftest, "ask", ask)
    assert failed(await collect(selftest.client(config))) == []
    assert next(refused, None) is None
