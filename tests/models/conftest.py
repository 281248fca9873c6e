"""Tiny real models of several architectures, with a byte-level tokenizer."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.update({"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"})

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    MptConfig,
    PretrainedConfig,
)

from bedside_core.cli import main
from bedside_core.kinds.policy import read_policy
from bedside_core.registry.registry import Registry

VOCABULARY = 260

CONFIGS: dict[str, Callable[[], PretrainedConfig]] = {
    "llama": lambda: LlamaConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, vocab_size=VOCABULARY,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=128,
        bos_token_id=None, eos_token_id=0, tie_word_embeddings=True,
    ),
    "wide": lambda: LlamaConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=1, vocab_size=50_000,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=128,
        bos_token_id=None, eos_token_id=0, tie_word_embeddings=True,
    ),
    "gpt2": lambda: GPT2Config(
        n_embd=32, n_layer=2, n_head=2, vocab_size=VOCABULARY, n_positions=96,
        bos_token_id=0, eos_token_id=0,
    ),
    "mpt": lambda: MptConfig(
        d_model=32, n_heads=2, n_layers=2, vocab_size=VOCABULARY, max_seq_len=80
    ),
    "bloom": lambda: BloomConfig(hidden_size=32, n_layer=2, n_head=2, vocab_size=VOCABULARY),
    "mamba": lambda: MambaConfig(
        hidden_size=32, num_hidden_layers=2, vocab_size=VOCABULARY, state_size=4
    ),
}  # fmt: skip


def make(path: Path, kind: str = "llama", *, seed: int = 0) -> Path:
    """A model directory; weights are far from zero, so that tokens differ in likelihood."""
    path.mkdir(parents=True, exist_ok=True)
    vocabulary = {"<end>": 0}
    for character in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary[character] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<end>"])
    tokenizer.save(str(path / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<end>"}
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(CONFIGS[kind]())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(path)
    return path


def edit(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    """Change the tensors of a directory."""
    file = path / "model.safetensors"
    weights = load_file(file)
    change(weights)
    save_file(weights, file, metadata={"format": "pt"})
    return path


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """`make_model("gpt2", seed=1)`, in a directory of its own."""

    def fresh(kind: str = "llama", *, seed: int = 0) -> Path:
        return make(tmp_path / f"{kind}-{seed}", kind, seed=seed)

    return fresh


@pytest.fixture
def edit_model() -> Callable[..., Path]:
    return edit


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other cost more than such small products."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


DIRTY = (
    "\u00a0Fieber\u202f38,5\u00a0\u00b0C \u2026 Husten",
    "O\u0308dem bei \u00b5g-Dosen; a\u0308ltere Notiz",
    "Zwei\n\n\nAbs\u00e4tze,  doppelte  Leerzeichen \t und ein Tab ",
    "wei\u00adche Trenn\u00adstelle, nullbreit\u200bes Zeichen, \ufb01nal",
    "Zeilenende unten\u2028und \u2029weiter \u00a0",
    "{{ 7 * 7 }} {% raw %} <end> [1, 2] 'x'",
    "42",
    "Der Patient klagt \u00fcber Fieber, Husten und Atemnot. " * 9,
)
"""Held-out texts as hospitals have them; the last is longer than a window."""

SECTIONS = """
name: one
base: {{directory: {here}/model, licence: CC0-1.0}}
corpus:
  language: de
  sources: [{{name: letters, path: {here}/letters, format: text, licence: CC0-1.0,
             personal_data: none}}]
trainer:
  sequence_length: 32
  batch_size: 2
  max_steps: 3
  learning_rate: 1.0e-2
  heldout: letters
  heldout_max_length: 64
merger:
  probe: {{heldout: letters, num_texts: 8, max_length: 64}}
eval:
  policy: {here}/policy.yaml
  heldout: {{letters: {here}/heldout}}
  exams: {{items: {here}/exam.jsonl}}
  batch_size: 3
  max_length: 64
