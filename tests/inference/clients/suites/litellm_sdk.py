"""litellm's SDK, as its provider for OpenAI's own and for vLLM."""

from __future__ import annotations

import json

import litellm
from scenarios import KEY, MODEL, URL, main, scenario

litellm.telemetry = False
litellm.suppress_debug_info = True
PARAMETERS = {"type": "object", "properties": {"mg": {"type": "number"}}}
TOOLS = [{"type": "function", "function": {"name": "dose", "parameters": PARAMETERS}}]


def asked(provider: str = "openai") -> dict:
    return {"model": f"{provider}/{MODEL}", "api_base": URL, "api_key": KEY, "num_retries": 0}


def conversation(say, back=lambda message: message) -> None:
    messages = []
    for turn in (1, 2, 3):
        messages.append({"role": "user", "content": f"Frage {turn}"})
        counts = []
        while True:
            message = say(messages)
            messages.append(back(message))
            if not message.tool_calls:
                break
            counts.append(len(message.tool_calls))
            for call in message.tool_calls:
                assert json.loads(call.function.arguments) == {"mg": 5}
                messages.append({"role": "tool", "tool_call_id": call.id, "content": "5 mg"})
        assert counts == [2, 1], counts
        assert message.content == f"Antwort {turn}: 5 mg."


def whole(messages, **options):
    answer = litellm.completion(messages=messages, tools=TOOLS, **{**asked(), **options})
    return answer.choices[0].message


def streamed(messages):
    chunks = list(litellm.completion(messages=messages, tools=TOOLS, stream=True, **asked()))
    return litellm.stream_chunk_builder(chunks, messages=messages).choices[0].message


@scenario
def tools() -> None:
    conversation(whole)


@scenario
def tools_and_dump() -> None:
    conversation(whole, lambda message: message.model_dump())


@scenario
def tools_as_a_stream() -> None:
    conversation(streamed)


@scenario
def tools_as_a_stream_and_dump() -> None:
    conversation(streamed, lambda message: message.model_dump())


@scenario
def hosted_vllm() -> None:
    conversation(lambda messages: whole(messages, **asked("hosted_vllm")))


@scenario
def effort() -> None:
    conversation(lambda messages: whole(messages, reasoning_effort="low", drop_params=True))
    conversation(lambda messages: whole(messages, **asked("hosted_vllm"), reasoning_effort="low"))


@scenario
def structured() -> None:
    schema = {"name": "dose", "schema": PARAMETERS}
    form = {"type": "json_schema", "json_schema": schema}
    messages = [{"role": "user", "content": "Frage"}]
    answer = litellm.completion(messages=messages, response_format=form, **asked())
    assert json.loads(answer.choices[0].message.content) == {"mg": 5}


@scenario
def responses() -> None:
    items = []
    for turn in (1, 2, 3):
        items.append({"role": "user", "content": f"Frage {turn}"})
        answer = litellm.responses(input=items, **asked())
        said = [item for item in answer.output if item.type == "message"]
        assert said[0].content[0].text == f"Antwort {turn}: 5 mg."
        items += [item.model_dump() for item in answer.output]


@scenario
def embeddings() -> None:
    found = litellm.embedding(input=["a"], encoding_format="float", **asked())
    assert found.data[0]["embedding"] == [0.5, -0.5]


main()
