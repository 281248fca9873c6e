"""Haystack's generator and agent."""

from __future__ import annotations

import json

from haystack.components.agents import Agent
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import Tool
from haystack.utils import Secret
from pydantic import BaseModel
from scenarios import KEY, MODEL, URL, main, scenario

PARAMETERS = {"type": "object", "properties": {"mg": {"type": "number"}}, "required": ["mg"]}


class Dose(BaseModel):
    """How much to give."""

    mg: float


def tool() -> Tool:
    return Tool(
        name="dose",
        description="How much to give",
        parameters=PARAMETERS,
        function=lambda mg: f"{mg:g} mg",
    )


def generator(**options) -> OpenAIChatGenerator:
    key = Secret.from_token(KEY)
    return OpenAIChatGenerator(model=MODEL, api_base_url=URL, api_key=key, max_retries=0, **options)


def conversation(**options) -> None:
    """By hand, with the messages as they come."""
    asked, history = generator(tools=[tool()], **options), []
    for turn in (1, 2, 3):
        history.append(ChatMessage.from_user(f"Frage {turn}"))
        counts = []
        while True:
            [said] = asked.run(messages=history)["replies"]
            history.append(said)
            if not said.tool_calls:
                break
            counts.append(len(said.tool_calls))
            for call in said.tool_calls:
                assert (call.tool_name, call.arguments) == ("dose", {"mg": 5})
                history.append(ChatMessage.from_tool("5 mg", origin=call))
        assert counts == [2, 1], counts
        assert said.text == f"Antwort {turn}: 5 mg."


@scenario
def tools() -> None:
    conversation()


@scenario
def tools_as_a_stream() -> None:
    conversation(streaming_callback=lambda chunk: None)


@scenario
def agent() -> None:
    asked, history = Agent(chat_generator=generator(), tools=[tool()]), []
    for turn in (1, 2, 3):
        found = asked.run(messages=[*history, ChatMessage.from_user(f"Frage {turn}")])
        assert found["last_message"].text == f"Antwort {turn}: 5 mg."
        history = found["messages"]


@scenario
def structured() -> None:
    asked = generator(generation_kwargs={"response_format": Dose})
    [said] = asked.run(messages=[ChatMessage.from_user("Frage")])["replies"]
    assert json.loads(said.text) == {"mg": 5}


main()
