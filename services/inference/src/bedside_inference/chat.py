"""`bedside inference chat`: one streamed answer through the official `openai` client."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import openai
from openai.types.chat import ChatCompletionChunk

from bedside_core.console import say
from bedside_core.errors import BedsideError, ConfigError, InputError
from bedside_core.run import Run
from bedside_inference.config import GatewayConfig, InferenceConfig
from bedside_inference.paths import base_url

API_KEY = "BEDSIDE_API_KEY"
QUESTION = "Mein Blutdruck ist seit Wochen zu hoch. Was kann ich selbst dagegen tun?"
MAX_TOKENS = 100
TEMPERATURE = 0.3
FREQUENCY_PENALTY = 0.8
"""Small models fall into loops without one."""
CONNECT_SECONDS = 5.0


def ask(config: InferenceConfig, run: Run, question: str | None) -> None:
    """Print an answer as it arrives, then who gave it and how fast.

    Raises:
        ConfigError: no key, a wrong one, or no gateway at the configured address.
        InputError: the gateway or the engine refused or failed.
    """
    key = os.environ.get(API_KEY)
    if not key:
        raise ConfigError(
            f"{API_KEY} is not set - `bedside inference keys create --config FILE` makes a key"
        )
    question = question or QUESTION
    say(f"> {question}")
    try:
        with client(config.gateway, key) as door:
            converse(door, config.model_name, question)
    except openai.APIError as error:
        raise explain(error, config.gateway) from None


def client(gateway: GatewayConfig, key: str) -> openai.OpenAI:
    """A client of our own gateway; a proxy of the environment is for the world outside."""
    return openai.OpenAI(
        base_url=f"{base_url(gateway)}/v1",
        api_key=key,
        max_retries=0,
        timeout=openai.Timeout(None, connect=CONNECT_SECONDS),
        http_client=openai.DefaultHttpxClient(trust_env=False),
    )


@dataclass(slots=True)
class Timing:
    """When an answer began and ended, and how long it was."""

    asked: float
    first: float | None = None
    last: float = 0.0
    tokens: int = 0

    def __str__(self) -> str:
        if self.first is None:
            return "no token"
        rate = (self.tokens - 1) / (self.last - self.first) if self.last > self.first else 0.0
        waited = self.first - self.asked
        return f"{self.tokens} tokens, first after {waited:.2f} s, then {rate:.1f} tokens/s"


def converse(door: openai.OpenAI, model: str, question: str) -> Timing:
    """Ask, print the answer as it arrives, and the model, verdict and speed behind it."""
    timing = Timing(asked=time.monotonic())
    answer = door.chat.completions.with_raw_response.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        max_tokens=MAX_TOKENS,
        temperature=TEMPERATURE,
        frequency_penalty=FREQUENCY_PENALTY,
        stream=True,
        stream_options={"include_usage": True},
    )
    for piece in _pieces(answer.parse(), timing):
        sys.stdout.write(piece)
        sys.stdout.flush()
    digest = answer.headers.get("x-bedside-model", "unknown")[:12]
    verdict = answer.headers.get("x-bedside-verdict", "unknown")
    say(f"\n\nmodel {model} ({digest}, {verdict}); {timing}")
    return timing


def _pieces(chunks: openai.Stream[ChatCompletionChunk], timing: Timing) -> Iterator[str]:
    for chunk in chunks:
        if chunk.usage is not None:
            timing.tokens = chunk.usage.completion_tokens
        for choice in chunk.choices:
            if choice.delta.content:
                timing.last = time.monotonic()
                timing.first = timing.first or timing.last
                yield choice.delta.content


def explain(error: openai.APIError, gateway: GatewayConfig) -> BedsideError:
    """What an error of the client means to its user."""
    if isinstance(error, openai.AuthenticationError):
        return ConfigError(
            f"{API_KEY} is not a valid key of this gateway - `bedside inference keys create`"
        )
    if isinstance(error, openai.APIConnectionError):
        return ConfigError(
            f"no gateway answers at {base_url(gateway)} - start it with `bedside inference up`, "
            "or set inference.gateway.host and port to where it is"
        )
    if isinstance(error, openai.APIStatusError):
        return InputError(f"the gateway answered {error.status_code} ({error.code})")
    return InputError(f"the answer broke off ({error.code})")
