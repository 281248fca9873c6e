"""The merge itself, by mergekit: one tensor at a time, in float32, held by nobody else.

mergekit's own `run_merge` collects tensors into files of 5 GB; its planner and its executor give
each as soon as it is computed, in the same order, so that methods that draw at random draw alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from mergekit.architecture import get_architecture_info
from mergekit.config import MergeConfiguration
from mergekit.graph import Executor
from mergekit.io.tasks import LoaderCache, SaveTensor
from mergekit.options import MergeOptions
from mergekit.plan import MergePlanner

from bedside_core.errors import InputError
from bedside_core.log import where
from bedside_core.memory import is_out_of_memory


class Merged(NamedTuple):
    """A tensor of the result."""

    name: str
    tensor: torch.Tensor
    """In float32; empty as soon as the next one is asked for."""


def merged_tensors(document: Mapping[str, Any], seed: int) -> Iterator[Merged]:
    """Every tensor of a merge.

    Args:
        document: by `merge.document`; its `out_dtype` is not applied.
        seed: of methods that draw at random.

    Raises:
        InputError: mergekit cannot merge these models.
    """
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for task, tensor in _planned(document).run(quiet=True):
                yield Merged(task.output_weight.name, tensor)
                # The executor and whoever iterates hold it while the next one is computed.
                tensor.set_()
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


def _planned(document: Mapping[str, Any]) -> Executor:
    config = MergeConfiguration.model_validate({**document, "out_dtype": "float32"})
    options = MergeOptions(quiet=True, trust_remote_code=False)
    LoaderCache().setup(options=options)
    architecture = get_architecture_info(config, options)
    shape = (config.base_model or config.models[0].model).config(trust_remote_code=False)
    # `plan_in_memory` is made for this and fails in 0.1.5 (pydantic refuses its tasks): of the plan
    # for files, what would be saved is taken, and not the saving.
    tasks = MergePlanner(config, architecture, options, out_model_config=shape).plan_to_disk("")
    return Executor([task.tensor_task for task in tasks if isinstance(task, SaveTensor)])
