"""instructor on top of the `openai` package."""

from __future__ import annotations

import instructor
from openai import OpenAI
from pydantic import BaseModel
from scenarios import KEY, MODEL, URL, main, scenario


class Dose(BaseModel):
    """How much to give."""

    drug: str
    mg: float


FOUND = Dose(drug="Paracetamol", mg=5)


def ask(mode: instructor.Mode) -> None:
    client = instructor.from_openai(OpenAI(base_url=URL, api_key=KEY, max_retries=0), mode=mode)
    messages = []
    for turn in (1, 2, 3):
        messages.append({"role": "user", "content": f"Frage {turn}"})
        found, completion = client.chat.completions.create_with_completion(
            model=MODEL, messages=messages, response_model=Dose, max_retries=0
        )
        assert found.model_dump() == FOUND.model_dump(), found
        message = completion.choices[0].message
        messages.append(message.model_dump())
        messages += [
            {"role": "tool", "tool_call_id": call.id, "content": "5 mg"}
            for call in message.tool_calls or []
        ]


@scenario
def tools() -> None:
    ask(instructor.Mode.TOOLS)


@scenario
def tools_strict() -> None:
    ask(instructor.Mode.TOOLS_STRICT)


@scenario
def json_schema() -> None:
    ask(instructor.Mode.JSON_SCHEMA)


@scenario
def partial() -> None:
    client = instructor.from_openai(OpenAI(base_url=URL, api_key=KEY, max_retries=0))
    *_, last = client.chat.completions.create_partial(
        model=MODEL, messages=[{"role": "user", "content": "Frage"}], response_model=Dose
    )
    assert last.model_dump() == FOUND.model_dump()


@scenario
def several() -> None:
    client = instructor.from_openai(OpenAI(base_url=URL, api_key=KEY, max_retries=0))
    found = client.chat.completions.create_iterable(
        model=MODEL, messages=[{"role": "user", "content": "Frage"}], response_model=Dose
    )
    assert [each.model_dump() for each in found] == [FOUND.model_dump()]


main()
