"""The verbs of `bedside inference`; each imports what it needs when it runs.

The engine's environment holds vLLM and not the gateway's packages, the gateway's the reverse.

Tested in tests/inference/test_environments.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bedside_core import dispatch
from bedside_core.commands import Command, Node
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_inference.check import check
from bedside_inference.config import InferenceConfig
from bedside_inference.operators import AUDIT, KEYS, MODELS, PERSONS


def _up(path: Path, overrides: list[str], registry: Registry) -> None:
    from bedside_inference.run import up

    up(path, overrides, registry)


def _engine(config: InferenceConfig, run: Run) -> None:
    from bedside_inference.engine.launch import has_vllm, serve

    elsewhere = dispatch.program("engine")
    if not has_vllm() and elsewhere is not None and elsewhere.parents[1] != Path(sys.prefix):
        dispatch.hand_over("engine", sys.argv[1:])
    serve(config, run)


def _rehearse(config: InferenceConfig, run: Run, directory: str, model: str) -> None:
    from bedside_inference.engine.rehearsal import rehearse

    rehearse(config, run, directory, model)


def _examine(path: Path, overrides: list[str], registry: Registry) -> None:
    from bedside_inference.engine.lending import lend

    lend(path, overrides, registry)


def _verify(config: InferenceConfig, run: Run) -> None:
    from bedside_inference.engine.launch import verify

    verify(config, run)


def _secrets(registry: Registry) -> None:
    from bedside_inference.secret import make_secrets

    make_secrets(registry)


def _health(config: InferenceConfig, run: Run, what: str) -> None:
    from bedside_inference.health import check

    check(config, run.registry.home, what)


def _selftest(config: InferenceConfig, run: Run, what: str) -> None:
    from bedside_inference.selftest import selftest

    selftest(config, run, what)


def _gateway(config: InferenceConfig, run: Run) -> None:
    from bedside_inference.gateway.server import serve

    serve(config, run)


def _openapi(registry: Registry) -> None:
    from bedside_inference.gateway.app import print_document

    print_document(registry)


def _chat(config: InferenceConfig, run: Run, question: str | None) -> None:
    from bedside_inference.chat import ask

    ask(config, run, question)


COMMANDS: tuple[Node, ...] = (
    Command("up", "engine and gateway together, until Ctrl-C", _up, document=True),
    Command("engine", "verify the promoted model and start vLLM", _engine, InferenceConfig),
    Command(
        "rehearse",
        "a model on a private socket, for one step of ours alone",
        _rehearse,
        InferenceConfig,
        words=("directory", "model"),
    ),
    Command(
        "examine",
        "lend an engine to the evaluation in another container, model after model",
        _examine,
        document=True,
    ),
    Command("verify", "check the model that would be served", _verify, InferenceConfig),
    Command(
        "gateway", "the OpenAI API in front of the engine", _gateway, InferenceConfig, check=check
    ),
    Command("openapi", "print the API's OpenAPI document", _openapi),
    KEYS,
    PERSONS,
    MODELS,
    AUDIT,
    Command("secrets", "make the secrets between our containers that are missing", _secrets),
    Command(
        "health",
        "whether engine or gateway answers here",
        _health,
        InferenceConfig,
        words=("what",),
    ),
    Command(
        "selftest",
        "prove the guarantees of the running engine, gateway or, from outside, client",
        _selftest,
        InferenceConfig,
        words=("what",),
    ),
    Command("chat", "one streamed answer", _chat, InferenceConfig, words=("question?",)),
)
