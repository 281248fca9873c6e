"""Only listed routes of vLLM are reachable, with the token; each response names the model."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bedside_core.errors import ConfigError
from bedside_core.registry.registry import Registry
from bedside_inference.engine import ending, withdrawal
from bedside_inference.engine.door import ALLOWED, Door
from bedside_inference.gateway.api.fields import REQUESTS
from bedside_inference.secret import make_secrets
from bedside_inference.served import HEADER, ServedModel

CHAT = "/v1/chat/completions"


async def reached(request: Request) -> PlainTextResponse:
    return PlainTextResponse("reached")


def door() -> Door:
    return Door(Starlette(routes=[Route("/{path:path}", reached, methods=["GET", "POST", "PUT"])]))


def client(app: Door) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://engine")


@pytest.fixture(autouse=True)
def environment(monkeypatch, served) -> None:
    monkeypatch.setenv("BEDSIDE_SERVED", served.model_dump_json())
    monkeypatch.delenv("BEDSIDE_ENGINE_NETWORK", raising=False)


@pytest.fixture
def token(monkeypatch, tmp_path) -> str:
    monkeypatch.setenv("BEDSIDE_ENGINE_NETWORK", "1")
    monkeypatch.setenv("BEDSIDE_SECRETS", str(tmp_path))
    make_secrets(Registry(tmp_path))
    return (tmp_path / "engine-token").read_text().strip()


async def test_every_response_names_the_model(served) -> None:
    async with client(door()) as http:
        for method, path in (("POST", CHAT), ("GET", "/health"), ("GET", "/nothing")):
            answer = await http.request(method, path)
            assert ServedModel.model_validate_json(answer.headers[HEADER]) == served


@pytest.mark.parametrize(
    "path",
    [
        *("/tokenize", "/invocations", "/v1/models", "/pause", "/docs", "//health", "/v1"),
        *(f"{CHAT}/", f"{CHAT}/batch", "/v1/messages", "/v2/embed", "/pooling", "/score"),
        *("/v1/responses/resp_1", "/v1/responses/resp_1/cancel", "/v1/responses/"),
    ],
)
async def test_what_is_not_listed_is_not_there(path) -> None:
    async with client(door()) as http:
        for method in ("GET", "POST"):
            assert (await http.request(method, path)).status_code == 404


async def test_what_the_gateway_asks_is_there() -> None:
    assert {path for method, path in ALLOWED if method == "POST"} == set(REQUESTS)
    async with client(door()) as http:
        for path in REQUESTS:
            assert (await http.post(path)).text == "reached"


async def test_a_listed_path_with_another_method() -> None:
    async with client(door()) as http:
        assert (await http.get(CHAT)).status_code == 404
        assert (await http.put(CHAT)).status_code == 404


async def test_a_host_header_opens_nothing(token) -> None:
    async with client(door()) as http:
        answer = await http.post(CHAT, headers={"Host": "x/health?"})
    assert answer.status_code == 401


async def test_on_a_network_the_token_is_wanted(token) -> None:
    async with client(door()) as http:
        assert (await http.get("/health")).status_code == 200
        for header in ({}, {"Authorization": token}, {"Authorization": f"Bearer {token}x"}):
            for method, path in (("POST", CHAT), ("GET", "/metrics")):
                assert (await http.request(method, path, headers=header)).status_code == 401
        right = {"Authorization": f"Bearer {token}"}
        assert (await http.post(CHAT, headers=right)).text == "reached"
        assert (await http.get("/metrics", headers=right)).text == "reached"


def test_no_token_no_door(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("BEDSIDE_ENGINE_NETWORK", "1")
    monkeypatch.setenv("BEDSIDE_SECRETS", str(tmp_path))
    with pytest.raises(ConfigError, match="no readable secret"):
        door()


async def test_a_websocket_is_not_accepted() -> None:
    sent = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: object) -> None:
        sent.append(message)

    await door()({"type": "websocket", "path": "/v1/realtime", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close"}]


async def test_a_withdrawn_model_answers_nothing_and_says_why(served, monkeypatch, token) -> None:
    app = door()
    monkeypatch.setattr(withdrawal.NOTICE, "is_set", lambda: True)
    async with client(app) as http:
        for method, path in (("POST", CHAT), ("GET", "/health"), ("GET", "/metrics")):
            answer = await http.request(method, path, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 503
            said = ServedModel.model_validate_json(answer.headers[HEADER])
            assert said == served.model_copy(update={"withdrawn": True})


async def test_from_the_signal_on_nothing_new_is_let_in_and_says_why(
    served, monkeypatch, token
) -> None:
    app = door()
    monkeypatch.setattr(ending.DRAINING, "is_set", lambda: True)
    right = {"Authorization": f"Bearer {token}"}
    async with client(app) as http:
        for method, path in (("POST", CHAT), ("GET", "/health")):
            answer = await http.request(method, path, headers=right)
            assert answer.status_code == 503
            said = ServedModel.model_validate_json(answer.headers[HEADER])
            assert said == served.model_copy(update={"draining": True})
        assert (await http.get("/metrics", headers=right)).text == "reached"
        assert (await http.post(CHAT)).status_code == 401
        assert (await http.get("/v1/models", headers=right)).status_code == 404


async def test_what_was_let_in_before_the_signal_and_fails_by_it(monkeypatch) -> None:
    """vLLM closes what tokenizes at the signal, and answers 500 to a request in between."""

    async def signalled(request: Request) -> PlainTextResponse:
        monkeypatch.setattr(ending.DRAINING, "is_set", lambda: True)
        return PlainTextResponse("cannot schedule new futures after shutdown", 500)

    app = Door(Starlette(routes=[Route(CHAT, signalled, methods=["POST"])]))
    async with client(app) as http:
        answer = await http.post(CHAT)
    assert answer.status_code == 503
    assert ServedModel.model_validate_json(answer.headers[HEADER]).draining
