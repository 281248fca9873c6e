"""Loading Hugging Face model directories: complete, or not at all; without code and without a hub.

transformers fills weights that a directory lacks, or has in another size, with random numbers, and
drops those that it does not know; it only warns. Here each of the three is refused, by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from bedside_core.errors import InputError
from bedside_core.kinds.model import CONTEXT_FIELDS
from bedside_core.memory import is_out_of_memory
from bedside_models.device import ASKED, choose_device
from bedside_models.scores import Dtype
from bedside_models.tensors import open_weights

DTYPES = {"F64": "float64", "F32": "float32", "BF16": "bfloat16", "F16": "float16"}
NAMED = 3
"""Tensors that a refusal names; the rest it counts."""


def load_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model directory.

    Raises:
        InputError: it cannot be read, or has no end-of-sequence token to end documents with.
    """
    with unreadable_as_input_error(f"{path}: the tokenizer cannot be read"):
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    if tokenizer.eos_token_id is None:
        raise InputError(
            f"{path}: the tokenizer has no eos_token - name one in tokenizer_config.json and "
            "import the base again"
        )
    return tokenizer


def load_model(path: Path, dtype: Dtype = "float32", *, spread: bool = False) -> PreTrainedModel:
    """The causal language model of a directory, whatever it was saved in.

    Args:
        path: the directory.
        dtype: of weights and arithmetic.
        spread: over all visible GPUs, layer by layer; where there is none, in memory.

    Raises:
        ConfigError: BEDSIDE_DEVICE asks for a GPU, and there is none.
        InputError: it cannot be read, its weights are not exactly the architecture's, or the GPUs
            cannot hold it.
    """
    if not spread or choose_device("auto", name=ASKED).type == "cpu":
        return _load(path, dtype)
    model = _load(path, dtype, device_map="auto")
    _refuse_offloaded(path, getattr(model, "hf_device_map", {}))
    return model


def _refuse_offloaded(path: Path, devices: Mapping[str, Any]) -> None:
    """What no GPU holds, accelerate puts into memory or onto the disk, which takes forever."""
    elsewhere = sum(str(device) in ("cpu", "disk") for device in devices.values())
    if elsewhere:
        raise InputError(
            f"{path}: {elsewhere} of {len(devices)} parts of the model have no room on the visible "
            "GPUs - use more or larger ones, or stop what else they run"
        )


def check_weights(path: Path) -> PreTrainedModel:
    """Refuse a directory that `load_model` would refuse; reads names and sizes, not weights.

    Returns:
        The model without storage (on torch's meta device).

    Raises:
        InputError: it cannot be read, or its weights are not exactly the architecture's.
    """
    return _load(path, "float32", device_map="meta")


def read_config(path: Path) -> PretrainedConfig:
    """The config of a model directory.

    Raises:
        InputError: it is missing, damaged, or of an architecture that transformers does not have.
    """
    with unreadable_as_input_error(
        f"{path}: transformers has no causal language model for this config.json"
    ):
        config: PretrainedConfig = AutoConfig.from_pretrained(path, local_files_only=True)
    return config


def context_length(config: PretrainedConfig, path: Path) -> int:
    """How many tokens the model was made to see at once.

    Raises:
        InputError: its config.json does not say (Bloom, Mamba); the message says what to add.
    """
    text = config.get_text_config(decoder=True)
    for field in CONTEXT_FIELDS:
        value = getattr(text, field, None)
        if isinstance(value, int) and value > 0:
            return value
    raise InputError(
        f"{path}: config.json of a {config.model_type} model does not say how many tokens the "
        'model sees - add "max_position_embeddings" with the length that it was trained on, and '
        "import the base again"
    )


def check_context(path: Path, **lengths: int) -> None:
    """Refuse settings that ask for more tokens than the model sees; reads its config alone.

    Args:
        path: the model's directory.
        lengths: tokens by setting, `__` for the dot: `trainer__sequence_length=512`.

    Raises:
        InputError: names the setting, and what it may be.
    """
    limit = context_length(read_config(path), path)
    for name, length in lengths.items():
        if length > limit:
            setting = name.replace("__", ".")
            raise InputError(
                f"{setting} {length} is longer than the {limit} tokens that the model "
                f"{path.name[:12]} sees - set it to {limit} or less"
            )


def stored_dtype(path: Path) -> str:
    """The type in which most of a directory's weights are stored.

    Raises:
        InputError: it is not a floating-point type (a quantised model cannot be trained on).
    """
    elements: dict[str, int] = {}
    with open_weights(path) as weights:
        for name in weights.names:
            dtype = weights.dtype(name)
            elements[dtype] = elements.get(dtype, 0) + torch.Size(weights.shape(name)).numel()
    most = max(elements, key=lambda dtype: elements[dtype])
    if most not in DTYPES:
        raise InputError(
            f"{path}: the weights are stored as {most} - import float32, bfloat16 or float16 ones"
        )
    return DTYPES[most]


def dtype_of(model: PreTrainedModel) -> Dtype:
    """What a loaded model computes in."""
    names: dict[torch.dtype, Dtype] = {getattr(torch, name): name for name in get_args(Dtype)}
    return names[model.dtype]


def _load(path: Path, dtype: Dtype, **options: Any) -> PreTrainedModel:
    config = read_config(path)
    with unreadable_as_input_error(
        f"{path}: transformers cannot load this model - a Hugging Face directory with safetensors "
        "weights is needed"
    ):
        # Some that also see images (Mistral-Small 3.1) have no class of their own for text alone.
        speaks = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING
        reader = AutoModelForCausalLM if speaks else AutoModelForImageTextToText
        loaded: Any = reader.from_pretrained(
            path,
            config=config,
            dtype=getattr(torch, dtype),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            # Not to accept them: without it, the names are only in the text of an error.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **options,
        )
    model, found = loaded
    mismatched = [key if isinstance(key, str) else key[0] for key in found["mismatched_keys"]]
    for names, fault in (
        (found["missing_keys"], "missing"),
        (mismatched, "of another size than the architecture's"),
        (found["unexpected_keys"], "unknown to the architecture"),
    ):
        _refuse(path, sorted(names), fault)
    assert isinstance(model, PreTrainedModel)  # noqa: S101 - what from_pretrained returns
    return model


def _refuse(path: Path, names: list[str], fault: str) -> None:
    if names:
        rest = len(names) - NAMED
        more = f" and {rest} more" if rest > 0 else ""
        raise InputError(
            f"{path}: {len(names)} weight(s) {fault}: {', '.join(names[:NAMED])}{more} - "
            "use a complete model; import or make it again"
        )


@contextmanager
def unreadable_as_input_error(message: str) -> Iterator[None]:
    """Turn whatever a library raises over files from outside into an InputError with `message`."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # tokenizers raises bare Exception
        if is_out_of_memory(error):
            raise
        raise InputError(f"{message} ({type(error).__name__})") from error
