"""How much memory work with a model takes at least, and which setting fits; reads headers alone.

Lower bounds, so that nothing that would have fitted is refused: libraries, buffers and the memory
that an allocator cannot use come on top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from bedside_core import memory
from bedside_core.memory import WEIGHTS
from bedside_models.load import read_config
from bedside_models.scores import Dtype
from bedside_models.tensors import open_weights

BYTES: dict[Dtype, int] = {"float32": WEIGHTS, "bfloat16": 2, "float16": 2}
"""Of a parameter."""
LOGITS_SCORED = 8
"""Bytes per token and entry of the vocabulary: logits and their logarithms of probabilities."""


class Shape(NamedTuple):
    """What a model's need follows from."""

    parameters: int
    vocabulary: int
    hidden: int

    def scoring(self, tokens: int, dtype: Dtype = "float32") -> int:
        """Bytes of one forward pass on so many tokens."""
        return self.parameters * BYTES[dtype] + tokens * self.vocabulary * LOGITS_SCORED


def read_shape(path: Path) -> Shape:
    """The shape of a model directory.

    Raises:
        InputError: its config or its weights cannot be read.
    """
    config = read_config(path).get_text_config(decoder=True)
    vocabulary, hidden = (
        int(getattr(config, name, 0) or 0) for name in ("vocab_size", "hidden_size")
    )
    with open_weights(path) as weights:
        parameters = sum(torch.Size(weights.shape(name)).numel() for name in weights.names)
    return Shape(parameters, vocabulary, hidden)


def gpus() -> list[int]:
    """Free bytes of every visible GPU."""
    found = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return [int(torch.cuda.mem_get_info(number)[0]) for number in found]


def room(*, spread: bool = False) -> int | None:
    """Bytes that are free where a model is put: on a GPU, or on all (spread), else in memory."""
    free = gpus()
    if free:
        return sum(free) if spread else free[0]
    return memory.available_bytes()


class Demand(NamedTuple):
    """Work whose need two settings decide: how many sequences at once, and how long they are."""

    what: str
    """The work, as a sentence begins."""
    need: Callable[[int], int]
    """Bytes by the number of tokens at once."""
    batch: tuple[str, int]
    """Name and value of the setting."""
    length: tuple[str, int]
    """Name and value of the setting."""
    spread: bool = False
    """Whether the model may be put on several GPUs."""

    @property
    def amount(self) -> int:
        """Bytes, with the settings as they are."""
        return self.need(self.batch[1] * self.length[1])

    @contextmanager
    def granted(self) -> Iterator[None]:
        """Do the work in this block only if it can fit; name what fits if memory runs out.

        Raises:
            InputError: there is too little memory.
        """
        (_, sequences), (_, tokens) = self.batch, self.length
        what = f"{self.what} with {sequences} sequence(s) of {tokens} tokens at once"
        need, available = self.amount, room(spread=self.spread)
        advice = "" if available is None else self.fitting(available)
        memory.require(need, available, what=what, advice=advice)
        with memory.refusing(what, self.halved, need=need):
            yield

    def fitting(self, available: int) -> str:
        """Which setting fits: a smaller batch, else shorter sequences, else none."""
        (batch, sequences), (length, tokens) = self.batch, self.length
        if fewer := _most(lambda n: self.need(n * tokens) <= available, sequences):
            return f"set {batch} to {fewer} or less"
        if shorter := _most(lambda n: self.need(n) <= available, tokens):
            return f"set {batch} to 1 and {length} to {shorter} or less"
        alone = self.need(0)
        more = (
            f"{devices_needed(alone, max(gpus()))} such GPUs"
            if self.spread and gpus()
            else ("a machine with more memory")
        )
        return (
            f"no setting makes it fit, the model alone takes {memory.gib(alone)}: use {more} or a "
            "smaller model"
        )

    def halved(self) -> str:
        """What to try where memory ran out although the lower bound fitted."""
        name, value = self.batch if self.batch[1] > 1 else self.length
        return f"set {name} to {max(1, value // 2)}, or use a machine with more memory"


def devices_needed(need: int, each: int) -> int:
    """How many devices with `each` bytes hold a model: a tenth is spare, as no layer is split."""
    return -(-need * 10 // (each * 9))


def _most(fits: Callable[[int], bool], highest: int) -> int:
    """The largest number up to `highest` that fits; 0 if not even 1 does."""
    low, high = 0, highest
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
