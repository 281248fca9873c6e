"""Routes, authentication and every kind of bad request."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing

import openai
import pytest
from aiohttp import web

from bedside_core.registry.registry import Registry
from bedside_inference.config import StateConfig, TimeoutsConfig
from bedside_inference.gateway.api.routes import PUBLIC
from bedside_inference.gateway.engines.admission import engine_priority
from bedside_inference.gateway.engines.client import EngineClient
from bedside_inference.keys import revoke
from bedside_inference.secret import make_secrets
from bedside_inference.state.store import Store

BATCH = engine_priority("batch")
CHAT = "/v1/chat/completions"
API = (
    ("GET", "/v1/models"),
    ("GET", "/v1/models/test"),
    ("POST", CHAT),
    ("POST", "/v1/completions"),
)
CHANGING = frozenset({"date", "x-request-id"})
"""Headers that differ from one answer to the next."""
GOOD = json.dumps({"model": "test", "messages": [{"role": "user", "content": "Hallo"}]}).encode()


async def error_of(answer) -> dict:
    """The OpenAI error object of an answer, checked for its shape."""
    error = (await answer.json())["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    return error


async def raw_exchange(port: int, request: bytes) -> bytes:
    """Send bytes as they are; the whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return answer


async def test_models_is_what_the_engine_says(engine, gateway, served) -> None:
    url = f"{gateway.url}/v1/models"
    async with gateway.session.get(url, headers=gateway.authorization) as answer:
        assert answer.status == 200
        assert answer.headers["x-bedside-model"] == served.model
        assert answer.headers["x-bedside-verdict"] == "UNPROVEN"
        assert answer.headers["x-request-id"]
        assert "server" not in answer.headers
        [model] = (await answer.json())["data"]
    assert model["id"] == "test"


async def test_openai_client(engine, gateway) -> None:
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key) as client:
        models = await client.models.list()
        assert [model.id for model in models.data] == ["test"]
        assert await client.models.retrieve("test") == models.data[0]
        with pytest.raises(openai.NotFoundError) as caught:
            await client.models.retrieve("other")
        assert caught.value.code == "model_not_found"
        answer = await client.chat.completions.create(
            model="test", messages=[{"role": "user", "content": "Hallo"}]
        )
        assert answer.choices[0].message.content == "Guten Tag"
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model="gpt-4", messages=[])
        assert caught.value.code == "model_not_found"


async def test_the_model_object_tells_the_window(engine, gateway, served) -> None:
    """The engine's own figure; an engine that says none makes none."""
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key) as client:
        assert "max_model_len" not in (await client.models.retrieve("test")).model_dump()
        engine.served = served.model_copy(update={"max_model_len": 1234})
        async with asyncio.timeout(30):
            while not (await client.models.retrieve("test")).model_extra:
                await asyncio.sleep(0.02)
        [model] = (await client.models.list()).data
        assert model.model_extra == {"max_model_len": 1234}


@pytest.mark.parametrize(("method", "path"), API)
async def test_no_key_no_answer(engine, gateway, method, path) -> None:
    for value in (None, "", "Bearer", "Bearer ", "Bearer bsk-x", "Basic {}", "{}", "Bearer {}x"):
        headers = {"Content-Type": "application/json"}
        if value is not None:
            headers["Authorization"] = value.format(gateway.key)
        url = f"{gateway.url}{path}"
        async with gateway.session.request(method, url, data=GOOD, headers=headers) as answer:
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert (await error_of(answer))["code"] == "invalid_api_key"
    assert not engine.bodies


async def test_two_keys_and_a_revocation(engine, gateway, make_key, config, home) -> None:
    made = make_key()

    async def status(key: str) -> int:
        url = f"{gateway.url}/v1/models"
        async with gateway.session.get(url, headers={"Authorization": f"Bearer {key}"}) as answer:
            return answer.status

    await eventually(status, made.secret, 200)
    with closing(Store.open(config.state, home)) as store:
        revoke(store, made.id, audit=lambda action, **ids: None)
    await eventually(status, made.secret, 401)
    assert await status(gateway.key) == 200


