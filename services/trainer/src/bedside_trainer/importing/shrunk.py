"""A base of random weights in an architecture's proportions, to try a config without the model.

Tested in tests/trainer/importing/test_shrunk.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM

from bedside_core.kinds.model import TOKENIZER_CONFIG
from bedside_models.load import unreadable_as_input_error
from bedside_trainer.config import Shrink
from bedside_trainer.importing import canonical
from bedside_trainer.importing.architecture import shrunk
from bedside_trainer.importing.proof import prove

END = "<|endoftext|>"
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<|endoftext|>{% endfor %}"


def make(architecture: dict[str, Any], shrink: Shrink, target: Path) -> dict[str, Any]:
    """Write such a base with a tokenizer of bytes; the same numbers give the same weights.

    Returns:
        For the manifest: what was done.

    Raises:
        InputError: transformers knows no such architecture, or a later step could not use it.
    """
    _write_tokenizer(target)
    numbers = shrunk(architecture, shrink)
    with unreadable_as_input_error("base.architecture: transformers has no such language model"):
        torch.manual_seed(0)
        build: Any = AutoModelForCausalLM.from_config
        model = build(AutoConfig.for_model(**numbers)).to(torch.bfloat16)
    canonical.judge(model)
    canonical.save(model, target)
    return {"cast": "random weights in bfloat16", "repairs": [], "proof": prove(model, target)}


def _vocabulary() -> dict[str, int]:
    return {name: n for n, name in enumerate([END, *sorted(pre_tokenizers.ByteLevel.alphabet())])}


def _write_tokenizer(target: Path) -> None:
    tokenizer = Tokenizer(models.BPE(vocab=_vocabulary(), merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END])
    tokenizer.save(str(target / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END}
    text = json.dumps(settings | {"chat_template": TEMPLATE})
    (target / TOKENIZER_CONFIG).write_text(text, encoding="utf-8")
