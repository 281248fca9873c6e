"""LangChain's client for OpenAI."""

from __future__ import annotations

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr
from scenarios import KEY, MODEL, URL, main, scenario


class Dose(BaseModel):
    """How much to give."""

    mg: float


PARAMETERS = {"type": "object", "properties": {"mg": {"type": "number"}}, "required": ["mg"]}
TOOL = {"name": "dose", "description": "How much", "parameters": PARAMETERS}


def chat(**options) -> ChatOpenAI:
    fixed = {"base_url": URL, "api_key": SecretStr(KEY), "model": MODEL, "max_retries": 0}
    return ChatOpenAI(**fixed, **options)


def whole(model, history):
    return model.invoke(history)


def pieces(model, history):
    found = None
    for chunk in model.stream(history):
        found = chunk if found is None else found + chunk
    return found


def conversation(model, say) -> None:
    bound, history = model.bind_tools([TOOL]), []
    for turn in (1, 2, 3):
        history.append(HumanMessage(f"Frage {turn}"))
        counts = []
        while True:
            said = say(bound, history)
            history.append(said)
            if not said.tool_calls:
                break
            counts.append(len(said.tool_calls))
            for call in said.tool_calls:
                assert (call["name"], call["args"]) == ("dose", {"mg": 5})
                history.append(ToolMessage("5 mg", tool_call_id=call["id"]))
        assert counts == [2, 1], counts
        assert said.text == f"Antwort {turn}: 5 mg."


@scenario
def tools() -> None:
    conversation(chat(), whole)


@scenario
def tools_as_a_stream() -> None:
    conversation(chat(stream_usage=True), pieces)


@scenario
def tools_with_effort() -> None:
    conversation(chat(reasoning_effort="low"), whole)


@scenario
def responses() -> None:
    conversation(chat(use_responses_api=True), whole)


@scenario
def responses_as_a_stream() -> None:
    conversation(chat(use_responses_api=True), pieces)


@scenario
def responses_with_effort() -> None:
    conversation(chat(reasoning={"effort": "low"}, use_responses_api=True), whole)


@scenario
def structured() -> None:
    for method in ("json_schema", "function_calling", "json_mode"):
        found = chat().with_structured_output(Dose, method=method).invoke("Dosis als JSON")
        assert found == Dose(mg=5), method


@scenario
async def asynchronous() -> None:
    said = await chat().ainvoke("Frage")
    assert said.content == "Antwort 1: 5 mg."
    assert said.usage_metadata["total_tokens"] == 3
    chunks = [chunk async for chunk in chat(stream_usage=True).astream("Frage")]
    assert "".join(chunk.text for chunk in chunks) == "Antwort 1: 5 mg."


@scenario
def embeddings() -> None:
    # Otherwise it would send the tokens of an OpenAI model.
    model = OpenAIEmbeddings(
        base_url=URL, api_key=SecretStr(KEY), model=MODEL, check_embedding_ctx_length=False
    )
    assert model.embed_query("a") == [0.5, -0.5]


main()
