"""LlamaIndex with `OpenAILike`, its class for servers that are not OpenAI's."""

from __future__ import annotations

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel
from scenarios import KEY, MODEL, URL, main, scenario


class Dose(BaseModel):
    """How much to give."""

    mg: float


def dose(mg: float) -> str:
    """How much to give."""
    return f"{mg:g} mg"


tool = FunctionTool.from_defaults(dose)
llm = OpenAILike(
    model=MODEL,
    api_base=URL,
    api_key=KEY,
    is_chat_model=True,
    is_function_calling_model=True,
    max_retries=0,
)


def user(said: str) -> ChatMessage:
    return ChatMessage(role="user", content=said)


@scenario
def chat() -> None:
    history = []
    for turn in (1, 2, 3):
        history.append(user(f"Frage {turn}"))
        answer = llm.chat(history)
        assert answer.message.content == f"Antwort {turn}: 5 mg."
        history.append(answer.message)


@scenario
def chat_as_a_stream() -> None:
    history = []
    for turn in (1, 2, 3):
        history.append(user(f"Frage {turn}"))
        *_, last = llm.stream_chat(history)
        assert last.message.content == f"Antwort {turn}: 5 mg."
        history.append(last.message)


def with_tools(say) -> None:
    history = []
    for turn in (1, 2, 3):
        history.append(user(f"Frage {turn}"))
        counts = []
        while True:
            answer = say(history)
            history.append(answer.message)
            calls = llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
            if not calls:
                break
            counts.append(len(calls))
            for call in calls:
                assert (call.tool_name, call.tool_kwargs) == ("dose", {"mg": 5})
                result = dose(**call.tool_kwargs)
                told = {"tool_call_id": call.tool_id}
                history.append(ChatMessage(role="tool", content=result, additional_kwargs=told))
        assert counts == [2, 1], counts
        assert answer.message.content == f"Antwort {turn}: 5 mg."


@scenario
def tools() -> None:
    with_tools(
        lambda history: llm.chat_with_tools(
            [tool], chat_history=history, allow_parallel_tool_calls=True
        )
    )


@scenario
def tools_as_a_stream() -> None:
    def say(history):
        *_, last = llm.stream_chat_with_tools(
            [tool], chat_history=history, allow_parallel_tool_calls=True
        )
        return last

    with_tools(say)


@scenario
def structured() -> None:
    for _ in range(3):
        assert llm.as_structured_llm(Dose).chat([user("Frage")]).raw == Dose(mg=5)


main()
