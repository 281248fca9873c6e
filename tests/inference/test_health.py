"""What a container's health check finds, in its exit code and in words."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from bedside_core.cli import main
from bedside_core.errors import ConfigError
from bedside_inference import probe
from bedside_inference.children import ServingError
from bedside_inference.config import EngineConfig, InferenceConfig
from bedside_inference.health import check


@pytest.fixture(params=["socket", "url"])
async def reached(request, engine, config) -> InferenceConfig:
    """A config that leads to the engine, by either way."""
    if request.param == "socket":
        return config
    url = f"http://127.0.0.1:{await engine.listen_on_loopback()}"
    return config.model_copy(update={"engine": EngineConfig(url=url)})


async def failure(config: InferenceConfig, home, what: str) -> str:
    with pytest.raises(ServingError) as caught:
        await asyncio.to_thread(check, config, home, what)
    assert caught.value.exit_code == 1
    return str(caught.value)


async def test_a_healthy_engine(reached, home) -> None:
    await asyncio.to_thread(check, reached, home, "engine")


async def test_an_engine_that_says_it_is_not(engine, reached, home) -> None:
    engine.healthy = False
    assert await failure(reached, home, "engine") == "the engine answers 503"


async def test_the_engines_url_takes_the_place_of_its_socket(engine, config, home) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    elsewhere = config.model_copy(update={"engine": EngineConfig(url=url)})
    assert await failure(elsewhere, home, "engine") == "the engine does not answer"


async def test_a_gateway_without_an_engine_is_alive(gateway, config, home) -> None:
    await asyncio.to_thread(check, config, home, "gateway")


async def test_a_gateway_on_every_address_is_asked_on_loopback(gateway, config, home) -> None:
    everywhere = config.gateway.model_copy(update={"host": "0.0.0.0"})
    config = config.model_copy(update={"gateway": everywhere})
    await asyncio.to_thread(check, config, home, "gateway")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "the gateway answers 404"),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", "the gateway answers 302"),
        (b"220 mail\r\n", "the gateway does not answer"),
        (b"", "the gateway does not answer"),
    ],
)
def test_another_server_on_the_gateways_port(config, home, said, message) -> None:
    with socket.create_server(("127.0.0.1", config.gateway.port)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ServingError, match=f"^{message}$"):
            check(config, home, "gateway")
        thread.join()


def test_a_process_that_hangs_is_not_healthy(config, home, monkeypatch) -> None:
    def impatient(*arguments: object, timeout: float) -> None:
        connect(*arguments, timeout=0.2)

    connect = probe.http.client.HTTPConnection.__init__
    monkeypatch.setattr(probe.http.client.HTTPConnection, "__init__", impatient)
    with (
        socket.create_server(("127.0.0.1", config.gateway.port)),  # nobody accepts
        pytest.raises(ServingError, match=r"^the gateway does not answer$"),
    ):
        check(config, home, "gateway")


@pytest.mark.parametrize("what", ["engines", "", "client"])
def test_an_unknown_word_is_a_slip_not_a_sick_service(config, home, what) -> None:
    with pytest.raises(ConfigError, match=f"health of what\\? '{what}' is neither") as caught:
        check(config, home, what)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("what", "code", "message"),
    [
        ("engine", 1, "the engine does not answer"),
        ("gateway", 1, "the gateway does not answer"),
        ("eval", 2, "health of what? 'eval' is neither engine nor gateway"),
    ],
)
def test_the_command_line(config, home, monkeypatch, capsys, what, code, message) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(home))
    path = home / "run.yaml"
    path.write_text(f"name: x\ninference: {{gateway: {{port: {config.gateway.port}}}}}\n")
    assert main(["inference", "health", "--config", str(path), what]) == code
    assert capsys.readouterr() == ("", f"bedside: {message}\n")
