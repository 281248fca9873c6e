"""Models on disk: loading, saving and describing Hugging Face directories, without code or hub."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import safe_open
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from bedside_core.artifacts import Artifact
from bedside_core.errors import InputError
from bedside_core.kinds.model import TOKENIZER, tokenizer_sha256

DTYPES = {"F64": "float64", "F32": "float32", "BF16": "bfloat16", "F16": "float16"}

# Our own bars say what is going on.
transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def load_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model directory.

    Raises:
        InputError: it cannot be read, or has no end-of-sequence token to end documents with.
    """
    with unreadable_as_input_error(f"{path}: the tokenizer cannot be read"):
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    if tokenizer.eos_token_id is None:
        raise InputError(f"{path}: the tokenizer has no eos_token - set one in its config")
    return tokenizer


def load_model(path: Path) -> PreTrainedModel:
    """The causal language model of a directory, in float32 whatever it was saved in.

    Raises:
        InputError: it cannot be read, or its files lack weights of the architecture.
    """
    with unreadable_as_input_error(f"{path}: transformers cannot load this model"):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            path,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    model: PreTrainedModel = loaded[0]
    # transformers fills missing weights with random numbers and only warns.
    missing = sorted(loaded[1]["missing_keys"])
    if missing:
        raise InputError(
            f"{path}: {len(missing)} weights of the architecture are missing, first {missing[0]} - "
            "import a complete model"
        )
    return model


def check_fits(model: PreTrainedModel, sequence_length: int) -> None:
    """Refuse rows that are longer than the positions the model was made for.

    Raises:
        InputError: `sequence_length` is too long.
    """
    limit = getattr(model.config, "max_position_embeddings", None)
    if limit is not None and sequence_length > limit:
        raise InputError(
            f"trainer.sequence_length {sequence_length} is longer than the base model's "
            f"{limit} positions - set it to {limit} or less"
        )


def save_checkpoint(model: PreTrainedModel, base: Artifact, target: Path) -> None:
    """Float32 safetensors and config of `model`; every other file as it is in the base.

    Tied embeddings are written once, as the base has them.
    """
    model.save_pretrained(target)
    for entry in base.manifest.files:
        is_weights = ".safetensors" in entry.path
        if not is_weights and entry.path != "config.json":
            shutil.copyfile(base.path / entry.path, target / entry.path)


def describe(path: Path) -> dict[str, Any]:
    """Facts of a model directory for its manifest; reads headers, not weights.

    Raises:
        InputError: transformers has no causal language model for it, or cannot read its tokenizer.
    """
    tokenizer = load_tokenizer(path)
    with unreadable_as_input_error(
        f"{path}: transformers has no causal language model for this config.json"
    ):
        config = AutoConfig.from_pretrained(path, local_files_only=True)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    template = tokenizer.chat_template
    return {
        "architecture": type(model).__name__,
        "num_parameters": model.num_parameters(),
        "dtype": stored_dtype(path),
        "tokenizer_sha256": tokenizer_sha256(path / TOKENIZER),
        "chat_template_sha256": _template_sha256(template),
    }


def stored_dtype(path: Path) -> str:
    """The type in which most of a directory's weights are stored.

    Raises:
        InputError: it is not a floating-point type (a quantised model cannot be trained on).
    """
    elements: dict[str, int] = {}
    for file in sorted(path.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - no mapping, only has keys()
                part = tensors.get_slice(name)
                dtype = part.get_dtype()
                count = 1
                for size in part.get_shape():
                    count *= size
                elements[dtype] = elements.get(dtype, 0) + count
    most = max(elements, key=lambda dtype: elements[dtype], default="nothing")
    if most not in DTYPES:
        raise InputError(
            f"{path}: the weights are stored as {most} - import float32, bfloat16 or float16 ones"
        )
    return DTYPES[most]


def _template_sha256(template: str | dict[str, str] | None) -> str | None:
    if template is None:
        return None
    text = template if isinstance(template, str) else repr(sorted(template.items()))
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def unreadable_as_input_error(message: str) -> Iterator[None]:
    """Turn whatever a library raises over files from outside into an InputError with `message`."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # tokenizers raises bare Exception
        raise InputError(f"{message} ({type(error).__name__})") from error
