"""pydantic-ai with its models for chat completions and responses."""

from __future__ import annotations

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.output import NativeOutput
from pydantic_ai.providers.openai import OpenAIProvider
from scenarios import KEY, MODEL, URL, main, scenario

provider = OpenAIProvider(base_url=URL, api_key=KEY)
chat = OpenAIChatModel(MODEL, provider=provider)
respond = OpenAIResponsesModel(MODEL, provider=provider)


class Dose(BaseModel):
    """How much to give."""

    mg: float


def agent(model, **options) -> Agent:
    found = Agent(model, instructions="Kurz.", **options)

    @found.tool_plain
    def dose(mg: float) -> str:
        """How much to give."""
        return f"{mg:g} mg"

    return found


async def conversation(model, *, stream: bool = False) -> None:
    asked, history = agent(model), []
    for turn in (1, 2, 3):
        if stream:
            async with asked.run_stream(f"Frage {turn}", message_history=history) as result:
                said = await result.get_output()
        else:
            result = await asked.run(f"Frage {turn}", message_history=history)
            said = result.output
        assert said == f"Antwort {turn}: 5 mg.", said
        history = result.all_messages()


@scenario
async def chat_completions() -> None:
    await conversation(chat)


@scenario
async def chat_completions_as_a_stream() -> None:
    await conversation(chat, stream=True)


@scenario
async def responses() -> None:
    await conversation(respond)


@scenario
async def responses_as_a_stream() -> None:
    await conversation(respond, stream=True)


@scenario
async def structured_by_a_tool() -> None:
    asked, history = agent(chat, output_type=Dose), []
    for turn in (1, 2, 3):
        result = await asked.run(f"Frage {turn}", message_history=history)
        assert result.output == Dose(mg=5)
        history = result.all_messages()


@scenario
async def structured_by_a_schema() -> None:
    for model in (chat, respond):
        result = await Agent(model, output_type=NativeOutput(Dose)).run("Frage")
        assert result.output == Dose(mg=5)


main()
