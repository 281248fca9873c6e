"""Which model is behind a server, and servers that do not say it."""

from __future__ import annotations

import json
import socket
from http.server import BaseHTTPRequestHandler

import pytest

from bedside_core.endpoint.client import connected
from bedside_core.errors import ConfigError, InputError

DIGEST, OTHER_DIGEST = "ab" * 32, "cd" * 32


async def found(config, cache) -> str:
    async with connected(config, cache) as endpoint:
        return endpoint.peer.digest


async def test_our_servers_say_it_themselves(server, config, cache) -> None:
    assert await found(config, cache) == DIGEST


async def test_a_foreign_model_needs_a_digest(server, config, cache) -> None:
    server.digest = None
    with pytest.raises(ConfigError, match="does not say which weights it serves - set `digest`"):
        await found(config, cache)
    config = config.model_copy(update={"digest": OTHER_DIGEST})
    assert await found(config, cache) == OTHER_DIGEST


async def test_a_stated_digest_that_is_not_the_servers(server, config, cache) -> None:
    config = config.model_copy(update={"digest": OTHER_DIGEST})
    with pytest.raises(InputError, match=f"serves model {DIGEST}, not {OTHER_DIGEST}"):
        await found(config, cache)


async def test_a_stated_digest_that_a_foreign_server_contradicts_later(
    server, config, cache
) -> None:
    server.digest = None
    config = config.model_copy(update={"digest": OTHER_DIGEST})
    async with connected(config, cache) as endpoint:
        server.digest = DIGEST
        with pytest.raises(InputError, match="answers come from model abab"):
            await endpoint.ask("/v1/chat/completions", {"messages": [{"content": "a"}]})


@pytest.mark.parametrize("said", ["../../../../etc/passwd", "a" * 63, "/" * 64, "{}"])
async def test_no_digest_is_a_way_out_of_the_cache(server, config, cache, said) -> None:
    server.digest = said
    with pytest.raises(ConfigError, match="does not say"):
        await found(config, cache)
    assert not cache.exists()


@pytest.mark.parametrize("said", ["{", "[]", '{"model": 7}', "nonsense"])
async def test_a_header_that_is_nonsense(server, config, cache, said) -> None:
    server.digest = None
    server.RequestHandlerClass = type(
        "Odd", (server.RequestHandlerClass,), {"do_GET": lambda self: odd(self, said)}
    )
    with pytest.raises(ConfigError, match="does not say"):
        await found(config, cache)


def odd(handler: BaseHTTPRequestHandler, said: str) -> None:
    content = json.dumps({"model": "a name"}).encode()
    handler.send_response_only(200)
    handler.send_header("X-Bedside-Served", said)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


async def test_nobody_is_there(config, cache) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    for where in (address, "/nowhere/engine.sock"):
        with pytest.raises(InputError, match=f"{where}: nobody answers there"):
            await found(config.model_copy(update={"address": where}), cache)


async def test_no_certificates(config, cache, tmp_path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    for path in (tmp_path / "ca.pem", tmp_path / "absent.pem"):
        with pytest.raises(ConfigError, match="no certificates can be read"):
            await found(config.model_copy(update={"ca_file": path}), cache)
