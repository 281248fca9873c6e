"""What our HTTP protocol leans on of uvicorn's insides: an update that moves it must fail here.

What it does with them is tested in tests/inference/faults/test_faults_http.py.
"""

from __future__ import annotations

import asyncio
import inspect
import re

import httptools
import pytest
from aiohttp import web
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from bedside_inference.gateway import protocol

CALLED_BY_UVICORN = {
    "connection_made": ["transport"],
    "connection_lost": ["exc"],
    "data_received": ["data"],
    "on_message_begin": [],
    "on_url": ["url"],
    "on_header": ["name", "value"],
    "on_headers_complete": [],
    "on_message_complete": [],
    "on_response_complete": [],
    "send_400_response": ["msg"],
}
"""Methods that ours replace, and their parameters."""

USED = {
    "parser": httptools.HttpRequestParser,
    "cycle": RequestResponseCycle,
    "flow": FlowControl,
    "loop": asyncio.AbstractEventLoop,
    "transport": asyncio.BaseTransport,
    "scope": dict,
    "headers": list,
    "url": bytes,
    "timeout_keep_alive": (int, float),
    "timeout_keep_alive_task": (asyncio.TimerHandle, type(None)),
    "timeout_keep_alive_handler": object,
    "_unset_keepalive_if_required": object,
    "cycle.disconnected": bool,
    "cycle.keep_alive": bool,
    "cycle.more_body": bool,
    "cycle.response_complete": bool,
    "flow.resume_reading": object,
    "flow.write_paused": bool,
    "parser.get_http_version": object,
    "parser.get_method": object,
    "parser.should_upgrade": object,
}
"""Members that ours read or set -> their types, while a request is being answered."""


@pytest.fixture
async def connection(engine, gateway):
    """The protocol object of a connection whose request the engine has."""

    async def think(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(600)
        raise AssertionError

    engine.script = think
    asking = asyncio.ensure_future(gateway.chat().__aenter__())
    await asyncio.wait_for(engine.arrived.wait(), 30)
    [found] = [
        each
        for each in gateway.server.server_state.connections
        if each.cycle is not None and not each.cycle.response_complete
    ]
    yield found
    asking.cancel()
    await engine.freed()


def test_methods_of_uvicorn_that_ours_replace() -> None:
    for name, parameters in CALLED_BY_UVICORN.items():
        theirs = getattr(HttpToolsProtocol, name, None)
        assert theirs is not None, f"uvicorn's HTTP protocol has no {name} any more"
        taken = list(inspect.signature(theirs).parameters)[1:]
        assert taken == parameters, f"uvicorn calls {name} with {taken}"
        assert getattr(protocol.Protocol, name) is not theirs


def test_members_of_uvicorn_that_ours_use(connection) -> None:
    for path, kind in USED.items():
        found = connection
        for name in path.split("."):
            assert hasattr(found, name), f"uvicorn's HTTP protocol has no {path} any more"
            found = getattr(found, name)
        assert isinstance(found, kind), f"{path} of uvicorn's HTTP protocol is a {type(found)}"


def test_the_lists_are_complete() -> None:
    """Every member that protocol.py names and does not make itself stands above."""
    source = inspect.getsource(protocol.Protocol)
    named = set(re.findall(r"\bself\.((?:(?:cycle|flow|parser)\.)?[a-z_]+)", source))
    named |= set(re.findall(r"\bsuper\(\)\.([a-z_]+)", source))
    ours = vars(protocol.Protocol).keys() | set(re.findall(r"self\.(_[a-z_]+)\b.*? = ", source))
    assert named - ours - USED.keys() - CALLED_BY_UVICORN.keys() <= {
        # Of the parser, in C, and named by its own types.
        "parser.feed_data"
    }
