"""OpenAI's Agents SDK: in its default mode (Responses) and with chat completions."""

from __future__ import annotations

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    Runner,
    function_tool,
    set_default_openai_client,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from openai.types.shared import Reasoning
from pydantic import BaseModel
from scenarios import KEY, MODEL, URL, main, scenario

set_tracing_disabled(True)  # otherwise it sends what was said to OpenAI
client = AsyncOpenAI(base_url=URL, api_key=KEY, max_retries=0)
set_default_openai_client(client, use_for_tracing=False)


class Dose(BaseModel):
    mg: float


@function_tool
def dose(mg: float) -> str:
    """How much to give."""
    return f"{mg:g} mg"


async def conversation(agent: Agent, *, stream: bool = False) -> None:
    history = []
    for turn in (1, 2, 3):
        history.append({"role": "user", "content": f"Frage {turn}"})
        if stream:
            result = Runner.run_streamed(agent, history)
            kinds = {event.type async for event in result.stream_events()}
            assert "raw_response_event" in kinds
        else:
            result = await Runner.run(agent, history)
        assert result.final_output == f"Antwort {turn}: 5 mg."
        called = [item for item in result.new_items if item.type == "tool_call_item"]
        assert len(called) == 3
        history = result.to_input_list()


def agent(**options) -> Agent:
    return Agent(name="a", instructions="Kurz.", tools=[dose], **{"model": MODEL, **options})


@scenario
async def responses() -> None:
    await conversation(agent())


@scenario
async def responses_as_a_stream() -> None:
    await conversation(agent(), stream=True)


@scenario
async def responses_with_effort() -> None:
    settings = ModelSettings(reasoning=Reasoning(effort="low"), store=False)
    await conversation(agent(model_settings=settings))


@scenario
async def responses_structured() -> None:
    asked = Agent(name="a", model=MODEL, output_type=Dose)
    result = await Runner.run(asked, "Frage")
    assert result.final_output == Dose(mg=5)
    again = [*result.to_input_list(), {"role": "user", "content": "Noch einmal"}]
    assert (await Runner.run(asked, again)).final_output == Dose(mg=5)


chat = OpenAIChatCompletionsModel(MODEL, client)


@scenario
async def chat_completions() -> None:
    await conversation(agent(model=chat))


@scenario
async def chat_completions_as_a_stream() -> None:
    await conversation(agent(model=chat), stream=True)


main()
