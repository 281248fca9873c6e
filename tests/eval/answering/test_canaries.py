"""An engine whose numbers mean nothing is found before the first question."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bedside_core.endpoint.client import connected
from bedside_core.endpoint.config import EndpointConfig
from bedside_core.errors import InputError
from bedside_eval.answering.canaries import ECHOED, check_engine

MODEL = "ab" * 32


def check(engine: Any, cache: Path) -> None:
    async def ask() -> None:
        config = EndpointConfig(address=str(engine.path), model="m", digest=MODEL, retries=0)
        async with connected(config, cache) as endpoint:
            await check_engine(endpoint)

    asyncio.run(ask())


def test_one_that_gives_back_likelihoods_and_keeps_to_letters(engine: Any, tmp_path: Path) -> None:
    check(engine, tmp_path / "cache")


@pytest.mark.parametrize(
    ("echo", "words"),
    [
        ({"text": "nine"}, "does not give back the text"),
        ({"logprobs": None}, "no likelihood"),
        ({"logprobs": {"token_logprobs": [None]}}, "no likelihood"),
        ({"logprobs": {"token_logprobs": [None] * 9}}, "no likelihood"),
        ({"logprobs": {"token_logprobs": [None, *[float("-inf")] * 8]}}, "no likelihood"),
        ({"logprobs": {"token_logprobs": [None, *[float("nan")] * 8]}}, "no likelihood"),
        ({"logprobs": {"token_logprobs": [None, *[-2.0] * 8]}}, "the same likelihood"),
        ({"logprobs": {"token_logprobs": [None, *[0.0] * 8]}}, "the same likelihood"),
    ],
)
def test_dead_likelihoods(engine: Any, tmp_path: Path, echo: dict[str, Any], words: str) -> None:
    engine.echo |= echo
    with pytest.raises(InputError, match=words) as refused:
        check(engine, tmp_path / "cache")
    assert ECHOED not in str(refused.value)


@pytest.mark.parametrize("letter", ["", "E", "A B C D", "the first"])
def test_letters_that_are_ignored(engine: Any, tmp_path: Path, letter: str) -> None:
    engine.letter = letter
    with pytest.raises(InputError, match="does not keep to the answers"):
        check(engine, tmp_path / "cache")