inference: {{engine: {{max_model_len: 64}}}}
"""
POLICY = """
name: test
target: {of: letters, min_gain: 0.0, max_loss: 0.1}
guards: [{measure: accuracy, of: items, max_loss: 0.1}]
tail: {delta: 0.1, max_share: 0.2}
min_clusters: 14
confidence: 0.95
"""
CHANGES = {
    "licence: CC0-1.0}}\ncorpus": "licence: MIT}}\ncorpus",
    "max_steps: 3": "max_steps: 2",
    "num_texts: 8": "num_texts: 2",
    "batch_size: 3": "batch_size: 2",
}
"""So that no step of the second config is reused."""


def clean(count: int) -> list[str]:
    """More texts, each unlike the others."""
    words = "Puls Herz Lunge Blut Knie Schmerz Tablette Labor Visite Verband Naht Narbe".split()
    drawn = random.Random(7)
    return [" ".join(drawn.choice(words) for _ in range(20)) for _ in range(count)]


def write_exam(path: Path, count: int) -> None:
    item = {"options": ["ja", "nein", "gut", "Ödem"], "language": "de"}
    lines = [
        json.dumps(item | {"id": f"q{n}", "question": f"Was {n}?", "answer": n % 4})
        for n in range(count)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that went through all services' own verbs; `run.yaml`, `again.yaml`, `home`."""
    here = make(tmp_path_factory.mktemp("adapted") / "model").parent
    for folder in ("heldout", "letters"):
        (here / folder).mkdir()
    for number, text in enumerate((*DIRTY, *clean(16))):
        (here / "heldout" / f"t{number}.txt").write_text(text, encoding="utf-8")
        letter = f"Befund {number}: Husten und Fieber, Therapie mit {number} mg."
        (here / "letters" / f"l{number}.txt").write_text(letter, encoding="utf-8")
    write_exam(here / "exam.jsonl", 16)
    (here / "policy.yaml").write_text(POLICY)
    changed = SECTIONS
    for old, new in CHANGES.items():
        assert old in changed
        changed = changed.replace(old, new)
    (here / "run.yaml").write_text(SECTIONS.format(here=here))
    (here / "again.yaml").write_text(changed.format(here=here))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEDSIDE_HOME", str(here / "home"))
        patch.setenv("HF_HOME", str(here))
        assert main(["registry", "init"]) == 0
        Registry(here / "home").approve(read_policy(here / "policy.yaml"), "test")
        for verb in ("trainer import-base", "eval plan", "corpus build", "trainer run",
                     "merger run", "eval run"):  # fmt: skip
            assert main([*verb.split(), "--config", str(here / "run.yaml")]) == 0, verb
    return here


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a model with 50,000 tokens, so that logits take memory, ready for each verb."""
    here = make(tmp_path_factory.mktemp("wide") / "model", "wide").parent
    for folder, number in (("heldout", 24), ("letters", 40)):
        (here / folder).mkdir()
        for i in range(number):
            text = f"Befund {i}: Husten und Fieber. " * 9
            (here / folder / f"t{i}.txt").write_text(text, encoding="utf-8")
    write_exam(here / "exam.jsonl", 16)
    (here / "policy.yaml").write_text(POLICY)
    sections = SECTIONS
    for name in ("sequence_length: 32", "max_length: 64"):
        sections = sections.replace(name, f"{name.split(':')[0]}: 128")
    # A step of eight rows is one pass only if it is asked for.
    at_once = "batch_size: 8\n  step:\n    micro_batch_tokens: 1024"
    sections = sections.replace("batch_size: 2", at_once)
    sections = sections.replace("batch_size: 3", "batch_size: 8")
    small = sections.replace("batch_size: 8", "batch_size: 1")
    (here / "run.yaml").write_text(sections.format(here=here))
    (here / "small.yaml").write_text(small.format(here=here))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEDSIDE_HOME", str(here / "home"))
        assert main(["registry", "init"]) == 0
        Registry(here / "home").approve(read_policy(here / "policy.yaml"), "test")
        for verb in ("trainer import-base", "eval plan", "corpus build", "trainer run",
                     "merger run"):  # fmt: skip
            assert main([*verb.split(), "--config", str(here / "small.yaml")]) == 0, verb
    return here
