"""A house of its own for the self-test: a tiny base, a corpus and texts, all made of chance.

Tested in tests/trainer/selftest/test_trials.py.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pyarrow.parquet
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from bedside_core.config import Config
from bedside_core.heldout import HeldoutText
from bedside_core.kinds.corpus import data_name
from bedside_core.kinds.heldout import part_files
from bedside_core.licences import licence
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_trainer.config import BaseConfig
from bedside_trainer.importing.verb import import_base

NAME = "selftest"
LICENCE = "CC0-1.0"
SYMBOLS = "abcdefghijklmnopqrstuvwxyz "
DOCUMENTS, LONGEST = 96, 160
SEED = 20260101
SPECIAL = {"eos_token": "<eos>", "pad_token": "<pad>"}
TEMPLATE = "{% for m in messages %}{{ m['content'] }}<eos>{% endfor %}"


class Made(Config):
    """What the artifacts are made from."""

    seed: int = SEED


def furnish(home: Path, scratch: Path) -> None:
    """Put what a training reads into an empty registry.

    Args:
        home: of the registry.
        scratch: an existing directory for the base before its import.
    """
    registry = Registry(home)
    found(registry)
    generator = torch.Generator().manual_seed(SEED)
    make_base(scratch)
    source = BaseConfig(directory=scratch, licence=LICENCE)
    import_base(source, Run(NAME, "trainer", "import-base", registry))
    run = Run(NAME, "corpus", "build", registry)
    with run.write("corpus", run.recipe(Made()), licences=(licence(LICENCE),)) as artifact:
        texts = [text(generator) for _ in range(DOCUMENTS)]
        ids = [f"document-{number}" for number in range(DOCUMENTS)]
        path = artifact.path / data_name(0)
        path.parent.mkdir()
        pyarrow.parquet.write_table(pyarrow.table({"id": ids, "text": texts}), path)
    run = Run(NAME, "eval", "plan", registry)
    held = [HeldoutText(f"text-{number}", text(generator)) for number in range(2)]
    with run.write("heldout", run.recipe(Made())) as artifact:
        for name, content in part_files({NAME: held}, {}).items():
            (artifact.path / name).parent.mkdir(parents=True, exist_ok=True)
            (artifact.path / name).write_bytes(content)


def text(generator: torch.Generator) -> str:
    """Letters by chance, of a length by chance."""
    length = int(torch.randint(8, LONGEST, (1,), generator=generator))
    picks = torch.randint(len(SYMBOLS), (length,), generator=generator).tolist()
    return "".join(SYMBOLS[pick] for pick in picks)


def make_base(directory: Path) -> None:
    """A two-layer Llama with tied embeddings, whose tokens are bytes.

    Without dropout, as the bases of today: each process draws its masks for its own rows.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<pad>": 0, "<eos>": 1} | {c: n for n, c in enumerate(alphabet, start=2)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, chat_template=TEMPLATE, **SPECIAL
    )
    wrapped.save_pretrained(directory)
    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(directory)  # type: ignore[no-untyped-call]
