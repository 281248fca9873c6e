"""Whether an engine's numbers mean anything, before hours are spent: fails closed.

A server that ignores `echo` gives every option the same likelihood, and scores as many points as
the first option is right, without a word of warning (llama.cpp, issue 27174).
"""

from __future__ import annotations

import math
from typing import Any

from bedside_core.endpoint.client import Endpoint, UnansweredError
from bedside_core.errors import InputError

ECHOED = "one two three four five six seven eight"
LETTERS = ["A", "B", "C", "D"]


async def check_engine(engine: Endpoint) -> None:
    """Ask for the likelihood of a text, and for one of four letters.

    Raises:
        InputError: likelihoods are dead or not of the text, or another answer comes than one of
            those that were allowed.
    """
    try:
        likelihoods = await engine.ask(
            "/v1/completions",
            {"prompt": ECHOED, "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 1},
        )
        letter = await engine.ask(
            "/v1/completions",
            {
                "prompt": "A B C D A B C D", "max_tokens": 4, "temperature": 0,
                "structured_outputs": {"choice": LETTERS},
            },
        )  # fmt: skip
    except UnansweredError as error:
        raise InputError(f"{engine.peer.address}: the engine is not fit: {error}") from None
    fault = _dead(likelihoods) or _free(letter)
    if fault:
        raise InputError(
            f"{engine.peer.address}: {fault}, so its answers would mean nothing - examine with the "
            "engine of this release"
        )


def _dead(answer: dict[str, Any]) -> str | None:
    choice = answer["choices"][0]
    found = (choice.get("logprobs") or {}).get("token_logprobs") or []
    numbers = [value for value in found if isinstance(value, int | float)]
    if not str(choice.get("text", "")).startswith(ECHOED):
        return "it does not give back the text that it was asked to (`echo`)"
    if len(numbers) < len(ECHOED.split()) - 1 or not all(map(math.isfinite, numbers)):
        return "it gives no likelihood of the text's tokens"
    if len(set(numbers)) < len(numbers) / 2:
        return "it gives many tokens of a text the same likelihood"
    return None


def _free(answer: dict[str, Any]) -> str | None:
    text = str(answer["choices"][0].get("text", ""))
    return None if text.strip() in LETTERS else "it does not keep to the answers that are allowed"
