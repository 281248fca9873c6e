"""The `openai` package of Python as it is, with its own retries."""

from __future__ import annotations

import openai
from scenarios import KEY, MODEL, URL, main, scenario


@scenario
def one_call() -> None:
    client = openai.OpenAI(base_url=URL, api_key=KEY)
    assert client.max_retries == 2
    try:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "a"}])
    except openai.InternalServerError as error:
        assert error.response.headers["x-should-retry"] == "false"
    else:
        raise AssertionError


main()