async def eventually(look, argument, wanted) -> None:
    """Look until it is so."""
    async with asyncio.timeout(30):
        while (found := await look(argument)) != wanted:
            await asyncio.sleep(0.02)
    assert found == wanted


async def test_a_database_that_is_away_lets_nobody_in(engine, config, home, open_gateway) -> None:
    soon = config.model_copy(update={"state": StateConfig(poll_seconds=0.05, stale_seconds=0.2)})
    async with open_gateway(soon) as gateway:

        async def status(path: str) -> int:
            async with gateway.session.get(
                f"{gateway.url}{path}", headers=gateway.authorization
            ) as answer:
                if answer.status != 200:
                    assert (await error_of(answer))["code"] == "state_unavailable"
                    assert int(answer.headers["retry-after"]) > 0
                return answer.status

        await eventually(status, "/v1/models", 200)
        database = home / "gateway" / "state.sqlite3"
        kept = database.read_bytes()
        database.unlink()
        await eventually(status, "/v1/models", 503)
        assert (await probe(gateway, "/readyz"))[0] == 503
        database.write_bytes(kept)
        await eventually(status, "/v1/models", 200)


async def test_host_header_opens_nothing(engine, gateway) -> None:
    """What `request.url` makes of such a host once opened other servers (CVE-2026-48746)."""
    for host in ("x/livez?", "x/livez#", "x/livez", "/metrics", "a b", "\\livez"):
        head = f"GET /v1/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        answer = await raw_exchange(gateway.port, head.encode())
        assert answer.startswith((b"HTTP/1.1 401", b"HTTP/1.1 400"))
        assert b'"object"' not in answer


BAD_BODIES = [
    (b"", 400, "invalid_json"),
    (b"{", 400, "invalid_json"),
    (b"nonsense", 400, "invalid_json"),
    (b"\xff\xfe{}", 400, "invalid_json"),
    ('{"model": "test"}'.encode("utf-16"), 400, "invalid_json"),
    (b"[" * 2000, 400, "invalid_json"),
    (b'{"a":' * 800, 400, "invalid_json"),
    (b'{"model": "test", "temperature": NaN}', 400, "invalid_json"),
    (b'{"n": ' + b"9" * 500 + b"}", 400, "missing_model"),
    (b'{"n": ' + b"9" * 4000 + b"}", 400, "invalid_json"),
    (b"[]", 400, "invalid_json"),
    (b'"test"', 400, "invalid_json"),
    (b"null", 400, "invalid_json"),
    (b"{}", 400, "missing_model"),
    (b'{"model": null}', 400, "missing_model"),
    (b'{"model": ["test"]}', 400, "missing_model"),
    (b'{"model": "other"}', 404, "model_not_found"),
    (b'{"model": "test"}', 400, "missing_messages"),
    (b'{"model": "test", "messages": []}', 400, "invalid_value"),
    (b'{"model": "test", "model": "test"}', 400, "invalid_json"),
    (b'{"model": "test", "messages": [{"role": "a", "role": "b"}]}', 400, "invalid_json"),
    (b'{"model": "test", "temperature": 1e999}', 400, "invalid_json"),
]


async def test_bad_bodies(engine, gateway) -> None:
    for body, status, code in BAD_BODIES:
        async with gateway.post(body) as answer:
            assert answer.status == status
            error = await error_of(answer)
        assert error["type"] == "invalid_request_error"
        assert error["code"] == code
    assert not engine.bodies


