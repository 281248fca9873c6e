"""Write engine_answers.json: answers and streams built of vLLM's own classes, as its server does.

Run again when vLLM changes: .venvs/engine/bin/python tests/inference/gateway/api/record.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vllm.entrypoints.generate.base.protocol import (
    DeltaFunctionCall,
    DeltaMessage,
    DeltaToolCall,
    FunctionCall,
    ToolCall,
)
from vllm.entrypoints.openai.chat_completion.protocol import (
    ChatCompletionLogProb,
    ChatCompletionLogProbs,
    ChatCompletionLogProbsContent,
    ChatCompletionResponse,
    ChatCompletionResponseChoice,
    ChatCompletionResponseStreamChoice,
    ChatCompletionStreamResponse,
    ChatMessage,
)
from vllm.entrypoints.openai.completion.protocol import (
    CompletionLogProbs,
    CompletionResponse,
    CompletionResponseChoice,
    CompletionResponseStreamChoice,
    CompletionStreamResponse,
)
from vllm.entrypoints.openai.responses import streaming_events
from vllm.entrypoints.openai.responses.protocol import (
    InputTokensDetails,
    OutputTokensDetails,
    ResponseCompletedEvent,
    ResponseCreatedEvent,
    ResponseInProgressEvent,
    ResponsesRequest,
    ResponsesResponse,
    ResponseUsage,
)
from vllm.entrypoints.openai.responses.utils import build_response_output_items
from vllm.entrypoints.pooling.embed.protocol import EmbeddingResponse, EmbeddingResponseData
from vllm.entrypoints.serve.engine.protocol import UsageInfo
from vllm.sampling_params import SamplingParams

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
RESPONSES, EMBEDDINGS = "/v1/responses", "/v1/embeddings"
ASKED = {"messages": [{"role": "user", "content": "Hallo"}]}
ONE = {"id": "chatcmpl-1", "created": 1, "model": "test"}
USAGE = UsageInfo(prompt_tokens=1, completion_tokens=2, total_tokens=3)
SCHEMA = {"name": "dose", "schema": {"type": "object", "properties": {"mg": {"type": "number"}}}}
PARAMETERS = {"type": "object", "properties": {"mg": {"type": "number", "default": None}}}
FUNCTION = {"name": "dose", "description": "d", "parameters": PARAMETERS}
TOOLS = {"tools": [{"type": "function", "function": FUNCTION}]}
PROBABLE = {"token": "a", "logprob": -0.5, "bytes": [97]}
CALLED = ToolCall(id="call_1", function=FunctionCall(name="dose", arguments='{"mg": 5}'))


def logprobs() -> ChatCompletionLogProbs:
    top = [ChatCompletionLogProb(**PROBABLE)]
    return ChatCompletionLogProbs(
        content=[ChatCompletionLogProbsContent(**PROBABLE, top_logprobs=top)]
    )


def chat(message: ChatMessage, **choice: Any) -> dict[str, Any]:
    choices = [ChatCompletionResponseChoice(index=0, message=message, **choice)]
    return ChatCompletionResponse(**ONE, choices=choices, usage=USAGE).model_dump()


def chunk(delta: DeltaMessage, reason: str | None = None, **choice: Any) -> str:
    choices = [
        ChatCompletionResponseStreamChoice(
            **{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason, **choice}
        )
    ]
    event = ChatCompletionStreamResponse(**ONE, object="chat.completion.chunk", choices=choices)
    return f"data: {event.model_dump_json(exclude_unset=True)}\n\n"


def opening() -> str:
    choices = [
        ChatCompletionResponseStreamChoice(
            index=0,
            delta=DeltaMessage(role="assistant", content=""),
            logprobs=None,
            finish_reason=None,
        )
    ]
    event = ChatCompletionStreamResponse(
        **ONE,
        object="chat.completion.chunk",
        choices=choices,
        prompt_token_ids=None,
        prompt_text=None,
    )
    return f"data: {event.model_dump_json(exclude_unset=True)}\n\n"


def usage() -> str:
    event = ChatCompletionStreamResponse(
        **ONE, object="chat.completion.chunk", choices=[], usage=USAGE
    )
    return f"data: {event.model_dump_json(exclude_unset=True, exclude_none=True)}\n\n"


def chat_streams() -> list[dict[str, Any]]:
    end = chunk(DeltaMessage(content=""), "stop", stop_reason=None, token_ids=None) + usage()
    said = "".join(chunk(DeltaMessage(content=word), token_ids=None) for word in ("Guten", " Tag"))
    call = DeltaToolCall(
        index=0, id="call_1", type="function", function=DeltaFunctionCall(name="dose", arguments="")
    )
    rest = DeltaToolCall(index=0, function=DeltaFunctionCall(arguments='{"mg": 5}'))
    called = chunk(DeltaMessage(tool_calls=[call])) + chunk(DeltaMessage(tool_calls=[rest]))
    done = "data: [DONE]\n\n"
    ended = chunk(DeltaMessage(), "tool_calls", stop_reason=None) + usage() + done
    probable = chunk(DeltaMessage(content="a"), logprobs=logprobs())
    wanted = {"stream": True, "stream_options": {"include_usage": True}, **ASKED}
    return [
        stream("chat stream", CHAT, wanted, opening() + said + end + done),
        stream("chat stream, tool call", CHAT, wanted | TOOLS, opening() + called + ended),
        stream(
            "chat stream, log probabilities",
            CHAT,
            wanted | {"logprobs": True},
            opening() + probable + end + done,
        ),
    ]


def chats() -> list[dict[str, Any]]:
    form = {"type": "json_schema", "json_schema": SCHEMA}
    said = ChatMessage(role="assistant", content="Guten Tag")
    called = ChatMessage(role="assistant", tool_calls=[CALLED])
    thought = ChatMessage(role="assistant", content='{"mg": 5}', reasoning="Fünf.")
    return [
        whole("chat", CHAT, ASKED, chat(said)),
        whole("chat, tool call", CHAT, ASKED | TOOLS, chat(called, finish_reason="tool_calls")),
        whole(
            "chat, log probabilities",
            CHAT,
            ASKED | {"logprobs": True, "top_logprobs": 1},
            chat(said, logprobs=logprobs()),
        ),
        whole("chat, schema", CHAT, ASKED | {"response_format": form}, chat(thought)),
        whole("chat, stopped", CHAT, ASKED | {"stop": "."}, chat(said, stop_reason=".")),
    ]


def completions() -> list[dict[str, Any]]:
    probable = CompletionLogProbs(
        text_offset=[0], token_logprobs=[-0.5], tokens=["a"], top_logprobs=[{"a": -0.5}]
    )
    one = {"id": "cmpl-1", "created": 1, "model": "test"}
    found = []
    for name, extra in (("completion", None), ("completion, log probabilities", probable)):
        choice = CompletionResponseChoice(index=0, text="a", finish_reason="length", logprobs=extra)
        answer = CompletionResponse(**one, choices=[choice], usage=USAGE).model_dump()
        found.append(whole(name, COMPLETIONS, {"prompt": "a"}, answer))
    events = ""
    for text, reason in (("a", None), ("b", "length")):
        part = CompletionResponseStreamChoice(
            index=0,
            text=text,
            logprobs=None,
            finish_reason=reason,
            stop_reason=None,
            prompt_token_ids=None,
            token_ids=None,
        )
        event = CompletionStreamResponse(**one, object="text_completion", choices=[part])
        events += f"data: {event.model_dump_json(exclude_unset=True)}\n\n"
    last = CompletionStreamResponse(**one, choices=[], usage=USAGE)
    events += f"data: {last.model_dump_json(exclude_none=True)}\n\ndata: [DONE]\n\n"
    asked = {"prompt": "a", "stream": True, "stream_options": {"include_usage": True}}
    return [*found, stream("completion stream", COMPLETIONS, asked, events)]


def responses() -> list[dict[str, Any]]:
    form = {"text": {"format": {"type": "json_schema", **SCHEMA}}}
    tools = {"tools": [{"type": "function", "strict": None, **FUNCTION}]}
    asked = {"input": "Hallo", "instructions": "Kurz."}
    calls = [FunctionCall(id="call_1", name="dose", arguments='{"mg": 5}')]
    said = build_response_output_items(None, "Guten Tag", None)
    called = build_response_output_items("Fünf.", None, calls)
    return [
        whole("response", RESPONSES, asked | form, response(asked | form, said)),
        whole("response, tool call", RESPONSES, asked | tools, response(asked | tools, called)),
        stream(
            "response stream",
            RESPONSES,
            asked | {"stream": True},
            response_events(asked, said, "Guten Tag"),
        ),
        stream(
            "response stream, tool call",
            RESPONSES,
            asked | tools | {"stream": True},
            response_events(asked | tools, called, None),
        ),
    ]


def response_object(asked: dict[str, Any], output: list[Any], status: str) -> ResponsesResponse:
    used = ResponseUsage(
        input_tokens=1,
        input_tokens_details=InputTokensDetails(cached_tokens=0, cache_write_tokens=0),
        output_tokens=2,
        output_tokens_details=OutputTokensDetails(),
        total_tokens=3,
    )
    return ResponsesResponse.from_request(
        ResponsesRequest(model="test", store=False, request_id="resp_1", **asked),
        SamplingParams(max_tokens=16),
        "test",
        1,
        output,
        status,
        used if status == "completed" else None,
    )


def response(asked: dict[str, Any], output: list[Any]) -> dict[str, Any]:
    return response_object(asked, output, "completed").model_dump(mode="json", by_alias=True)


def response_events(asked: dict[str, Any], output: list[Any], text: str | None) -> str:
    begun = response_object(asked, [], "in_progress")
    state = streaming_events.SimpleStreamingState()
    events: list[Any] = [
        ResponseCreatedEvent(type="response.created", sequence_number=-1, response=begun),
        ResponseInProgressEvent(type="response.in_progress", sequence_number=-1, response=begun),
    ]
    if text is not None:
        events += streaming_events.emit_simple_content_open(state)
        events += streaming_events.emit_simple_content_delta(state, text)
        events += streaming_events.emit_simple_content_done(state)
    else:
        events += streaming_events.emit_simple_reasoning_open(state)
        events += streaming_events.emit_simple_reasoning_delta(state, "Fünf.")
        events += streaming_events.emit_simple_reasoning_done(state)
        events += streaming_events.emit_simple_tool_call_open(state, "dose", 0)
        events += streaming_events.emit_simple_tool_call_delta(state, '{"mg": 5}')
        events += streaming_events.emit_simple_tool_call_done(state)
    events.append(
        ResponseCompletedEvent(
            type="response.completed",
            sequence_number=-1,
            response=response_object(asked, output, "completed"),
        )
    )
    for number, event in enumerate(events):
        event.sequence_number = number
    return "".join(
        f"event: {event.type}\ndata: {event.model_dump_json(indent=None, by_alias=True)}\n\n"
        for event in events
    )


def embeddings() -> list[dict[str, Any]]:
    found = []
    for form, vector in (("float", [0.5, -0.5]), ("base64", "AAAAPwAAAL8=")):
        data = [EmbeddingResponseData(index=0, embedding=vector)]
        used = UsageInfo(prompt_tokens=1, total_tokens=1, completion_tokens=0)
        answer = EmbeddingResponse(id="embd-1", created=1, model="test", data=data, usage=used)
        asked = {"input": "a", "encoding_format": form}
        found.append(whole(f"embedding, {form}", EMBEDDINGS, asked, answer.model_dump()))
    return found


def whole(name: str, path: str, asked: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "path": path, "asked": {"model": "test", **asked}, "answer": answer}


def stream(name: str, path: str, asked: dict[str, Any], events: str) -> dict[str, Any]:
    return {"name": name, "path": path, "asked": {"model": "test", **asked}, "events": events}


if __name__ == "__main__":
    recorded = [*chats(), *chat_streams(), *completions(), *responses(), *embeddings()]
    text = json.dumps(recorded, indent=1, ensure_ascii=False)
    Path(__file__).with_name("engine_answers.json").write_text(text + "\n")
