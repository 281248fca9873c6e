"""The uniform mean of several milestones' weights.

Averaging late checkpoints of one trajectory lowers the noise of the last steps (Izmailov et al.
2018, "Averaging weights leads to wider optima and better generalization", there with a constant
rate; OLMo 2 averages the ends of several decays).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch


@torch.no_grad()
def average(model: torch.nn.Module, steps: Sequence[int], load: Callable[[int], None]) -> None:
    """Put the mean of the milestones at `steps` into the model, one of them at a time.

    It needs room for the model twice. Tied weights are averaged once.

    Args:
        model: of plain or distributed tensors.
        steps: of the milestones, at least one.
        load: puts the milestone of a step into the model.
    """
    means: dict[str, torch.Tensor] = {}
    for number, step in enumerate(steps, start=1):
        load(step)
        for name, weight in model.named_parameters():
            if number == 1:
                means[name] = weight.detach().float().clone()
            else:
                # Welford's running mean: no sum that grows, so no bits are lost to it.
                means[name] += (weight.detach() - means[name]) / number
    for name, weight in model.named_parameters():
        weight.copy_(means[name])
