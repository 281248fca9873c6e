"""Requests as Open WebUI, LibreChat and Continue make them, written down from their source.

They are programs with a page or an editor around them, so what they send stands in shapes.json.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SHAPES = json.loads(Path(__file__).with_name("shapes.json").read_text())


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape['client']}, {shape['what']}")
async def test_a_request_of_a_program(shape, scripted, gateway, ready) -> None:
    await ready()
    body = shape["body"]
    path = shape.get("path", "/v1/chat/completions")
    async with gateway.post(json.dumps(body).encode(), path) as answer:
        said = await answer.text()
    if "refused" in shape:
        error = json.loads(said)["error"]
        assert [error["code"], error["param"]] == shape["refused"]
        assert shape["refused"][1] in error["message"]
        assert not scripted.bodies
        return
    assert answer.status == 200, said
    assert said.rstrip().endswith("data: [DONE]" if body.get("stream") else "}")
    [got] = scripted.bodies
    assert got.get("messages") == shape.get("messages", body.get("messages"))
    assert got.get("prompt") == body.get("prompt")
    for name in (
        "temperature",
        "top_p",
        "max_tokens",
        "seed",
        "reasoning_effort",
        "min_p",
        "top_k",
    ):
        assert got.get(name) == body.get(name)
    assert not {"user", "stop", "tools"} & got.keys() - {name for name in body if body[name]}
    assert "user" not in got
