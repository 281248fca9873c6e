"""Stochastic rounding from float32 to bfloat16 (Gupta et al. 2015, section 3).

A number is rounded up or down to one of its two neighbours, with the probability that makes its
expectation the number itself. Rounding to the nearest loses every update that is smaller than half
the distance of two neighbours; this keeps each with the right probability, at the price of noise.
"""

from __future__ import annotations

import torch

CHUNK_ELEMENTS = 1 << 18
"""Bounds the scratch to what the processor's cache holds, whatever the size of a tensor."""
LOST_BITS = 16
"""Of the 32 bits of a float32; those that stay are a bfloat16."""


def round_stochastically(tensor: torch.Tensor, seed: int) -> torch.Tensor:
    """Round; the same seed gives the same bits.

    Args:
        tensor: finite, float32, of any shape.
        seed: below 2^63.
    """
    generator = torch.Generator().manual_seed(seed)
    result = torch.empty(tensor.shape, dtype=torch.bfloat16)
    flat, rounded = tensor.flatten(), result.view(-1)
    for start in range(0, flat.numel(), CHUNK_ELEMENTS):
        bits = flat[start : start + CHUNK_ELEMENTS].view(torch.int32)
        # Sign and magnitude: adding to the bits moves away from zero, cutting them off towards it.
        noise = torch.randint(1 << LOST_BITS, bits.shape, generator=generator, dtype=torch.int32)
        cut = (bits + noise) & -(1 << LOST_BITS)
        rounded[start : start + CHUNK_ELEMENTS] = cut.view(torch.float32)
    return result
