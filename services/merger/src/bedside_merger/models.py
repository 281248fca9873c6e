"""Hugging Face model directories: what makes two of them mergeable, and their tokenizer files.

Tested in tests/merger/test_run.py.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError, InputError
from bedside_core.files import sha256_file
from bedside_core.kinds.model import is_licence, is_of_tokenizer
from bedside_models.load import check_weights
from bedside_models.tensors import open_weights

# Of config.json, what decides whether two sets of weights mean the same computation.
SAME_SETTINGS = (
    "architectures",
    "model_type",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "rms_norm_eps",
    "rope_parameters",
    "sliding_window",
    "tie_word_embeddings",
)


def check_mergeable(base: Path, checkpoint: Path) -> int:
    """Refuse models whose weights do not correspond one to one.

    Returns:
        The number of layers.

    Raises:
        InputError: names the first setting or tensor that does not fit, or the tensors that both
            lack.
    """
    ours, theirs = read_config(base), read_config(checkpoint)
    for key in SAME_SETTINGS:
        if ours.get(key) != theirs.get(key):
            raise _refusal(f"{key} is {ours.get(key)} in the base, {theirs.get(key)} in the other")
    with open_weights(base) as a, open_weights(checkpoint) as b:
        for name in sorted(set(a.names) ^ set(b.names)):
            where = "the base" if name in a.files else "the checkpoint"
            raise _refusal(f"only {where} has the tensor {name}")
        for name in a.names:
            if a.shape(name) != b.shape(name):
                raise _refusal(f"{name} has shape {a.shape(name)} against {b.shape(name)}")
    _check_vocabularies(base, checkpoint)
    for path in (base, checkpoint):
        check_weights(path)
    return int(ours["num_hidden_layers"])


def read_config(directory: Path) -> dict[str, Any]:
    """`config.json` of a model directory, in the spelling of the installed transformers.

    Raises:
        InputError: missing, unreadable, or without a number of layers.
    """
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True).to_dict()
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{directory}/config.json: missing or not a model config ({type(error).__name__})"
        ) from None
    if not isinstance(config.get("num_hidden_layers"), int):
        raise InputError(f"{directory}/config.json: no num_hidden_layers - not a decoder's config")
    return dict(config)


def copy_tokenizer(base: Artifact, target: Path) -> None:
    """Copy tokenizer, chat templates, generation defaults and licence byte for byte.

    Raises:
        ArtifactError: a copy's hash is not the one in the base's manifest.
    """
    for entry in base.manifest.files:
        name = entry.path
        if not is_of_tokenizer(name) and not is_licence(name):
            continue
        (target / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(base.path / name, target / name)
        if sha256_file(target / name) != entry.sha256:
            raise ArtifactError(
                f"base artifact {base.digest[:12]}: {name} changed while it was copied - run "
                "`bedside registry verify`"
            )


def _check_vocabularies(base: Path, checkpoint: Path) -> None:
    ours, theirs = _vocabulary(base), _vocabulary(checkpoint)
    if ours != theirs:
        different = sum(theirs.get(token) != number for token, number in ours.items())
        raise _refusal(
            f"the tokenizers differ: {len(ours)} and {len(theirs)} tokens, {different} of the "
            "base's have another number or none"
        )


def _vocabulary(directory: Path) -> dict[str, int]:
    path = directory / "tokenizer.json"
    try:
        tokenizer = json.loads(path.read_text(encoding="utf-8"))
        model = tokenizer["model"]["vocab"]
        # Unigram tokenizers list (token, score); the position is the number.
        known = {t[0]: i for i, t in enumerate(model)} if isinstance(model, list) else dict(model)
        return known | {item["content"]: item["id"] for item in tokenizer["added_tokens"]}
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path}: missing or not a tokenizer with a vocabulary") from None


def _refusal(reason: str) -> InputError:
    return InputError(
        f"base and checkpoint cannot be merged: {reason} - merge only a checkpoint that was "
        "trained from this base"
    )
