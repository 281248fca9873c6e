"""Options that share a pass over their question get the likelihoods of a plain computation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from transformers import PretrainedConfig

from bedside_core.errors import InputError
from bedside_core.heldout import HeldoutText
from bedside_core.kinds.exam import ChoiceItem
from bedside_eval.exam import Paper
from bedside_eval.examinee import Examinee
from bedside_eval.records import ModelScores
from bedside_models.likelihood import encode, score
from bedside_models.load import check_context, load_model, load_tokenizer
from bedside_models.options import log_likelihoods

SIZES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 320,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
    "max_position_embeddings": 256, "bos_token_id": None, "eos_token_id": 0, "pad_token_id": None,
}  # fmt: skip
FEW: dict[str, Any] = {"vocab_size": 320, "bos_token_id": 0, "eos_token_id": 0}
VISION: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1,
    "image_size": 28, "patch_size": 14,
}  # fmt: skip
WINDOW = {"sliding_window": 16}
"""Shorter than a question, so that its first keys and values are gone when an option follows."""
CONFIGS: dict[str, Callable[[], PretrainedConfig]] = {
    "llama": lambda: hf.LlamaConfig(**SIZES),
    "mistral": lambda: hf.MistralConfig(**SIZES, **WINDOW),
    "qwen2": lambda: hf.Qwen2Config(**SIZES),
    "gemma3": lambda: hf.Gemma3Config(
        text_config=hf.Gemma3TextConfig(**SIZES, **WINDOW).to_dict(), vision_config=VISION
    ),
    "mistral3": lambda: hf.Mistral3Config(
        text_config=hf.MistralConfig(**SIZES), vision_config=hf.PixtralVisionConfig(**VISION)
    ),
    "llama4": lambda: hf.Llama4Config(
        text_config=hf.Llama4TextConfig(
            **SIZES, intermediate_size_mlp=48, num_local_experts=2, num_experts_per_tok=1,
            attention_chunk_size=16,
        ),
        vision_config=VISION,
    ),
    "gpt2": lambda: hf.GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=256, **FEW),
    "mpt": lambda: hf.MptConfig(d_model=32, n_heads=2, n_layers=2, max_seq_len=256, **FEW),
    "bloom": lambda: hf.BloomConfig(hidden_size=32, n_layer=2, n_head=2, **FEW),
    "mamba": lambda: hf.MambaConfig(hidden_size=32, num_hidden_layers=2, state_size=4, **FEW),
}  # fmt: skip
UNSAID = ("bloom", "mamba")
"""Whose config does not say how many tokens the model sees."""
STATEFUL = ("mamba",)
ITEMS = [
    ChoiceItem(
        id="long",
        question="Der Patient klagt über Fieber und Husten, was erhält er?",
        options=["Ramipril 5 mg täglich", "Ra", "1", "Fieber, Husten und Atemnot"],
        answer=0,
        language="de",
    ),
    ChoiceItem(id="short", question="7", options=["1", "2", "3", "4"], answer=0, language="de"),
]
PAPER = Paper({"texts": [HeldoutText("t", "Husten und Fieber. " * 12)]}, {"items": ITEMS})


@pytest.fixture
def make(models: Any, tmp_path: Path) -> Callable[[str], Path]:
    """A tiny model of a kind, with weights far from zero so that tokens differ in likelihood."""

    def make(kind: str) -> Path:
        path = tmp_path / kind
        models.write(path)
        torch.manual_seed(3)
        config = CONFIGS[kind]()
        speaks = type(config) in hf.MODEL_FOR_CAUSAL_LM_MAPPING
        reader = hf.AutoModelForCausalLM if speaks else hf.AutoModelForImageTextToText
        model = reader.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
        model.save_pretrained(path)
        return path

    return make


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("kind", CONFIGS)
def test_likelihoods_are_those_of_a_plain_computation(
    sit: Callable[..., ModelScores],
    make: Callable[[str], Path],
    kind: str,
    batch_size: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared = []
    original = Examinee._continued

    def counted(self: Any, rows: Any) -> Any:
        shared.append(len(rows))
        return original(self, rows)

    monkeypatch.setattr(Examinee, "_continued", counted)
    path = make(kind)
    if kind in UNSAID:
        with pytest.raises(InputError, match=f"config.json of a {kind} model does not say how"):
            check_context(path, eval__max_length=64)
        config = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 256}))
    found = sit(path, PAPER, batch_size=batch_size, max_length=64)
    assert shared == ([] if kind in STATEFUL else [4, 4])
    model, tokenizer = load_model(path).train(mode=False), load_tokenizer(path)
    for item, answered in zip(ITEMS, found.exams["items"], strict=True):
        expected = log_likelihoods(model, tokenizer, item.prompt, item.options)
        assert answered.loglikelihoods == pytest.approx(expected, rel=1e-4)
    (text,) = encode(PAPER.heldout["texts"], tokenizer).texts
    expected_text = score(model, text, tokenizer.eos_token_id, 64)
    assert found.heldout["texts"][0].nll == pytest.approx(expected_text.nll, rel=1e-5)
