"""The `openai` package of Python, second and third line."""

from __future__ import annotations

import json
from typing import Any

import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel
from scenarios import KEY, MODEL, URL, main, scenario


class Dose(BaseModel):
    mg: float


PARAMETERS = {
    "type": "object",
    "properties": {"mg": {"type": "number"}},
    "required": ["mg"],
    "additionalProperties": False,
}
FUNCTION = {"name": "dose", "description": "How much", "parameters": PARAMETERS}
TOOLS: Any = [{"type": "function", "function": FUNCTION}]
FLAT: Any = [{"type": "function", "strict": True, **FUNCTION}]
client = OpenAI(base_url=URL, api_key=KEY, max_retries=0)


def conversation(say) -> None:
    """Three questions with tools; `say` gives the answer and what of it goes back."""
    messages: list[Any] = [{"role": "system", "content": "Kurz."}]
    for turn in (1, 2, 3):
        messages.append({"role": "user", "content": f"Frage {turn}"})
        counts = []
        while True:
            message, back = say(messages)
            messages.append(back)
            if not message.tool_calls:
                break
            counts.append(len(message.tool_calls))
            for call in message.tool_calls:
                assert (call.type, call.function.name) == ("function", "dose")
                assert json.loads(call.function.arguments) == {"mg": 5}
                result = {"role": "tool", "tool_call_id": call.id, "content": "5 mg"}
                messages.append(result)
        assert counts == [2, 1], counts
        assert message.content == f"Antwort {turn}: 5 mg.", message.content
    assert len(messages) == 22


def created(messages):
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
    assert answer.usage.total_tokens == 3
    return answer.choices[0].message


def streamed(messages):
    with client.chat.completions.stream(model=MODEL, messages=messages, tools=TOOLS) as stream:
        kinds = {event.type for event in stream}
        message = stream.get_final_completion().choices[0].message
    assert "chunk" in kinds
    return message


def back_as_it_is(message):
    return message, message


@scenario
def create() -> None:
    conversation(lambda messages: back_as_it_is(created(messages)))


@scenario
def create_and_dump() -> None:
    def say(messages):
        message = created(messages)
        return message, message.model_dump()

    conversation(say)


@scenario
def create_and_dump_what_is_set() -> None:
    def say(messages):
        message = created(messages)
        return message, message.model_dump(exclude_none=True)

    conversation(say)


@scenario
def stream() -> None:
    conversation(lambda messages: back_as_it_is(streamed(messages)))


@scenario
def stream_and_dump() -> None:
    def say(messages):
        message = streamed(messages)
        return message, message.model_dump()

    conversation(say)


@scenario
def deltas_put_together_by_hand() -> None:
    """The widespread recipe, which keeps the index, and thoughts under their older name."""

    def say(messages):
        calls: dict[int, Any] = {}
        said = thought = ""
        chunks = client.chat.completions.create(
            model=MODEL, messages=messages, tools=TOOLS, stream=True,
            stream_options={"include_usage": True},
        )  # fmt: skip
        for chunk in chunks:
            if not chunk.choices:
                assert chunk.usage.total_tokens == 3
                continue
            delta = chunk.choices[0].delta
            said += delta.content or ""
            thought += getattr(delta, "reasoning", None) or ""
            for part in delta.tool_calls or []:
                if part.index in calls:
                    calls[part.index]["function"]["arguments"] += part.function.arguments
                else:
                    calls[part.index] = part.model_dump()
        back = {"role": "assistant", "content": said, "reasoning_content": thought or None}
        if calls:
            back["tool_calls"] = list(calls.values())
        message = openai.types.chat.ChatCompletionMessage.model_validate(back)
        return message, back

    conversation(say)


@scenario
def parse() -> None:
    messages: list[Any] = []
    for turn in (1, 2, 3):
        messages.append({"role": "user", "content": f"Frage {turn}"})
        message = client.chat.completions.parse(
            model=MODEL, messages=messages, response_format=Dose
        ).choices[0].message  # fmt: skip
        assert message.parsed == Dose(mg=5)
        messages.append(message)


