"""The three models must share a tokenizer; held-out texts are looked up in the corpus."""

from __future__ import annotations

import json
import unicodedata
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError, InputError
from bedside_core.heldout import HeldoutText
from bedside_core.registry import Registry
from bedside_core.run import Run
from bedside_eval.config import EvalConfig
from bedside_eval.lineup import heldout_in_corpus, shared_tokenizer

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


def test_counts_texts_of_the_corpus_in_any_unicode_form(registry: Registry) -> None:
    known = "Übelkeit seit gestern"
    line = {"id": "d", "source": "s", "licence": "CC0-1.0"}
    documents = json.dumps(line | {"sha256": sha256(known.encode()).hexdigest()})
    corpus = add(registry, "corpus", {"documents.jsonl": documents + "\n"})
    checkpoint = add(registry, "checkpoint", {"x": ""}, {"corpus": corpus})
    texts = [
        HeldoutText("a", unicodedata.normalize("NFD", known) + "\n"),
        HeldoutText("b", "anders"),
    ]
    assert heldout_in_corpus(registry, checkpoint, texts) == 1


def test_checkpoint_of_unknown_corpus(registry: Registry) -> None:
    with pytest.raises(ArtifactError, match="does not name the corpus"):
        heldout_in_corpus(registry, add(registry, "checkpoint", {"x": ""}), [])
