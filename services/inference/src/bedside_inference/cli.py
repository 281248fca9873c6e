"""The verbs of `bedside inference`; each imports what it needs when it runs.

The engine's environment holds vLLM and not the gateway's packages, the gateway's the reverse.
"""

from __future__ import annotations

from pathlib import Path

from bedside_core.cli import Command
from bedside_core.registry import Registry
from bedside_core.run import Run
from bedside_inference.config import InferenceConfig


def _up(path: Path, overrides: list[str], registry: Registry) -> None:
    from bedside_inference.run import up

    up(path, overrides, registry)


def _engine(config: InferenceConfig, run: Run) -> None:
    from bedside_inference.engine import serve

    serve(config, run)


def _gateway(config: InferenceConfig, run: Run) -> None:
    from bedside_inference.gateway.server import serve

    serve(config, run)


def _keys(registry: Registry, action: str, key: str | None) -> None:
    from bedside_inference.keys import manage

    manage(registry, action, key)


def _chat(config: InferenceConfig, run: Run, question: str | None) -> None:
    from bedside_inference.chat import ask

    ask(config, run, question)


COMMANDS: tuple[Command, ...] = (
    Command("up", "engine and gateway together, until Ctrl-C", _up, document=True),
    Command("engine", "verify the promoted model and start vLLM", _engine, InferenceConfig),
    Command("gateway", "the OpenAI API in front of the engine", _gateway, InferenceConfig),
    Command("keys", "create, list or revoke API keys", _keys, words=("action", "key?")),
    Command("chat", "one streamed answer", _chat, InferenceConfig, words=("question?",)),
)