@scenario
def parse_a_stream() -> None:
    messages: list[Any] = []
    for turn in (1, 2, 3):
        messages.append({"role": "user", "content": f"Frage {turn}"})
        with client.chat.completions.stream(
            model=MODEL, messages=messages, response_format=Dose
        ) as stream:
            message = stream.get_final_completion().choices[0].message
        assert message.parsed == Dose(mg=5)
        messages.append(message)


@scenario
def parse_tools() -> None:
    tools = [openai.pydantic_function_tool(Dose)]
    messages: list[Any] = [{"role": "user", "content": "Frage"}]
    for _ in (1, 2):
        message = client.chat.completions.parse(
            model=MODEL, messages=messages, tools=tools
        ).choices[0].message  # fmt: skip
        messages.append(message)
        for call in message.tool_calls:
            assert call.function.parsed_arguments == Dose(mg=5)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "5 mg"})
    answer = client.chat.completions.parse(model=MODEL, messages=messages, tools=tools)
    assert answer.choices[0].message.content == "Antwort 1: 5 mg."


@scenario
def responses() -> None:
    """Nothing is stored, so what came out goes in again."""
    items: list[Any] = []
    for turn in (1, 2, 3):
        items.append({"role": "user", "content": f"Frage {turn}"})
        while True:
            answer = client.responses.create(model=MODEL, input=items, tools=FLAT, store=False)
            items += answer.output
            calls = [item for item in answer.output if item.type == "function_call"]
            if not calls:
                break
            for call in calls:
                assert json.loads(call.arguments) == {"mg": 5}
                result = {"type": "function_call_output", "call_id": call.call_id, "output": "5 mg"}
                items.append(result)
        assert answer.output_text == f"Antwort {turn}: 5 mg."


@scenario
def responses_as_a_stream() -> None:
    items: list[Any] = []
    for turn in (1, 2, 3):
        items.append({"role": "user", "content": f"Frage {turn}"})
        while True:
            with client.responses.stream(model=MODEL, input=items, tools=FLAT) as stream:
                kinds = [event.type for event in stream]
                answer = stream.get_final_response()
            assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
            items += [item.model_dump(exclude_none=True) for item in answer.output]
            calls = [item for item in answer.output if item.type == "function_call"]
            if not calls:
                break
            items += [
                {"type": "function_call_output", "call_id": call.call_id, "output": "5 mg"}
                for call in calls
            ]
        assert answer.output_text == f"Antwort {turn}: 5 mg."


@scenario
def responses_parse() -> None:
    answer = client.responses.parse(model=MODEL, input="Frage", text_format=Dose)
    assert answer.output_parsed == Dose(mg=5)


@scenario
def what_asks_for_nothing() -> None:
    """Null, and a field's neutral value, is the same as leaving it out."""
    answer = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Frage"}], reasoning_effort="low",
        logit_bias=None, function_call=None, audio=None, modalities=["text"], tools=[],
        extra_body={"top_logprobs": None},
    )  # fmt: skip
    assert answer.choices[0].message.content == "Antwort 1: 5 mg."
    answer = client.responses.create(
        model=MODEL, input="Frage", include=[], background=False, reasoning={"effort": "low"},
        previous_response_id=None, prompt=None, truncation="disabled",
    )  # fmt: skip
    assert answer.output_text == "Antwort 1: 5 mg."


@scenario
async def asynchronous() -> None:
    async with AsyncOpenAI(base_url=URL, api_key=KEY, max_retries=0) as other:
        asked: Any = {"model": MODEL, "messages": [{"role": "user", "content": "Frage"}]}
        stream = await other.chat.completions.create(**asked, stream=True)
        said = [chunk.choices[0].delta.content async for chunk in stream]
        assert "".join(filter(None, said)) == "Antwort 1: 5 mg."
        found = await other.embeddings.create(model=MODEL, input=["a"])
        assert found.data[0].embedding == [0.5, -0.5]
        assert [model.id async for model in other.models.list()] == [MODEL]


@scenario
def other_routes() -> None:
    assert client.completions.create(model=MODEL, prompt="a").choices[0].text == "a"
    try:
        client.chat.completions.create(model="other", messages=[{"role": "user", "content": "a"}])
    except openai.NotFoundError as error:
        assert error.code == "model_not_found"
    else:
        raise AssertionError


main()
