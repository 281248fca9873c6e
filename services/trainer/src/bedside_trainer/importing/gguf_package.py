"""A base model that comes as a GGUF file inside an installed Python package.

Tested in tests/trainer/importing/test_verb.py.
"""

from __future__ import annotations

import functools
import importlib.util
import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from bedside_core.console import say
from bedside_core.errors import InputError


def find(package: str) -> dict[str, Path]:
    """The package's one GGUF file, by name. The package itself is not imported.

    Raises:
        InputError: the package is not installed, or has no GGUF file or several.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"package {package!r} is not installed here - install it into the trainer's "
            "environment, or set base.directory"
        )
    files = [
        path
        for folder in spec.submodule_search_locations
        for path in sorted(Path(folder).glob("*.gguf"))
    ]
    if len(files) != 1:
        raise InputError(
            f"package {package!r} has {len(files)} GGUF files, one is needed - unpack it and set "
            "base.directory"
        )
    return {files[0].name: files[0]}


def convert(files: dict[str, Path], target: Path) -> dict[str, Any]:
    """Dequantise to bfloat16 safetensors, with tokenizer, chat template and generation config.

    The quantised blocks are expanded in float32 first, so bfloat16 rounds once.

    Returns:
        For the manifest: what was done.

    Raises:
        InputError: transformers cannot read the file, or a later step could not use the model.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    from bedside_models.load import unreadable_as_input_error
    from bedside_trainer.importing import canonical
    from bedside_trainer.importing.proof import prove

    (source,) = files.values()
    say(f"converting {source.name} to bfloat16 safetensors, about half a minute")
    problem = f"{source.name}: transformers cannot read this GGUF file"
    # The reader draws a progress bar of its own, terminal or not.
    with unreadable_as_input_error(problem), redirect_stderr(io.StringIO()), _read_once():
        model: Any = AutoModelForCausalLM.from_pretrained(
            source.parent,
            gguf_file=source.name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
            local_files_only=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(
            source.parent, gguf_file=source.name, local_files_only=True
        )
    canonical.judge(model)
    canonical.settle_dtype(model)
    canonical.to_bfloat16(model)
    canonical.save(model, target)
    tokenizer.save_pretrained(target)
    return {"cast": "dequantised to bfloat16", "repairs": [], "proof": prove(model, target)}


@contextmanager
def _read_once() -> Iterator[None]:
    """Remember what transformers asks of `gguf` again and again: half the time of a conversion.

    It reads the file for config, weights and tokenizer, and makes the table of names per module.
    """
    import gguf

    asked = {name: getattr(gguf, name) for name in ("GGUFReader", "get_tensor_name_map")}
    for name, function in asked.items():
        setattr(gguf, name, functools.cache(function))
    try:
        yield
    finally:
        for name, function in asked.items():
            setattr(gguf, name, function)
