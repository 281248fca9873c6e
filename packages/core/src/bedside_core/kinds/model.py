"""A model artifact (`base`, `checkpoint`, `merged`): its files, and when two tokenizers are one.

Only what can be read without torch; loading is `bedside_models`.

Tested in tests/models/test_services_agree.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bedside_core.config import sha256_of
from bedside_core.errors import InputError

CONFIG = "config.json"
CONTEXT_FIELDS = ("max_position_embeddings", "max_seq_len", "seq_length", "n_positions")
"""Where a config.json may say how many tokens its model sees; MPT's is the second."""
TOKENIZER = "tokenizer.json"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
)
"""Everything that belongs to a tokenizer or to how a model is asked, not to its weights."""

MAX_HEADER_BYTES = 100_000_000
"""Of a safetensors file, as the format's own library has it."""

_CALL_STATE = ("padding", "truncation")
"""State of the last call, which saving a tokenizer writes along; what it does stays the same."""


def tokenizer_sha256(path: Path) -> str:
    """The identity of a tokenizer: equal for two files that cut every text in the same way.

    SHA-256 (hex) of the canonical JSON of `tokenizer.json` without the state of its last call and
    without a post-processor that adds nothing, so that saving it again does not change it.

    Raises:
        InputError: the file is missing or not a tokenizer's JSON.
    """
    try:
        content = json.loads(path.read_bytes())
        kept = {key: content[key] for key in content if key not in _CALL_STATE}
        if _adds_nothing(kept.get("post_processor")):
            kept["post_processor"] = None
        return sha256_of(kept)
    except (OSError, ValueError, TypeError):
        raise InputError(
            f"{path}: missing or not a tokenizer - import the base model again"
        ) from None


def tensor_shapes(directory: Path) -> dict[str, tuple[int, ...]]:
    """Every tensor of a model directory with its shape, from the headers of its safetensors files.

    Raises:
        InputError: a file has no such header.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for path in sorted(directory.glob("*.safetensors")):
        try:
            with path.open("rb") as file:
                # Eight bytes of length (little endian), then as much JSON.
                length = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(min(length, MAX_HEADER_BYTES)))
                header.pop("__metadata__", None)
                shapes |= {name: tuple(entry["shape"]) for name, entry in header.items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            raise InputError(
                f"{path}: not a readable safetensors file - import or make the model again"
            ) from None
    return shapes


def _adds_nothing(post_processor: Any) -> bool:
    """What transformers writes where there was none: a template of the text alone."""
    return (
        isinstance(post_processor, dict)
        and post_processor.get("type") == "TemplateProcessing"
        and post_processor.get("special_tokens") == {}
    )
