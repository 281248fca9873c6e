"""Defaults of generation that transformers would refuse to save, so that no training could end.

Tested in tests/trainer/importing/test_shapes.py.
"""

from __future__ import annotations

from typing import Any

from transformers import GenerationConfig

from bedside_core.errors import InputError
from bedside_core.kinds.model import GENERATION

BEAMS = ("early_stopping", "length_penalty")
"""Of beam search alone; vLLM does none with these defaults."""


def repair(content: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A `generation_config.json` that can be saved, and what was changed in it.

    Settings of sampling without `do_sample` are the common case (Vicuna, Llama-2-chat). vLLM
    samples by them whatever `do_sample` says, so it is set: nothing that is served changes.

    Raises:
        InputError: it is invalid in another way.
    """
    changes: list[str] = []
    if not _fault(content):
        return content, changes
    if content.get("do_sample") is not True:
        content = content | {"do_sample": True}
        changes.append("do_sample set to true, as its other settings are about sampling")
    if _fault(content):
        changes += [f"{name} left out, as it is about beams" for name in BEAMS if name in content]
        content = {name: value for name, value in content.items() if name not in BEAMS}
    if fault := _fault(content):
        raise InputError(
            f"{GENERATION} is invalid ({fault}), so no checkpoint of this base could be saved - "
            "correct it, or remove it"
        )
    return content, changes


def _fault(content: dict[str, Any]) -> str:
    try:
        GenerationConfig.from_dict(content).validate(strict=True)
    except (ValueError, TypeError, AttributeError) as error:
        return type(error).__name__
    return ""
