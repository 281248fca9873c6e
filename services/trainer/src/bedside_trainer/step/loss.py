"""The loss in chunks: the logits of a whole batch are never in memory.

A vocabulary of 152,064 makes 600 kB of logits per token in float32, and as much for the gradient.
So a chunk's logits are made, their gradient is taken at once, and they are dropped (the idea of
Liger Kernel's fused linear cross-entropy, Hsu et al. 2024): no matrix product is done twice.

What turns hidden states into logits is the model's own code, whatever it does to them (Gemma 2
caps them, Cohere and Granite scale them).

Tested in tests/trainer/step/test_attention.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast

from bedside_models.likelihood import IGNORED
from bedside_trainer.step.batch import Batch


def summed_nll(model: PreTrainedModel, batch: Batch, chunk: int) -> Tensor:
    """Negative log-likelihood, summed over the targets of a batch, in nats and float32.

    Args:
        model: a Hugging Face causal language model.
        batch: what it sees.
        chunk: tokens whose logits are in memory at once.
    """
    hidden = hidden_states(model, batch)
    head = head_of(model)
    weights = [weight for weight in head.parameters() if weight.requires_grad]
    if not torch.is_grad_enabled():
        parts = _parts(hidden, batch.targets, chunk)
        return torch.stack([_nll(head, *part) for part in parts]).sum()
    total: Tensor = _Summed.apply(head, chunk, batch.targets, hidden, *weights)  # type: ignore[no-untyped-call]
    return total


def hidden_states(model: PreTrainedModel, batch: Batch) -> Tensor:
    """What the decoder says of every position, shape (1, tokens, hidden)."""
    decoder = getattr(model, model.base_model_prefix)
    states: Tensor = decoder(**batch.inputs).last_hidden_state
    return states


class _Passed(nn.Module):
    """Stands where the decoder stood, and hands on what it gets."""

    def forward(self, inputs_embeds: Tensor, **_: Any) -> BaseModelOutputWithPast:
        return BaseModelOutputWithPast(last_hidden_state=inputs_embeds)  # type: ignore[arg-type]


def head_of(model: PreTrainedModel) -> PreTrainedModel:
    """The model without its decoder: it takes hidden states as `inputs_embeds`."""
    # Not copy.copy: a sharded model makes its class's objects in a way of its own.
    head = object.__new__(type(model))
    without = {**model._modules, model.base_model_prefix: _Passed()}
    head.__dict__ = {**model.__dict__, "_modules": without}
    return head


def _parts(hidden: Tensor, targets: Tensor, chunk: int) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(torch.split(hidden, chunk, dim=1), torch.split(targets, chunk), strict=True)


def _nll(head: PreTrainedModel, hidden: Tensor, targets: Tensor) -> Tensor:
    # Not called but forwarded: what shards a model hooks into its calls.
    logits = head.forward(inputs_embeds=hidden, use_cache=False).logits[0]
    return F.cross_entropy(logits.float(), targets, ignore_index=IGNORED, reduction="sum")


class _Summed(torch.autograd.Function):
    """Sum and gradient in one pass over the chunks."""

    @staticmethod
    def forward(
        ctx: Any,
        head: PreTrainedModel,
        chunk: int,
        targets: Tensor,
        hidden: Tensor,
        *weights: Tensor,
    ) -> Tensor:
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        sums: list[Tensor] = []
        gradients = []
        for states, wanted in _parts(hidden, targets, chunk):
            with torch.enable_grad():
                leaf = states.detach().requires_grad_()
                nll = _nll(head, leaf, wanted)
            of_states, *of_weights = torch.autograd.grad(nll, (leaf, *weights))
            total += nll.detach()
            gradients.append(of_states)
            # In float32, as many small gradients are added up.
            sums = [
                before.add_(gradient) for before, gradient in zip(sums, of_weights, strict=False)
            ] or [gradient.float() for gradient in of_weights]
        ctx.save_for_backward(torch.cat(gradients, dim=1), *sums)
        ctx.dtypes = [weight.dtype for weight in weights]
        return total

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        of_states, *sums = ctx.saved_tensors
        of_weights = (s.mul_(scale).to(d) for s, d in zip(sums, ctx.dtypes, strict=True))
        return None, None, None, of_states * scale, *of_weights
