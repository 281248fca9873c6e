"""A run whose three models are tiny Llamas: the base is random, the others are fitted further."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.update({"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"})

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers import models as tokenizer_models
from transformers import LlamaConfig, LlamaForCausalLM

from bedside_core.artifacts import Artifact, Recipe
from bedside_core.config import Config
from bedside_core.kinds.policy import read_policy
from bedside_core.licences import licence
from bedside_core.matching import VERSION
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_core.signing import Keys
from bedside_corpus.config import Source
from bedside_corpus.document import make_document
from bedside_corpus.engine.writing import write_files
from bedside_corpus.sources import SourceFile
from bedside_eval.config import EvalConfig
from bedside_eval.exam import Paper
from bedside_eval.records import ModelScores
from bedside_eval.state import State
from bedside_models.scores import Dtype

torch.set_num_threads(1)  # two threads spend their time waiting for each other on such models

WORDS = "Der Patient klagt über Fieber Husten Atemnot und erhält Ramipril 5 mg täglich".split()


def sentence(seed: int, words: int = 25) -> str:
    """A made-up text; `{{` is there because no template may touch it."""
    drawn = random.Random(seed)
    return f"{{{{ {seed} }}}} " + " ".join(drawn.choice(WORDS) for _ in range(words))


class Models:
    """Writes model directories."""

    def __init__(self, folder: Path) -> None:
        tokenizer = Tokenizer(tokenizer_models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=320,
            special_tokens=["<|end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator([sentence(seed) for seed in range(50)], trainer)
        self.tokenizer = tokenizer
        self.folder = folder

    def write(self, path: Path, *, steps: int = 0) -> None:
        """Copy a random model that was trained for `steps` on sentences like the held-out ones."""
        made = self.folder / str(steps)
        if not made.exists():
            self._make(made, steps)
        shutil.copytree(made, path, dirs_exist_ok=True)

    def _make(self, path: Path, steps: int) -> None:
        torch.manual_seed(1)
        model = LlamaForCausalLM(
            LlamaConfig(
                hidden_size=32, intermediate_size=48, num_hidden_layers=2, vocab_size=320,
                num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=256,
                bos_token_id=None, eos_token_id=0, tie_word_embeddings=True,
            )
        )  # fmt: skip
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for step in range(steps):
            ids = torch.tensor([self.tokenizer.encode(sentence(1000 + step)).ids])
            model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        model.save_pretrained(path)
        self.tokenizer.save(str(path / "tokenizer.json"))
        settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>"}
        (path / "tokenizer_config.json").write_text(json.dumps(settings))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    for name in ("HF_HOME", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE", "DO_NOT_TRACK"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # the verb sets them; undone afterwards
    registry = Registry(tmp_path / "home")
    found(registry)
    return registry


class Step(Config):
    """The recipe's config of an artifact that a test puts into the registry."""

    number: int = 0


def add(
    registry: Registry, kind: Any, fill: Callable[[Path], None], parents: dict[str, Artifact]
) -> Artifact:
    """Leave an artifact in the slot of its kind, as an earlier step would."""
    run = Run("tiny", "eval", f"test-{kind}", registry)
    recipe = run.recipe(Step(), parents=parents)
    with run.write(kind, recipe, licences=(licence("CC0-1.0"),)) as artifact:
        fill(artifact.path)
        if kind == "corpus":
            artifact.facts["matching_version"] = VERSION
    return artifact.result


def write_corpus(path: Path, texts: list[str]) -> None:
    """The files of a corpus artifact that the evaluation reads, by the service's own hand."""
    source = Source(name="s", path=path, format="text", licence="CC0-1.0", personal_data="none")
    file = SourceFile(source, path, "d")
    documents = [make_document({"text": x, "id": n}, file, n, "de") for n, x in enumerate(texts)]
    write_files(path, 0, documents, {})


def exam_lines(count: int = 9) -> list[dict[str, Any]]:
    return [
        {
            "id": f"q{number}",
            "question": f"Was erhält der Patient {number}?",
            "options": ["Ramipril", "Fieber und Husten", "5 mg täglich", "Atemnot"],
            "answer": number % 4,
            "language": "de",
        }
        for number in range(count)
    ]


Spoil = Callable[[dict[str, torch.Tensor]], object]
TEXTS = 24
"""Of a held-out set; a third of them is for development."""


