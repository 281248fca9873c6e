"""AdamW whose moments take less memory: bfloat16 (4 bytes of a parameter) or int8 (2, not 8).

Weights and arithmetic stay float32. What is stored is rounded stochastically, so that changes
smaller than a step of the stored type add up all the same (Gupta et al. 2015). int8 is linear, with
one scale for each `BLOCK` numbers of a row, as in Dettmers et al. 2022, but for two things: the
second moment is stored as its root, and rounded up, so that none becomes zero and makes a step
without bound; and blocks end with rows, so that a state can be split by rows among any processes.

torch has no such AdamW, and torchao 0.18 none with bfloat16 moments over float32 weights; its 8-bit
one needs a compiler, and keeps tensors of classes that safetensors cannot store.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

BLOCK = 256
"""Numbers that share a scale."""
PIECE = 1 << 24
"""Numbers that are worked on at once, in float32."""
EPS = 1e-8


class SmallAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter 2019) with moments in bfloat16 or int8; vectors keep float32.

    A matrix's state: `exp_avg` and `exp_avg_sq` of its shape, and for int8 `exp_avg_scale` and
    `exp_avg_sq_scale` of shape (rows, blocks). All are DTensors where the parameter is one.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        betas: tuple[float, float],
        moments: Literal["bfloat16", "int8"],
    ) -> None:
        self.dtype = getattr(torch, moments)
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step(parameter, parameter.grad, group)

    def _step(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state.update(step=torch.zeros(()), **self.empty(parameter))
        state["step"] += 1
        moments = {name: value for name, value in state.items() if name != "step"}
        self.update(parameter, gradient, moments, count=state["step"].item(), group=group)

    def update(
        self,
        parameter: Tensor,
        gradient: Tensor,
        moments: dict[str, Tensor],
        *,
        count: float,
        group: dict[str, Any],
    ) -> None:
        """Change a parameter and its moments in place; `count` is the number of this step."""
        beta1, beta2 = group["betas"]
        weights, gradients = _rows(parameter), _rows(gradient)
        local = {name: _rows(value) for name, value in moments.items()}
        size = max(1, PIECE // max(1, weights.shape[1]))
        for start in range(0, weights.shape[0], size):
            rows = slice(start, start + size)
            part = {name: value[rows] for name, value in local.items()}
            weight, change = weights[rows], gradients[rows].float()
            first = _read(part, "exp_avg").lerp_(change, 1 - beta1)
            second = _read(part, "exp_avg_sq").mul_(beta2)
            second.addcmul_(change, change, value=1 - beta2)
            weight.mul_(1 - group["lr"] * group["weight_decay"])
            root = (second / (1 - beta2**count)).sqrt_().add_(EPS)
            weight.addcdiv_(first, root, value=-group["lr"] / (1 - beta1**count))
            _store(part, "exp_avg", first)
            _store(part, "exp_avg_sq", second)

    def empty(self, parameter: Tensor) -> dict[str, Tensor]:
        """The moments of a parameter before its first step."""
        return self._empty(parameter, "exp_avg") | self._empty(parameter, "exp_avg_sq")

    def _empty(self, parameter: Tensor, name: str) -> dict[str, Tensor]:
        if parameter.dim() < 2:
            return {name: torch.zeros_like(parameter, dtype=torch.float32)}
        state = {name: torch.zeros_like(parameter, dtype=self.dtype)}
        if self.dtype == torch.int8:
            columns = math.prod(parameter.shape[1:])
            state[f"{name}_scale"] = _like(parameter, -(-columns // BLOCK))
        return state


def _like(parameter: Tensor, columns: int) -> Tensor:
    """Zeros of shape (rows, columns), split among processes as the parameter is."""
    if not isinstance(parameter, DTensor):
        return torch.zeros(parameter.shape[0], columns, device=parameter.device)
    return torch.distributed.tensor.zeros(
        parameter.shape[0], columns,
        device_mesh=parameter.device_mesh, placements=parameter.placements,
    )  # fmt: skip


def _rows(tensor: Tensor) -> Tensor:
    """This process's part as a matrix; a vector is one of a column."""
    local = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    return local.reshape(local.shape[0], -1) if local.numel() else local.reshape(0, 1)


def _read(state: dict[str, Tensor], name: str) -> Tensor:
    """The moment in float32, not the stored tensor itself unless it is float32."""
    value = state[name]
    if value.dtype != torch.int8:
        return value.float()
    read = _spread(state[f"{name}_scale"], value.shape[1]).mul_(value)
    return read.square_() if name == "exp_avg_sq" else read


def _store(state: dict[str, Tensor], name: str, value: Tensor) -> None:
    stored = state[name]
    if stored.dtype == torch.int8:
        _store_int8(stored, state[f"{name}_scale"], value, up=name == "exp_avg_sq")
    elif stored.dtype == torch.bfloat16:
        # The 16 bits that bfloat16 lacks, and a random number as large: their carry rounds.
        bits = value.view(torch.int32)
        bits += torch.randint_like(bits, 1 << 16)
        bits &= -(1 << 16)
        stored.copy_(bits.view(torch.float32))
    else:
        stored.copy_(value)


def _store_int8(stored: Tensor, scale: Tensor, value: Tensor, *, up: bool) -> None:
    if up:
        value = value.sqrt()
    rows, columns = value.shape
    padded = torch.nn.functional.pad(value, (0, scale.shape[1] * BLOCK - columns))
    scale.copy_(padded.view(rows, -1, BLOCK).abs().amax(dim=2) / 127)
    steps = value / _spread(scale, columns).clamp_(min=torch.finfo(torch.float32).tiny)
    rounded = steps.ceil() if up else (steps + torch.rand_like(steps)).floor()
    stored.copy_(rounded.clamp_(-127, 127))


def _spread(scale: Tensor, columns: int) -> Tensor:
    return scale.repeat_interleave(BLOCK, dim=1)[:, :columns]
