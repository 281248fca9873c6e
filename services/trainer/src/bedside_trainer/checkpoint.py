"""A checkpoint on disk: the trained weights beside everything else of the base.

Tested in tests/trainer/test_run.py.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from transformers import PreTrainedModel

from bedside_core.artifacts import Artifact
from bedside_trainer.parallel.world import World


def save(model: PreTrainedModel, base: Artifact, target: Path, world: World) -> None:
    """Float32 safetensors and config of `model`; every other file as it is in the base.

    Tied embeddings are written once, as the base has them. Where several processes hold the model,
    all take part: its tensors come together one by one, in the memory of the first, which writes.
    """
    whole: dict[str, Any] | None = None
    if world.size > 1:
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        found = get_model_state_dict(model, options=options)
        # Weights that are tied have one name, as transformers saves them.
        every, once = (dict(model.named_parameters(remove_duplicate=r)) for r in (False, True))
        whole = {name: found[name] for name in found if name not in every or name in once}
    if world.is_first:
        model.save_pretrained(target, state_dict=whole)
        copy_files(base, target)


def copy_files(base: Artifact, target: Path) -> None:
    """All of the base but weights and config."""
    for entry in base.manifest.files:
        is_weights = ".safetensors" in entry.path
        if not is_weights and entry.path != "config.json":
            (target / entry.path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(base.path / entry.path, target / entry.path)