async def test_departments_share_no_prefix_cache(engine, make_key, gateway) -> None:
    first, second = (make_key(department=name, priority="batch").secret for name in ("a", "b"))
    await gateway.looked()
    for key in (first, second, first):
        async with gateway.post(GOOD, headers={"Authorization": f"Bearer {key}"}) as answer:
            assert answer.status == 200
    salts = [json.loads(body)["cache_salt"] for body in engine.bodies]
    assert salts[0] == salts[2] != salts[1]
    assert [len(bytes.fromhex(salt)) for salt in salts] == [32, 32, 32]
    assert all(json.loads(b) == json.loads(GOOD) | {"cache_salt": s, "priority": BATCH}
               for b, s in zip(engine.bodies, salts, strict=True))  # fmt: skip


async def test_media_type(engine, gateway) -> None:
    for media_type in ("text/plain", "", "application/x-www-form-urlencoded"):
        async with gateway.post(GOOD, headers={"Content-Type": media_type}) as answer:
            assert answer.status == 415
            await error_of(answer)


async def in_pieces(size: int):
    for _ in range(size // 1024):
        yield b" " * 1024


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "length"])
@pytest.mark.parametrize("size", [5 * 1024, 20 * 1024])
async def test_oversized_body(engine, gateway, chunked, size) -> None:
    async with gateway.post(in_pieces(size) if chunked else b" " * size) as answer:
        assert answer.status == 413
        assert (await error_of(answer))["code"] == "body_too_large"
    assert not engine.bodies


async def test_endless_body_is_cut_off(engine, gateway) -> None:
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.key}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(head.encode())
    for _ in range(64):
        writer.write(b"400\r\n" + b" " * 1024 + b"\r\n")
    assert (await asyncio.wait_for(reader.readline(), 30)).startswith(b"HTTP/1.1 413")
    writer.close()


async def test_a_client_that_asks_first_is_refused_at_once(engine, gateway) -> None:
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.key}\r\n"
        "Content-Type: application/json\r\nContent-Length: 9999999\r\nExpect: 100-continue\r\n\r\n"
    )
    assert (await raw_exchange(gateway.port, head.encode())).startswith(b"HTTP/1.1 413")


async def test_leaving_while_sending_is_no_bug(engine, gateway) -> None:
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.key}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(head.encode())
    await writer.drain()
    writer.close()
    counted = ""
    async with asyncio.timeout(30):
        while f'route="{CHAT}",status="499"' not in counted:
            await asyncio.sleep(0.02)
            async with gateway.session.get(f"{gateway.url}/metrics") as answer:
                counted = await answer.text()


UNKNOWN = [
    ("GET", "/v1/models/", 404, "unknown_route"),
    ("POST", "/v1/moderations", 404, "unknown_route"),
    ("POST", "/invocations", 404, "unknown_route"),
    ("POST", "/tokenize", 404, "unknown_route"),
    ("GET", "/docs", 404, "unknown_route"),
    ("GET", "/openapi.json", 404, "unknown_route"),
    ("GET", CHAT, 405, "method_not_allowed"),
    ("DELETE", "/v1/models", 405, "method_not_allowed"),
]


async def test_unknown_routes(engine, gateway) -> None:
    for method, path, status, code in UNKNOWN:
        url = f"{gateway.url}{path}"
        async with gateway.session.request(method, url, headers=gateway.authorization) as answer:
            assert answer.status == status
            assert (await error_of(answer))["code"] == code
    assert not engine.bodies


