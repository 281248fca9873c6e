"""Text that a base writes, by the engine that would serve it, on a private socket.

Tested in tests/trainer/test_replay.py.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from bedside_core.endpoint.client import Route, connected
from bedside_core.endpoint.config import EndpointConfig
from bedside_core.errors import InputError
from bedside_trainer.mixture import Generate

ROUTE: Route = "/v1/completions"
CONCURRENCY = 32
"""Enough to keep a card busy; vLLM lets the rest wait."""
ANSWER_SECONDS = 1800.0
"""On two cores a full batch of long texts takes minutes."""


def generate(
    config: Generate, prefix_id: int, model: str, digest: str, socket_path: Path, cache: Path
) -> list[str]:
    """Texts that the model writes after nothing but its prefix token, in the order of their seeds.

    Args:
        config: how many, how long, how they are drawn.
        prefix_id: the token before every text.
        model: what the engine calls it.
        digest: of the base; an answer of another model is refused.
        socket_path: where the engine listens.
        cache: answers are kept here, so that a killed run asks only for what is missing.

    Raises:
        InputError: the engine is gone, serves another model, or leaves most questions unanswered.
    """
    return asyncio.run(_generate(config, prefix_id, model, digest, socket_path, cache))


async def _generate(
    config: Generate, prefix_id: int, model: str, digest: str, socket_path: Path, cache: Path
) -> list[str]:
    endpoint = EndpointConfig(
        address=str(socket_path), model=model, digest=digest, concurrency=CONCURRENCY,
        timeout_seconds=ANSWER_SECONDS,
    )  # fmt: skip
    bodies = [
        {
            "prompt": [prefix_id],
            "max_tokens": config.max_tokens,
            "temperature": config.temperature,
            "top_p": config.top_p,
            "seed": config.seed + number,
        }
        for number in range(config.documents)
    ]
    texts: dict[int, str] = {}
    async with connected(endpoint, cache) as engine:
        async for outcome in engine.ask_all(ROUTE, bodies, total=len(bodies), name="replay"):
            if outcome.answer is not None:
                texts[outcome.number] = str(outcome.answer["choices"][0].get("text", ""))
    if 2 * len(texts) < len(bodies):
        raise InputError(
            f"the engine answered {len(texts)} of {len(bodies)} questions - the same command asks "
            "for the others again"
        )
    return [texts[number] for number in sorted(texts)]
