"""The three models must share a tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError, InputError
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_eval.config import EvalConfig
from bedside_eval.lineup import shared_tokenizer

CONFIG = EvalConfig(policy=Path("p"), heldout={"h": Path("h")})


def add(
    registry: Registry, kind: Any, files: dict[str, str], parents: dict[str, Artifact] | None = None
) -> Artifact:
    run = Run("tiny", "eval", f"test-{kind}", registry)
    with run.write(kind, run.recipe(CONFIG, parents=parents or {})) as artifact:
        for name, content in files.items():
            (artifact.path / name).write_text(content, encoding="utf-8")
    return artifact.result


def tokenizer(vocabulary: dict[str, int], **state: object) -> dict[str, str]:
    return {"tokenizer.json": json.dumps({"model": {"vocab": vocabulary}, **state})}


def test_call_state_does_not_make_another_tokenizer(registry: Registry) -> None:
    models = {
        "base": add(registry, "base", tokenizer({"a": 0}, padding=None)),
        "checkpoint": add(registry, "checkpoint", tokenizer({"a": 0}, padding={"length": 8})),
        "merged": add(registry, "merged", tokenizer({"a": 0})),
    }
    assert len(shared_tokenizer(models)) == 64


def test_another_tokenizer_is_refused(registry: Registry) -> None:
    models = {
        "base": add(registry, "base", tokenizer({"a": 0})),
        "checkpoint": add(registry, "checkpoint", tokenizer({"a": 0})),
        "merged": add(registry, "merged", tokenizer({"a": 1})),
    }
    with pytest.raises(InputError, match=r"tokenizer of merged .* is not the base's"):
        shared_tokenizer(models)


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ({"tokenizer.json": "{"}, InputError, "missing or not a tokenizer"),
        ({"x": ""}, ArtifactError, "has no file 'tokenizer.json'"),
    ],
)
def test_unreadable_tokenizer(
    registry: Registry, files: dict[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        shared_tokenizer({"base": add(registry, "base", files)})
