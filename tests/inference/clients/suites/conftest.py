"""An engine that holds a conversation in vLLM 0.32's own shapes, and the programs that talk to it.

What it says follows from what it is asked alone: tools are called in two steps (two calls at once,
then one), arguments and JSON fit the schemas, and every other turn has thoughts. It looks at each
body that comes in as strictly as nobody else does: history must come back as it was said, with no
member that vLLM does not know.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

HERE = Path(__file__).parent
RECORDED = {
    recorded["name"]: recorded
    for recorded in json.loads(
        (HERE.parents[1] / "gateway" / "api" / "engine_answers.json").read_text()
    )
}
"""Written by vLLM 0.32, see tests/inference/gateway/api/record.py; what is said here has their
shapes."""

THOUGHT = "Ich denke nach."
MEMBERS = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "tool_calls", "reasoning", "refusal"},
    "tool": {"role", "content", "tool_call_id", "name"},
}
PROGRAM_SECONDS = 180


compact = json.JSONEncoder(separators=(",", ":")).encode
"""As vLLM writes its events."""


def text(content: Any) -> str:
    """Of a message, whether it comes as a string or in parts."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content)
    return content or ""


def fitting(schema: dict[str, Any], root: dict[str, Any] | None = None) -> Any:
    """A value that a JSON schema takes."""
    root = root or schema
    if "$ref" in schema:
        found: Any = root
        for name in schema["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return fitting(found, root)
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return fitting(schema[word][0], root)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: fitting(s, root) for name, s in schema.get("properties", {}).items()}
    if kind == "array":
        return [fitting(schema.get("items", {"type": "string"}), root)]
    return {"number": 5, "integer": 5, "boolean": True, "null": None}.get(kind, "Paracetamol")


@dataclass
class Turn:
    """What the engine does next."""

    text: str
    thought: str | None
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


def next_turn(
    asked: dict[str, Any], roles: list[str], tools: list[tuple[str, Any]], schema: Any
) -> Turn:
    """`roles` is who said what so far: `user`, `tool`, or others."""
    users = roles.count("user")
    thought = THOUGHT if users % 2 else None
    since = roles[len(roles) - roles[::-1].index("user") :] if users else roles
    steps = sum(
        1 for before, role in zip(["", *since], since, strict=False)
        if role == "tool" != before
    )  # fmt: skip
    choice = asked.get("tool_choice")
    if isinstance(choice, dict):
        name = choice.get("name") or choice["function"]["name"]
        return Turn("", thought, [(n, fitting(s)) for n, s in tools if n == name])
    if tools and choice != "none":
        name, parameters = tools[0]
        if steps < 2 and (len(tools) == 1 or choice != "required" or steps == 0):
            if len(tools) > 1 and choice == "required" and steps:
                name, parameters = tools[-1]
            once = choice == "required" and len(tools) == 1
            return Turn("", thought, [(name, fitting(parameters))] * (1 if steps or once else 2))
        if choice == "required":
            name, parameters = tools[-1]
            return Turn("", thought, [(name, fitting(parameters))])
    if schema is not None:
        return Turn(json.dumps(fitting(schema)), thought)
    return Turn(f"Antwort {users}: 5 mg.", thought)


