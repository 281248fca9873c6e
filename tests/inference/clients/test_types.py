"""Whole answers, events and errors have the types of OpenAI's npm package, to the last null.

Those types are generated from OpenAI's published OpenAPI document and, unlike the Python ones, tell
what may be null from what may be left out; TypeScript's compiler is the judge. vLLM's own members
are taken away before, since the compiler forbids any that the types do not name.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from aiohttp import web

WHOLE = {
    "/v1/chat/completions": "OpenAI.Chat.ChatCompletion",
    "/v1/completions": "OpenAI.Completion",
    "/v1/embeddings": "OpenAI.CreateEmbeddingResponse",
    "/v1/responses": "Omit<OpenAI.Responses.Response, 'output_text'>",
}
EVENT = {
    "/v1/chat/completions": "OpenAI.Chat.ChatCompletionChunk",
    "/v1/responses": "OpenAI.Responses.ResponseStreamEvent",
}
OTHERS = {
    "/v1/chat/completions": {"stop_reason", "token_ids", "prompt_token_ids", "prompt_text",
                             "reasoning"},
    "/v1/completions": {"stop_reason", "token_ids", "prompt_token_ids"},
    "/v1/embeddings": {"id", "created", "completion_tokens", "prompt_tokens_details",
                       "completion_tokens_details"},
    "/v1/responses": {"presence_penalty", "frequency_penalty", "input_tokens_per_turn",
                      "cached_tokens_per_turn", "tool_output_tokens", "output_tokens_per_turn",
                      "tool_output_tokens_per_turn"},
}  # fmt: skip
"""vLLM's own members."""

COMPILE = ("--noEmit", "--strict", "--exactOptionalPropertyTypes", "--skipLibCheck",
           "--module", "nodenext", "--moduleResolution", "nodenext", "--target", "es2022",
           "--pretty", "false")  # fmt: skip


def without(value: Any, names: set[str]) -> Any:
    if isinstance(value, list):
        return [without(inner, names) for inner in value]
    if isinstance(value, dict):
        return {name: without(v, names) for name, v in value.items() if name not in names}
    return value


async def test_what_clients_get_compiles(
    engine, gateway, recorded, ready, node, node_modules, tmp_path, program
) -> None:
    await ready()
    values: list[tuple[str, Any]] = []
    for case in recorded.values():
        values += await received(engine, gateway, case)
    async with gateway.session.get(f"{gateway.url}/v1/models") as refused:
        values.append(("OpenAI.ErrorObject", (await refused.json())["error"]))
    url = f"{gateway.url}/v1/models/test"
    async with gateway.session.get(url, headers=gateway.authorization) as model:
        values.append(("OpenAI.Model", await model.json()))
    # The judge judges: a null where the types have none, a member too few, and one too many.
    kind, good = values[0]
    bad = [
        (kind, good | {"system_fingerprint": None}),
        (kind, {name: value for name, value in good.items() if name != "object"}),
        (kind, good | {"token_ids": []}),
    ]
    faults = await compiled(values + bad, node, node_modules, tmp_path, program)
    assert [number - len(values) for number, _ in faults] == [0, 1, 2], faults


async def received(engine, gateway, case: dict[str, Any]) -> list[tuple[str, Any]]:
    """What the gateway makes of a recorded answer, each part with its type."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if "answer" in case:
            return web.json_response(case["answer"])
        response = await engine.open_stream(request)
        await response.write(case["events"].encode())
        return response

    engine.script = answer
    path, others = case["path"], OTHERS[case["path"]]
    async with gateway.post(json.dumps(case["asked"]).encode(), path) as got:
        assert got.status == 200
        if "answer" in case:
            if "base64" in case["name"]:
                return []  # not among the published schemas
            return [(WHOLE[path], without(await got.json(), others))]
        lines = (await got.text()).splitlines()
    # Completions' chunks pass as vLLM writes them; see answers.py.
    if path not in EVENT or "probabilities" in case["name"]:
        return []
    events = [without(json.loads(line[6:]), others) for line in lines if line.startswith("data: {")]
    for event in events:
        if "response" in event:
            event["response"]["output_text"] = ""  # which the client makes, not the API
        if event.get("type") == "response.function_call_arguments.done":
            event.pop("name", None)  # which vLLM says, and these types no longer do
    return [(EVENT[path], event) for event in events]


async def compiled(
    values: list[tuple[str, Any]], node: Path, node_modules: Path, directory: Path, program
) -> list[tuple[int, str]]:
    """What the compiler finds fault with, each with the number of its value."""
    (directory / "node_modules").symlink_to(node_modules)
    declared = "".join(
        f"export const v{number}: {kind} = {json.dumps(value)};\n"
        for number, (kind, value) in enumerate(values)
    )
    (directory / "answers.ts").write_text(declared + 'import OpenAI from "openai";\n')
    compiler = node_modules / "typescript" / "bin" / "tsc"
    async with program(node, compiler, *COMPILE, directory / "answers.ts") as process:
        output, _ = await process.communicate()
    found = re.findall(r"^.*answers\.ts\((\d+),\d+\): (.*)$", output.decode(), re.MULTILINE)
    assert bool(found) == (process.returncode != 0)
    return [(int(line) - 1, fault) for line, fault in found]
