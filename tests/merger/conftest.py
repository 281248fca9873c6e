"""Two tiny Llama models with a tokenizer, registered as base and checkpoint of a run."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

os.environ.update({"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"})

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from bedside_core.config import Config
from bedside_core.heldout import HeldoutText
from bedside_core.kinds.heldout import part_files
from bedside_core.licences import licence
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_merger.config import MergerConfig

torch.set_num_threads(2)

CHAT_TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}\n"


def write_tokenizer(path: Path, *, extra: tuple[str, ...] = ()) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {c: i for i, c in enumerate(["<end>", *alphabet, *extra])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(path / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<end>"}
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    (path / "chat_template.jinja").write_text(CHAT_TEMPLATE)


def make_model(
    path: Path,
    seed: int,
    *,
    drift: float = 0.0,
    dtype: torch.dtype = torch.float32,
    **settings: object,
) -> None:
    """A 2-layer model of `seed`; with `drift`, its weights moved a little at random."""
    shape = {
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "vocab_size": 257,
        "num_attention_heads": 2, "num_key_value_heads": 1, "tie_word_embeddings": True,
    }  # fmt: skip
    torch.manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(**(shape | settings)))
    with torch.no_grad():
        for parameter in model.parameters():  # the norms too must differ between two models
            parameter += 0.1 * torch.randn_like(parameter)
        if drift:
            torch.manual_seed(seed + 1000)
            for parameter in model.parameters():
                parameter += drift * torch.randn_like(parameter)
    model.to(dtype).save_pretrained(path)
    write_tokenizer(path)


@pytest.fixture(scope="session")
def write_model() -> Callable[..., None]:
    """`write_model(path, seed, drift=..., dtype=..., **llama_settings)`."""
    return make_model


@pytest.fixture
def run(tmp_path: Path) -> Run:
    registry = Registry(tmp_path / "home")
    found(registry)
    return Run("tiny", "merger", "run", registry)


Add = Callable[..., None]


@pytest.fixture
def add(run: Run) -> Add:
    """Register a model: `add("base", seed=1, ...)`; `change` edits the directory before."""

    def add(kind: str, change: Callable[[Path], object] | None = None, **settings: object) -> None:
        maker = Run(run.name, "trainer", "import-base" if kind == "base" else "run", run.registry)
        recipe = maker.recipe(MergerConfig(), parents={})
        with maker.write(kind, recipe, licences=(licence("Apache-2.0"),)) as artifact:
            make_model(artifact.path, **settings)
            template = hashlib.sha256(CHAT_TEMPLATE.encode()).hexdigest()
            artifact.facts["chat_template_sha256"] = template
            if change:
                change(artifact.path)

    return add


@pytest.fixture
def heldout(run: Run) -> list[HeldoutText]:
    """The development part of the set `ward`, as `bedside eval plan` leaves it."""
    texts = [HeldoutText(f"t{n}", f"Ein Befund, Nummer {n}. " * 20 + "Ende.") for n in range(3)]
    maker = Run(run.name, "eval", "plan", run.registry)
    with maker.write("heldout", maker.recipe(Config())) as artifact:
        for name, content in part_files({"ward": texts}, {}).items():
            (artifact.path / name).parent.mkdir(parents=True, exist_ok=True)
            (artifact.path / name).write_bytes(content)
    return texts