async def test_head_is_get_without_a_body(engine, gateway) -> None:
    """RFC 9110, section 9.3.2; uptime monitors ask so."""
    found = {}
    for path in ("/v1/models", "/v1/models/test", "/v1/models/other", *sorted(PUBLIC)):
        for headers in (gateway.authorization, {}):
            for method in ("GET", "HEAD"):
                url = f"{gateway.url}{path}"
                async with gateway.session.request(method, url, headers=headers) as answer:
                    said = {k.lower(): v for k, v in answer.headers.items()}
                    found[method] = answer.status, {k: said[k] for k in said.keys() - CHANGING}
                    assert bool(await answer.read()) == (method == "GET")
            if path == "/metrics":  # whose size differs from one time to the next
                for _, said in found.values():
                    del said["content-length"]
            assert found["HEAD"] == found["GET"]
    async with gateway.session.head(f"{gateway.url}/livez") as answer:
        assert answer.status == 200
    async with gateway.session.head(f"{gateway.url}{CHAT}") as answer:
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
    async with gateway.session.delete(f"{gateway.url}/livez") as answer:
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_no_other_origin_is_let_in(engine, gateway) -> None:
    """As docs/clients.md says: there is no CORS, neither before a request nor with an answer."""
    asks = {"Origin": "https://other.example", "Access-Control-Request-Method": "POST"}
    async with gateway.session.options(f"{gateway.url}{CHAT}", headers=asks) as answer:
        assert answer.status == 405
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    async with gateway.post(GOOD, headers={"Origin": "https://other.example"}) as answer:
        assert answer.status == 200
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize(
    ("path", "hinted"),
    [
        ("/chat/completions", True),
        ("/v1/chat/completions/", True),
        ("/v1/v1/responses", True),
        ("/models", True),
        ("/api/v1/embeddings", True),
        ("/v1/moderations", False),
        ("/", False),
    ],
)
async def test_a_wrong_base_url_is_hinted(gateway, path, hinted) -> None:
    async with gateway.post(GOOD, path=path) as answer:
        assert ("base URL ends in /v1" in (await error_of(answer))["message"]) == hinted


async def test_only_our_headers_reach_the_engine(engine, gateway) -> None:
    mine = {"X-Secret": "a", "Cookie": "b=c", "X-Request-Id": "mine", "Accept-Encoding": "gzip"}
    async with gateway.post(GOOD, headers=mine) as answer:
        assert answer.status == 200
        request_id = answer.headers["x-request-id"]
    headers = {name.lower(): value for name, value in engine.headers[0].items()}
    assert headers == {
        "host": "engine",
        "connection": "close",
        "content-type": "application/json",
        "content-length": str(len(engine.bodies[0])),
        "x-request-id": request_id,
    }
    assert request_id != "mine"


REFUSALS = [
    (400, "body.max_tokens", 400, "max_tokens"),
    (400, "body.messages.0.patient Müller", 400, "messages"),
    (422, "patient Müller", 422, None),
    (404, "patient Müller", 404, None),
    (500, "max_tokens", 502, None),
    (401, None, 502, None),
    (307, None, 502, None),
    (503, None, 503, None),
]


async def test_engine_errors_lose_their_words(engine, gateway) -> None:
    for status, param, expected, named in REFUSALS:
        error = {"message": "cannot parse 'patient Müller'", "param": param, "code": status}

        async def refuse(
            request: web.Request, status: int = status, error: dict = error
        ) -> web.StreamResponse:
            return web.json_response({"error": error}, status=status)

        engine.script = refuse
        async with gateway.chat() as answer:
            assert answer.status == expected
            assert (await error_of(answer))["param"] == named
            assert "Müller" not in await answer.text()


async def test_engine_garbage_error(engine, gateway) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.Response(status=400, body=b"[" * 100000)

    engine.script = refuse
    async with gateway.chat() as answer:
        assert answer.status == 400
        await error_of(answer)


async def test_without_an_engine(gateway) -> None:
    async with gateway.chat() as answer:
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
        assert (await error_of(answer))["code"] == "model_loading"


async def test_an_answer_that_names_no_model_is_not_passed_on(engine, gateway) -> None:
    engine.served = None
    async with gateway.chat() as answer:
        assert answer.status == 502
        assert "x-bedside-model" not in answer.headers
        assert (await error_of(answer))["code"] == "engine_error"


