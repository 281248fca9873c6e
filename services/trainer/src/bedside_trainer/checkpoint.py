"""A checkpoint on disk: the trained weights beside everything else of the base.

Tested in tests/trainer/test_run.py.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from transformers import PreTrainedModel

from bedside_core.artifacts import Artifact


def save(model: PreTrainedModel, base: Artifact, target: Path) -> None:
    """Float32 safetensors and config of `model`; every other file as it is in the base.

    Tied embeddings are written once, as the base has them.
    """
    model.save_pretrained(target)
    for entry in base.manifest.files:
        is_weights = ".safetensors" in entry.path
        if not is_weights and entry.path != "config.json":
            (target / entry.path).parent.mkdir(exist_ok=True)
            shutil.copyfile(base.path / entry.path, target / entry.path)