class Scripted:
    """The engine, and what it noticed."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.calls: dict[str, str] = {}
        """Id -> name."""
        self.said: set[str] = set()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        self.bodies.append(asked)
        if request.path == "/v1/embeddings":
            kind = asked.get("encoding_format", "float")
            return web.json_response(RECORDED[f"embedding, {kind}"]["answer"])
        if request.path == "/v1/completions":
            found = RECORDED["completion stream" if asked.get("stream") else "completion"]
            if not asked.get("stream"):
                return web.json_response(found["answer"])
            return await self._stream(request, [found["events"]])
        chat = request.path == "/v1/chat/completions"
        answer, events = self._chat(asked) if chat else self._response(asked)
        if not asked.get("stream"):
            return web.json_response(answer)
        return await self._stream(request, events)

    async def _stream(self, request: web.Request, events: list[str]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        for event in events:
            await response.write(event.encode())
            await asyncio.sleep(0)
        return response

    def check(self, held: bool, fault: str) -> None:
        if not held:
            self.faults.append(fault)

    def _remember(self, turn: Turn) -> list[dict[str, Any]]:
        """The turn's calls, each with an id of its own."""
        if turn.text:
            self.said.add(turn.text)
        made = []
        for name, arguments in turn.calls:
            call = f"chatcmpl-tool-{len(self.calls)}"
            self.calls[call] = name
            function = {"name": name, "arguments": json.dumps(arguments)}
            made.append({"id": call, "type": "function", "function": function})
        return made

    # Chat completions.

    def _chat(self, asked: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        messages = asked["messages"]
        for number, message in enumerate(messages):
            self._look(number, message)
        tools = [
            (tool["function"]["name"], tool["function"].get("parameters") or {})
            for tool in asked.get("tools") or []
        ]
        form = asked.get("response_format") or {"type": "text"}
        schema = {
            "json_schema": lambda: form["json_schema"]["schema"],
            "json_object": lambda: {"properties": {"mg": {"type": "number"}}},
            "text": lambda: None,
        }[form["type"]]()
        turn = next_turn(asked, [message["role"] for message in messages], tools, schema)
        calls = self._remember(turn)
        template = RECORDED["chat"]["answer"]
        message = {**template["choices"][0]["message"], "content": turn.text or None}
        message["reasoning"] = turn.thought
        if calls:
            message["tool_calls"] = calls
        reason = "tool_calls" if calls else "stop"
        choice = {**template["choices"][0], "message": message, "finish_reason": reason}
        return {**template, "choices": [choice]}, self._chat_events(asked, turn, calls)

    def _look(self, number: int, message: dict[str, Any]) -> None:
        role = message["role"]
        where = f"messages[{number}]"
        self.check(message.keys() <= MEMBERS[role], f"{where}: {sorted(message)}")
        self.check(None not in message.values(), f"{where}: a null")
        if role == "assistant":
            said = text(message.get("content"))
            self.check(not said or said in self.said, f"{where}: was never said: {said}")
            if "reasoning" in message:
                # Of a streamed thought the npm package keeps the last piece alone.
                self.check(message["reasoning"] in THOUGHT, f"{where}: was never thought")
            for call in message.get("tool_calls") or []:
                self.check(set(call) == {"id", "type", "function"}, f"{where}: {sorted(call)}")
                members = set(call["function"])
                self.check(members == {"name", "arguments"}, f"{where}: {sorted(members)}")
                self.check(
                    self.calls.get(call["id"]) == call["function"]["name"], f"{where}: no such call"
                )
        if role == "tool":
            self.check(message["tool_call_id"] in self.calls, f"{where}: answers no call")

    def _chat_events(
        self, asked: dict[str, Any], turn: Turn, calls: list[dict[str, Any]]
    ) -> list[str]:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        if turn.thought:
            deltas += [{"reasoning": word} for word in pieces(turn.thought)]
        deltas += [{"content": word} for word in pieces(turn.text)]
        for index, call in enumerate(calls):
            function = call["function"]
            begun = {"name": function["name"], "arguments": ""}
            deltas.append({"tool_calls": [{**call, "index": index, "function": begun}]})
            deltas += [
                {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
                for piece in pieces(function["arguments"])
            ]
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1}
        chunk["model"] = asked["model"]
        choices: list[dict[str, Any]] = [
            {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
            for delta in deltas
        ]
        reason = "tool_calls" if calls else "stop"
        choices.append({"index": 0, "delta": {}, "logprobs": None, "finish_reason": reason})
        choices[-1]["stop_reason"] = None
        events = [{**chunk, "choices": [choice]} for choice in choices]
        if (asked.get("stream_options") or {}).get("include_usage"):
            usage = {"prompt_tokens": 1, "total_tokens": 3, "completion_tokens": 2}
            events.append({**chunk, "choices": [], "usage": usage})
        return [f"data: {compact(event)}\n\n" for event in events] + ["data: [DONE]\n\n"]

    # Responses.

    def _response(self, asked: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        given = asked["input"]
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        roles = []
        for number, item in enumerate(items):
            roles.append(self._look_at_item(number, item))
        tools = [(tool["name"], tool.get("parameters") or {}) for tool in asked.get("tools") or []]
        form = (asked.get("text") or {}).get("format") or {"type": "text"}
        turn = next_turn(asked, roles, tools, form.get("schema"))
        calls = self._remember(turn)
        output: list[dict[str, Any]] = []
        if turn.thought:
            thought = [{"text": turn.thought, "type": "reasoning_text"}]
            item = {"id": f"rs_{len(self.bodies)}", "summary": [], "type": "reasoning"}
            output.append({**item, "content": thought, "encrypted_content": None, "status": None})
        if turn.text:
            part = {"annotations": [], "text": turn.text, "type": "output_text", "logprobs": None}
            item = {"id": f"msg_{len(self.bodies)}", "content": [part], "role": "assistant"}
            output.append({**item, "status": "completed", "type": "message", "phase": None})
        for call in calls:
            item = {**call["function"], "call_id": call["id"], "type": "function_call"}
            item |= {"id": f"fc_{call['id']}", "async": None, "caller": None, "namespace": None}
            output.append({**item, "status": "completed"})
        answer = {**RECORDED["response"]["answer"], "output": output, "text": None}
        return answer, response_events(answer, output)

    def _look_at_item(self, number: int, item: dict[str, Any]) -> str:
        where = f"input[{number}]"
        kind = item.get("type", "message")
        self.check(None not in item.values(), f"{where}: a null")
        if kind == "function_call":
            self.check(self.calls.get(item["call_id"]) == item["name"], f"{where}: no such call")
        elif kind == "function_call_output":
            self.check(item["call_id"] in self.calls, f"{where}: answers no call")
            return "tool"
        elif kind == "reasoning":
            thoughts = [part["text"] for part in item.get("content") or item["summary"]]
            self.check(thoughts in ([THOUGHT], []), f"{where}: was never thought")
        elif item["role"] == "assistant":
            self.check(text(item["content"]) in self.said, f"{where}: was never said")
        else:
            return str(item["role"])
        return kind


def pieces(said: str) -> Iterator[str]:
    """As tokens come: words, with the blank before them."""
    for number, word in enumerate(said.split(" ")):
        if word:
            yield word if number == 0 else f" {word}"


def response_events(answer: dict[str, Any], output: list[dict[str, Any]]) -> list[str]:
    """The same answer as vLLM streams it."""
    begun = {**answer, "output": [], "status": "in_progress", "usage": None}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, item in enumerate(output):
        events += {
            "message": partial(part_events, "output_text"),
            "reasoning": partial(part_events, "reasoning_text"),
            "function_call": call_events,
        }[item["type"]](item, index)
    events.append({"type": "response.completed", "response": answer})
    return [
        f"event: {event['type']}\ndata: {compact({**event, 'sequence_number': number})}\n\n"
        for number, event in enumerate(events)
    ]


def part_events(kind: str, item: dict[str, Any], index: int) -> list[dict[str, Any]]:
    """Of a message or a thought."""
    [part] = item["content"]
    at = {"item_id": item["id"], "output_index": index, "content_index": 0}
    name = "response.reasoning_text" if kind == "reasoning_text" else "response.output_text"
    more = {"logprobs": []} if kind == "output_text" else {}
    empty = {**part, "text": ""} | more
    begun = {**item, "status": "in_progress", "content": [] if more else None}
    done = {**item, "status": "completed"}
    return [
        {"type": "response.output_item.added", "item": begun, "output_index": index},
        {"type": "response.content_part.added", "part": empty, **at},
        *(
            {"type": f"{name}.delta", "delta": piece, **at, **more}
            for piece in pieces(part["text"])
        ),
        {"type": f"{name}.done", "text": part["text"], **at, **more},
        {"type": "response.content_part.done", "part": part, **at},
        {"type": "response.output_item.done", "item": done, "output_index": index},
    ]


def call_events(item: dict[str, Any], index: int) -> list[dict[str, Any]]:
    """Of a function call."""
    at = {"item_id": item["id"], "output_index": index}
    begun = {**item, "arguments": "", "status": "in_progress"}
    name = "response.function_call_arguments"
    return [
        {"type": "response.output_item.added", "item": begun, "output_index": index},
        *({"type": f"{name}.delta", "delta": piece, **at} for piece in pieces(item["arguments"])),
        {"type": f"{name}.done", "arguments": item["arguments"], "name": item["name"], **at},
        {"type": "response.output_item.done", "item": item, "output_index": index},
    ]


@pytest.fixture
def config(config):
    """Conversations of several turns are larger than what the other tests send."""
    section = config.gateway.model_copy(update={"max_body_bytes": 1 << 20})
    return config.model_copy(update={"gateway": section})


@pytest.fixture
def scripted(engine) -> Scripted:
    engine.script = found = Scripted()
    return found


NO_TELEMETRY = {
    "DO_NOT_TRACK": "1",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "LANGSMITH_TRACING": "false",
    "AI_SDK_TELEMETRY_DISABLED": "1",
}
"""What a house sets too, since these clients otherwise talk to others; see docs/clients.md."""


@pytest.fixture
def client_command(request, tmp_path) -> Callable[[str, str], list[Path]]:
    """How a client's program is started in its environment; skips or fails without that."""

    def command(environment: str, file: str) -> list[Path]:
        if environment == "java":
            return [request.getfixturevalue("java"), HERE / file]
        if environment != "node":
            return [request.getfixturevalue("client_python")(environment), HERE / file]
        # Node.js looks for packages beside the program.
        for program in HERE.glob("*.mjs"):
            shutil.copy(program, tmp_path)
        (tmp_path / "node_modules").symlink_to(request.getfixturevalue("node_modules"))
        return [request.getfixturevalue("node"), tmp_path / file]

    return command


@pytest.fixture
async def elsewhere() -> AsyncIterator[dict[str, str]]:
    """The only way to other hosts that a program gets; taking it fails the test."""
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
        env = dict.fromkeys(names, proxy) | dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1")
        yield {**env, "NODE_USE_ENV_PROXY": "1"}
    assert not asked, f"a client wanted to go to {asked}"


@pytest.fixture
def running(program, elsewhere):
    """Starts a program that knows nothing of this process's environment but what a client needs."""
    return partial(program, **NO_TELEMETRY, **elsewhere)