class World:
    """A run that is ready for `bedside eval plan` and `bedside eval run`."""

    def __init__(self, folder: Path, registry: Registry, models: Models) -> None:
        self.folder, self.registry, self.models = folder, registry, models
        self.settings: dict[str, Any] = {
            "policy": str(folder / "policy.yaml"),
            "heldout": {n: str(folder / n) for n in ("medical", "general")},
            "exams": {"medical": str(folder / "exam.jsonl")},
            "batch_size": 3,
            "max_length": 64,
        }
        self.write_policy()
        self.write_texts()
        self.write_exam(exam_lines())

    def write_texts(self, first: int = 0) -> None:
        """Two held-out sets, other ones with each `first`."""
        for start, name in enumerate(("medical", "general")):
            (self.folder / name).mkdir(exist_ok=True)
            for number in range(TEXTS):
                text = sentence(first + 100 * start + number, words=12 + 5 * (number % 8))
                (self.folder / name / f"t{number}.txt").write_text(text, encoding="utf-8")

    def write_policy(self, *, approved: bool = True, **changes: Any) -> None:
        policy = {
            "name": "test",
            "target": {"of": "medical", "min_gain": 0.0, "max_loss": 0.1},
            "guards": [{"of": "general", "max_loss": 0.1}],
            "tail": {"delta": 0.05, "max_share": 0.2},
            "min_clusters": 14,
            "confidence": 0.95,
        }
        path = self.folder / "policy.yaml"
        path.write_text(yaml.safe_dump(policy | changes))
        if approved:
            self.registry.approve(read_policy(path), "test")

    def write_exam(self, items: list[dict[str, Any]]) -> None:
        lines = [json.dumps(item, ensure_ascii=False) for item in items]
        (self.folder / "exam.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def add_models(
        self, *, checkpoint_steps: int = 30, merged_steps: int = 15, incomplete: str = "",
        files: Mapping[str, str] | None = None, spoil: Spoil | None = None,
    ) -> None:  # fmt: skip
        """Base, checkpoint and merged model; the last has more `files`, or its weights spoilt.

        The `incomplete` one lacks a tensor.
        """
        known = (self.folder / "medical" / "t0.txt").read_text(encoding="utf-8")
        corpus = add(self.registry, "corpus", lambda p: write_corpus(p, ["anders", known]), {})
        base = add(self.registry, "base", self.writer("base", 0, incomplete), {})
        checkpoint = add(
            self.registry,
            "checkpoint",
            self.writer("checkpoint", checkpoint_steps, incomplete),
            {"base": base, "corpus": corpus},
        )
        add(
            self.registry,
            "merged",
            self.writer("merged", merged_steps, incomplete, files, spoil),
            {"base": base, "checkpoint": checkpoint},
        )

    def writer(
        self,
        kind: str,
        steps: int,
        incomplete: str,
        files: Mapping[str, str] | None = None,
        spoil: Spoil | None = None,
    ) -> Callable[[Path], None]:
        def write(path: Path) -> None:
            self.models.write(path, steps=steps)
            for name, content in (files or {}).items():
                (path / name).write_text(content, encoding="utf-8")
            weights = load_file(path / "model.safetensors")
            if kind == incomplete:
                del weights["model.norm.weight"]
            if spoil is not None:
                spoil(weights)
            save_file(weights, path / "model.safetensors", metadata={"format": "pt"})

        return write

    def config(self, *, served: str = "auto", **changes: Any) -> str:
        """Write the run config; returns its path."""
        path = self.folder / "run.yaml"
        engine = {"engine": {"dtype": served, "max_model_len": 64}}
        document = {"name": "tiny", "eval": self.settings | changes, "inference": engine}
        path.write_text(yaml.safe_dump(document))
        return str(path)


@pytest.fixture(scope="session")
def sit(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ModelScores]:
    """`sit(path, paper)`: a model answers a paper; what it answered is kept in `folder`."""
    from bedside_eval.sittings import examine

    def sit(
        path: Path,
        paper: Paper,
        folder: Path | None = None,
        *,
        batch_size: int = 2,
        max_length: int = 48,
        served: Dtype = "float32",
    ) -> ModelScores:
        folder = folder or tmp_path_factory.mktemp("sat")
        keys = Keys(folder, stem="evidence", domain=b"test\n")
        keys.make()
        recipe = Recipe(verb="t", version="1", config={}, parents={}, inputs={})
        config = EvalConfig(
            policy=path, heldout={"-": path}, batch_size=batch_size, max_length=max_length
        )
        model: Any = SimpleNamespace(digest="d" * 64, path=path, file=lambda name: path / name)
        state = State(folder / "work", keys, recipe)
        return examine(config, {model.digest: model}, paper, state, served).scores[model.digest]

    return sit


@pytest.fixture
def world(tmp_path: Path, registry: Registry, models: Models) -> World:
    return World(tmp_path, registry, models)
