"""The merge itself: mergekit's SLERP with weights that change over the depth of the model.

Tested in tests/merger/test_run.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mergekit.config import MergeConfiguration
from mergekit.merge import MergeOptions, run_merge

from bedside_core.errors import InputError
from bedside_core.log import where
from bedside_core.memory import is_out_of_memory
from bedside_merger.config import MergerConfig


def merge_exactly(
    config: MergerConfig, num_layers: int, base: Path, checkpoint: Path, target: Path
) -> None:
    """Write the merge of two model directories to `target`, computed and kept in float32.

    Raises:
        InputError: mergekit cannot merge these models.
    """
    options = MergeOptions(
        copy_tokenizer=False, write_model_card=False, trust_remote_code=False, quiet=True
    )
    try:
        plan = MergeConfiguration.model_validate(schedule(config, num_layers, base, checkpoint))
        run_merge(plan, str(target), options=options)
    except OSError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        # The cause stays attached (a full disk shows only there), its message is not printed.
        raise InputError(
            f"mergekit cannot merge these models ({where(error)}) - is the architecture one that "
            "it supports?"
        ) from error


def schedule(config: MergerConfig, num_layers: int, base: Path, checkpoint: Path) -> dict[str, Any]:
    """The merge configuration of DeFineMed (Doll et al.), appendix A.4, but in float32.

    A filter is a part of a tensor's name; the first that fits counts, so their order matters.
    """
    # References as objects: in a string mergekit would read '@' and '+' of a path as its own signs.
    first, second = ({"model": {"path": str(path)}} for path in (base, checkpoint))
    return {
        "merge_method": config.method,
        "base_model": first,
        "slices": [
            {
                "sources": [
                    {"model": first, "layer_range": [0, num_layers]},
                    {"model": second, "layer_range": [0, num_layers]},
                ]
            }
        ],
        "parameters": {
            "t": [
                {"filter": "self_attn", "value": list(config.self_attn)},
                {"filter": "mlp", "value": list(config.mlp)},
                {"value": config.rest},
            ]
        },
        "dtype": "float32",
        "out_dtype": "float32",
    }
