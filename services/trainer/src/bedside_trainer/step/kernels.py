"""Faster kernels as options: torch.compile, and those of Liger Kernel.

Both are off until a measurement on a GPU stands in bench/results/.
"""

from __future__ import annotations

import importlib.util
import os
import shutil

import torch
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from bedside_core.errors import ConfigError
from bedside_trainer.step.settings import Step


def check_kernels(settings: Step, device: torch.device) -> None:
    """Refuse options that this machine cannot serve, before anything is read.

    Raises:
        ConfigError: names the option, and what it needs.
    """
    compilers = (os.environ.get("CC"), "cc", "gcc", "clang")
    if settings.compile and not any(shutil.which(name) for name in compilers if name):
        raise ConfigError(
            "trainer.step.compile needs a C compiler, and there is none - install gcc (the image "
            "for GPUs has it), or set it to false"
        )
    if settings.liger and device.type != "cuda":
        raise ConfigError("trainer.step.liger needs a GPU - set it to false")
    if settings.liger and importlib.util.find_spec("liger_kernel") is None:
        raise ConfigError(
            "trainer.step.liger needs the package liger-kernel, which is not installed - install "
            "it beside the trainer, or set it to false"
        )


def use_kernels(model: PreTrainedModel, settings: Step) -> None:
    """Put the options to work; the loss and the attention stay ours."""
    if settings.liger:
        from liger_kernel.transformers import _apply_liger_kernel_to_instance  # type: ignore[import-not-found]

        _apply_liger_kernel_to_instance(
            model=model, fused_linear_cross_entropy=False, cross_entropy=False
        )
    if settings.compile:
        for layer in model.modules():
            if isinstance(layer, GradientCheckpointingLayer):
                layer.compile()