async def test_silent_engine(engine, config, open_gateway) -> None:
    async def sleep(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(600)
        return web.Response()

    engine.script = sleep
    timeouts = TimeoutsConfig(first_token=0.1, answer=0.1)
    impatient = config.gateway.model_copy(update={"timeouts": timeouts})
    async with open_gateway(config.model_copy(update={"gateway": impatient})) as gateway:
        for stream in (True, False):
            async with gateway.chat(stream=stream) as answer:
                assert answer.status == 504
                assert (await error_of(answer))["code"] == "engine_timeout"
            await engine.freed()


async def probe(gateway, path: str) -> tuple[int, dict]:
    async with gateway.session.get(f"{gateway.url}{path}") as answer:
        return answer.status, await answer.json()


async def test_alive_is_not_ready(gateway) -> None:
    assert await probe(gateway, "/livez") == (200, {"status": "alive"})
    assert await probe(gateway, "/readyz") == (503, {"status": "model loading"})


async def test_a_demos_verdict_says_so_in_a_header(engine, gateway, served) -> None:
    url = f"{gateway.url}/v1/models"
    async with gateway.session.get(url, headers=gateway.authorization) as answer:
        assert "x-bedside-scope" not in answer.headers
    engine.served = served.model_copy(update={"scope": "demo"})
    scope = None
    async with asyncio.timeout(30):
        while scope is None:
            async with gateway.session.get(url, headers=gateway.authorization) as answer:
                scope = answer.headers.get("x-bedside-scope")
    assert scope == "demo"


async def test_readiness_follows_the_engine(engine, gateway, served) -> None:
    ready = {"status": "ready", "name": "test", "model": served.model, "verdict": "UNPROVEN"}
    assert await probe(gateway, "/readyz") == (200, ready)

    async def status(path: str) -> int:
        return (await probe(gateway, path))[0]

    for change in ({"healthy": False}, {"healthy": True, "served": None}):
        vars(engine).update(change)
        await eventually(status, "/readyz", 503)
        vars(engine).update(healthy=True, served=served)
        await eventually(status, "/readyz", 200)


async def test_engine_on_a_network_gets_its_token(engine, home, monkeypatch) -> None:
    monkeypatch.setenv("BEDSIDE_SECRETS", str(home / "secrets"))
    make_secrets(Registry(home))
    port = await engine.listen_on_loopback()
    client = EngineClient(f"http://127.0.0.1:{port}", connect_seconds=1)
    answer, served = await client.ask(CHAT, GOOD, "id")
    answer.close()
    assert (answer.status, served) == (200, engine.served)
    token = (home / "secrets" / "engine-token").read_text().strip()
    assert engine.headers[-1]["Authorization"] == f"Bearer {token}"


async def test_metrics_have_bounded_labels(engine, gateway) -> None:
    async with gateway.chat() as answer:
        assert answer.status == 200
    for path in ("/a", "/b", "/v1/x", "/v1/models/a", "/v1/models/b"):
        async with gateway.session.get(f"{gateway.url}{path}", headers=gateway.authorization):
            pass
    async with gateway.session.get(f"{gateway.url}/metrics") as answer:
        assert answer.headers["content-type"].startswith("text/plain")
        text = await answer.text()
    assert f'bedside_gateway_requests_total{{route="{CHAT}",status="200"}} 1.0' in text
    assert 'bedside_gateway_requests_total{route="unknown",status="404"} 3.0' in text
    assert f'time_to_first_byte_seconds_count{{route="{CHAT}"}} 1.0' in text
    assert 'bedside_gateway_requests_total{route="/v1/models/{name}",status="404"} 2.0' in text
    assert "bedside_gateway_requests_in_flight 1.0" in text  # this very request


async def test_a_bug_is_an_error_object_without_its_message(engine, gateway, monkeypatch) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("patient Müller")

    monkeypatch.setattr("bedside_inference.gateway.app.prepare_body", broken)
    async with gateway.chat() as answer:
        assert answer.status == 500
        assert answer.headers["x-request-id"]
        error = await error_of(answer)
        assert "Müller" not in await answer.text()
    assert error["code"] == "internal_error"
    assert error["type"] == "server_error"
