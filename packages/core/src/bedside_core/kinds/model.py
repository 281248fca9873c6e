"""A model artifact (`base`, `checkpoint`, `merged`): its files, and when two tokenizers are one.

Only what can be read without torch; loading is `bedside_models`.

Tested in tests/models/test_services_agree.py.
"""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

from bedside_core.config import sha256_of
from bedside_core.errors import InputError

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
"""Names the files of weights that do not fit into one."""
CONTEXT_FIELDS = ("max_position_embeddings", "max_seq_len", "seq_length", "n_positions")
"""Where a config.json may say how many tokens its model sees; MPT's is the second."""
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
CHAT_TEMPLATE = "chat_template.jinja"
GENERATION = "generation_config.json"
"""What vLLM asks a model with where a request does not say."""
TOKENIZER_FILES = (
    TOKENIZER,
    TOKENIZER_CONFIG,
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    CHAT_TEMPLATE,
    GENERATION,
)
"""Everything that belongs to a tokenizer or to how a model is asked, not to its weights."""
RANDOM_WEIGHTS = "random_weights"
"""The fact of a base that was made to try a config: nothing that comes of it is promoted."""
ADDITIONAL_TEMPLATES = "additional_chat_templates"
"""A folder of templates that a request asks for by name, or with tools."""
_LICENCE = re.compile(r"(licen[cs]e|notice|copying|use_policy)([-_.].*)?", re.IGNORECASE)

MAX_HEADER_BYTES = 100_000_000
"""Of a safetensors file, as the format's own library has it."""

_CALL_STATE = ("padding", "truncation")
"""State of the last call, which saving a tokenizer writes along; what it does stays the same."""


def is_of_tokenizer(name: str) -> bool:
    """Whether a file of a model's directory says how texts are cut or how the model is asked."""
    return name in TOKENIZER_FILES or (
        name.startswith(f"{ADDITIONAL_TEMPLATES}/") and name.endswith(".jinja")
    )


def is_licence(name: str) -> bool:
    """Whether a file of a model's directory is its licence, which goes along with the weights."""
    return _LICENCE.fullmatch(name) is not None and not name.endswith((".py", ".safetensors"))


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


def chat_template_sha256(directory: Path) -> str | None:
    """SHA-256 (hex) of the template of a conversation, by the rule of transformers and vLLM.

    A file of its own comes before the tokenizer's config; several named templates count as one.

    Raises:
        InputError: the tokenizer's config is no JSON.
    """
    named = {path.stem: path for path in directory.glob(f"{ADDITIONAL_TEMPLATES}/*.jinja")}
    try:
        if named:
            named |= (
                {"default": directory / CHAT_TEMPLATE}
                if (directory / CHAT_TEMPLATE).is_file()
                else {}
            )
            return sha256_of({name: path.read_text("utf-8") for name, path in named.items()})
        if (directory / CHAT_TEMPLATE).is_file():
            return sha256((directory / CHAT_TEMPLATE).read_bytes()).hexdigest()
        if not (directory / TOKENIZER_CONFIG).is_file():
            return None
        template = json.loads((directory / TOKENIZER_CONFIG).read_bytes()).get("chat_template")
    except (OSError, ValueError, AttributeError, RecursionError):
        raise InputError(
            f"{directory / TOKENIZER_CONFIG}: not a tokenizer's config - import the base model "
            "again"
        ) from None
    if isinstance(template, str):
        return sha256(template.encode()).hexdigest()
    return None if template is None else sha256_of(template)


def tensor_shapes(directory: Path) -> dict[str, tuple[int, ...]]:
    """Every tensor of a model directory with its shape, from the headers of its safetensors files.

    Raises:
        InputError: a file has no such header, or two have a tensor of one name.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for path in sorted(directory.glob("*.safetensors")):
        try:
            with path.open("rb") as file:
                # Eight bytes of length (little endian), then as much JSON.
                length = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(min(length, MAX_HEADER_BYTES)))
                header.pop("__metadata__", None)
                found = {name: tuple(entry["shape"]) for name, entry in header.items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            raise InputError(
                f"{path}: not a readable safetensors file - import or make the model again"
            ) from None
        if twice := sorted(found.keys() & shapes.keys()):
            # Which one is taken depends on who loads them.
            raise InputError(
                f"{path}: tensor {twice[0]} is in another file, too - import or make the model "
                "again"
            )
        shapes |= found
    return shapes


def _adds_nothing(post_processor: Any) -> bool:
    """What transformers writes where there was none: a template of the text alone."""
    return (
        isinstance(post_processor, dict)
        and post_processor.get("type") == "TemplateProcessing"
        and post_processor.get("special_tokens") == {}
    )
