"""Attention within pieces: what a packed row holds from several documents never sees each other.

transformers isolates pieces only if it finds out by itself that positions restart, and stops doing
so without a word where a mask or a cache is given. Here the boundaries are an argument of every
call, and a call without them is refused; `proof` shows on the model at hand that they are kept.

On a GPU torch's variable-length kernels do the work (`torch.nn.attention.varlen`, flash attention);
elsewhere, and for what those cannot (float32, dropout, capped scores, heads wider than 256), a
loop over the pieces does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, PreTrainedModel

from bedside_core.errors import InputError

NAME = "bedside_pieces"
"""Under which transformers knows `attend`."""
BLOCK = 512
"""Queries at once where a mask is needed; bounds its memory."""
WIDEST_HEAD = 256
"""Of the kernels."""


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    on_gpu: bool | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention of each piece to itself, as transformers calls it.

    Args:
        module: the layer; not used.
        query: shape (1, heads, tokens, width).
        key: shape (1, key heads, tokens, width).
        value: shape (1, key heads, tokens, width).
        attention_mask: none; the boundaries say it all.
        scaling: of the scores; by default 1 / sqrt(width).
        dropout: probability.
        sliding_window: how many tokens a token sees, itself included.
        softcap: scores stay between -softcap and softcap (Gemma 2, section 2).
        cu_seq_lens_q: where pieces begin and the last one ends, int32, shape (pieces + 1,).
        max_length_q: tokens of the longest piece.
        on_gpu: whether it is a GPU's; by default whether `query` is there.

    Returns:
        Shape (1, tokens, heads, width), and no weights.

    Raises:
        InputError: the model's code did not hand the boundaries on.
    """
    if cu_seq_lens_q is None or max_length_q is None or attention_mask is not None:
        raise InputError(
            "this model's code does not hand the boundaries of documents to its attention - "
            "choose another base"
        )
    kind = query.device.type
    if torch.is_autocast_enabled(kind):
        # Rotations leave queries and keys in float32, for which there are no kernels.
        dtype = torch.get_autocast_dtype(kind)
        query, key, value = (states.to(dtype) for states in (query, key, value))
    if _has_kernel(query, dropout, softcap, query.is_cuda if on_gpu is None else on_gpu):
        window = (-1, 0) if sliding_window is None else (sliding_window - 1, 0)
        flat = varlen_attn(
            query[0].transpose(0, 1),
            key[0].transpose(0, 1),
            value[0].transpose(0, 1),
            cu_seq_lens_q,
            cu_seq_lens_q,
            max_length_q,
            max_length_q,
            scale=scaling,
            window_size=window,
            enable_gqa=key.shape[1] != query.shape[1],
        )
        assert isinstance(flat, Tensor)  # noqa: S101 - no auxiliary output was asked for
        return flat[None], None
    pieces = [
        _attend_to_piece(
            query[:, :, start:stop], key[:, :, start:stop], value[:, :, start:stop],
            scaling=scaling, dropout=dropout, window=sliding_window, softcap=softcap,
        )
        for start, stop in pairwise(cu_seq_lens_q.tolist())
    ]  # fmt: skip
    return torch.cat(pieces, dim=2).transpose(1, 2).contiguous(), None


def _has_kernel(query: Tensor, dropout: float, softcap: float | None, on_gpu: bool) -> bool:
    return (
        on_gpu
        and query.dtype in (torch.bfloat16, torch.float16)
        and query.shape[-1] <= WIDEST_HEAD
        and dropout == 0
        and softcap is None
    )


def _attend_to_piece(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scaling: float | None,
    dropout: float,
    window: int | None,
    softcap: float | None,
) -> Tensor:
    length = query.shape[2]
    grouped = key.shape[1] != query.shape[1]
    if softcap is None and (window is None or length <= window):
        return F.scaled_dot_product_attention(
            query, key, value, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=grouped
        )
    blocks = []
    for start in range(0, length, BLOCK):
        stop = min(start + BLOCK, length)
        first = 0 if window is None else max(0, start - window + 1)
        at = torch.arange(start, stop, device=query.device)[:, None]
        seen = torch.arange(first, stop, device=query.device)[None]
        mask = seen <= at if window is None else (seen <= at) & (seen > at - window)
        states = query[:, :, start:stop], key[:, :, first:stop], value[:, :, first:stop]
        if softcap is None:
            block = F.scaled_dot_product_attention(
                *states, attn_mask=mask, dropout_p=dropout, scale=scaling, enable_gqa=grouped
            )
        else:
            block = _capped(*states, mask, scaling=scaling, dropout=dropout, softcap=softcap)
        blocks.append(block)
    return torch.cat(blocks, dim=2)


def _capped(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    *,
    scaling: float | None,
    dropout: float,
    softcap: float,
) -> Tensor:
    group = query.shape[1] // key.shape[1]
    key, value = (states.repeat_interleave(group, dim=1) for states in (key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = softcap * torch.tanh(query @ key.transpose(2, 3) * scale / softcap)
    weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1, dtype=torch.float32)
    return F.dropout(weights.to(query.dtype), dropout) @ value


AttentionInterface.register(NAME, attend)


@contextmanager
def attention(model: PreTrainedModel, name: str) -> Iterator[None]:
    """Let the model attend in another way inside the block: `NAME`, or its own (`eager`)."""
    before = model.config._attn_implementation
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
