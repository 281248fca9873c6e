"""A real two-layer Llama with a byte-level tokenizer, and a registry that holds it and a corpus."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from bedside_core.config import Config
from bedside_core.heldout import HeldoutText
from bedside_core.kinds.corpus import data_name
from bedside_core.kinds.exam import ChoiceItem
from bedside_core.kinds.heldout import part_files
from bedside_core.licences import licence
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_trainer.config import BaseConfig, TrainerConfig
from bedside_trainer.importing.verb import import_base
from bedside_trainer.run import train

TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<eos>{% endfor %}"
WORDS = ["Fieber", "Husten", "Blutdruck", "5,5 mmol/l", "Ödem", "µg", "Befund", "Therapie", "und"]


class FakeCorpus(Config):
    number: int


class House:
    """A registry, with shortcuts to the trainer's verbs."""

    def __init__(self, home: Path) -> None:
        self.registry = Registry(home)
        found(self.registry)

    def run(self, service: str, verb: str) -> Run:
        return Run("test", service, verb, self.registry)

    def config(self, **changes: Any) -> TrainerConfig:
        values: dict[str, Any] = {
            "sequence_length": 32, "num_epochs": 2, "batch_size": 2, "learning_rate": 1e-2,
            "schedule": {"warmup_share": 0.1}, "states": {"every": 3, "keep": 1}, "heldout": "ward",
            "heldout_max_length": 64,
        }  # fmt: skip
        return TrainerConfig.model_validate(values | changes)

    def train(self, **changes: Any) -> Path:
        """Train, and return the checkpoint's directory."""
        train(self.config(**changes), self.run("trainer", "run"))
        return self.registry.get("test/checkpoint").path

    def add_corpus(
        self, texts: list[str], name: str = "corpus", sources: list[str] | None = None
    ) -> None:
        run = self.run("corpus", "build")
        config = FakeCorpus(number=len(texts))
        with run.write("corpus", run.recipe(config), licences=(licence("CC0-1.0"),)) as artifact:
            ids = [f"{name}-{i}" for i in range(len(texts))]
            columns = {"id": ids, "text": texts, "source": sources or [name] * len(texts)}
            types = pyarrow.schema([(column, pyarrow.string()) for column in columns])
            table = pyarrow.table(columns, types)
            (artifact.path / "data").mkdir()
            pyarrow.parquet.write_table(table, artifact.path / data_name(0))

    def add_heldout(
        self, texts: list[str], exams: dict[str, list[ChoiceItem]] | None = None
    ) -> None:
        run = self.run("eval", "plan")
        held = [HeldoutText(f"text-{number}", text) for number, text in enumerate(texts)]
        with run.write("heldout", run.recipe(FakeCorpus(number=len(texts)))) as artifact:
            for name, content in part_files({"ward": held}, exams or {}).items():
                (artifact.path / name).parent.mkdir(parents=True, exist_ok=True)
                (artifact.path / name).write_bytes(content)

    def copy(self, home: Path) -> House:
        shutil.copytree(self.registry.home, home)
        return House(home)

    def states(self) -> list[Path]:
        return sorted(self.registry.home.glob("work/*/step-*"))

    def leftovers(self) -> list[Path]:
        """Half-written artifacts."""
        return list(self.registry.home.glob("tmp/*"))


def sentences(count: int, *, seed: int) -> list[str]:
    generator = torch.Generator().manual_seed(seed)
    texts = []
    for _ in range(count):
        length = int(torch.randint(2, 14, (1,), generator=generator))
        picks = torch.randint(len(WORDS), (length,), generator=generator).tolist()
        texts.append(" ".join(WORDS[i] for i in picks) + ".")
    return texts


@pytest.fixture(name="sentences")
def made_sentences() -> Callable[..., list[str]]:
    """Makes so many texts that a two-layer model learns from."""
    return sentences


@pytest.fixture(scope="session")
def model_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete Hugging Face directory: tied embeddings, dropout, bfloat16."""
    path = tmp_path_factory.mktemp("model")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<pad>": 0, "<eos>": 1} | {c: i for i, c in enumerate(alphabet, start=2)}
    vocabulary["er"] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("e", "r")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>", chat_template=TEMPLATE
    )
    wrapped.save_pretrained(path)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
        tie_word_embeddings=True, attention_dropout=0.1, bos_token_id=None, eos_token_id=1,
        pad_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(path)
    return path


def furnish(home: Path, source: BaseConfig) -> House:
    """A house with base, corpus and held-out texts for development."""
    house = House(home)
    import_base(source, house.run("trainer", "import-base"))
    house.add_corpus(sentences(12, seed=1))
    house.add_heldout(sentences(3, seed=99))
    return house


@pytest.fixture(scope="session")
def new_house_at() -> Callable[[Path, BaseConfig], House]:
    return furnish


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory, model_directory: Path) -> House:
    """One that tests work on copies of."""
    source = BaseConfig(directory=model_directory, licence="Apache-2.0")
    return furnish(tmp_path_factory.mktemp("house") / "home", source)


@pytest.fixture
def house(furnished: House, tmp_path: Path) -> House:
    return furnished.copy(tmp_path / "home")


@pytest.fixture
def new_house(tmp_path: Path) -> Callable[[], House]:
    """An empty house."""
    return lambda: House(tmp_path / "empty")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Threads that wait for each other cost more than such small products, most of all in CI."""
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start
