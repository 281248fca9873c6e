"""How much memory a step takes: the step itself, done on tensors without storage.

The model's own code goes forward and backward under torch's `FakeTensorMode`, which knows shapes
and types and computes nothing; every storage that an operation makes is counted until it is freed.
So the bytes of a token and a layer are those of the installed transformers and torch, for any
architecture, type, length and kind of checkpointing, and no constant can grow old.

Not counted, so that this is a lower bound: what a kernel uses inside, what an allocator cannot use
again, CUDA's context, and the program itself. What a GPU does is taken from the processor's
operations in bfloat16, but for attention, which is the GPU's own.

Tested in tests/trainer/plan/test_simulate.py.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AttentionInterface, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from bedside_trainer.lora import Adapters, Lora
from bedside_trainer.parallel.mesh import decoder_layers
from bedside_trainer.step.attention import NAME, attend, attention
from bedside_trainer.step.batch import Batch
from bedside_trainer.step.checkpointing import checkpoint_activations
from bedside_trainer.step.loss import summed_nll
from bedside_trainer.step.moments import SmallAdamW
from bedside_trainer.step.precision import Compute
from bedside_trainer.step.settings import Moments, Step

KERNELS = "bedside_pieces_on_gpu"
"""Under which transformers knows attention by a GPU's kernels, where there is none."""
FLOAT32 = 4
STORED: dict[Moments, int] = {"float32": 8, "bfloat16": 4, "int8": 2}
"""Bytes of AdamW's two moments of a parameter."""
FEW = 4
"""Layers that are simulated where all are alike."""
GATHERED = 2
"""Layers whose whole weights a process holds at once under `fully_shard`: the one that computes,
and the next, which is on its way."""
CPU = torch.device("cpu")

AttentionInterface.register(KERNELS, partial(attend, on_gpu=True))


class Work(NamedTuple):
    """What the memory of a process follows from."""

    tokens: int
    """That go through the model at once."""
    accumulated: bool
    """Whether a step has several micro-batches, so that gradients are there before the last."""
    dtype: torch.dtype
    """Of matrix products."""
    gpu: bool
    settings: Step
    lora: Lora | None = None
    shards: int | None = None
    """Processes among which weights, gradients and moments are divided; None if there is one
    process, which divides nothing."""


class Memory(NamedTuple):
    """Bytes that live at once in one process, at the fullest moment of a step."""

    weights: int
    gradients: int
    moments: int
    working: int
    """The most that activations, logits, casts and gathered weights take beside those."""

    @property
    def total(self) -> int:
        return sum(self)


class _Seen(NamedTuple):
    """What a simulated micro-batch held. Every number is linear in the number of like layers."""

    weights: int
    """Bytes of all of them, as they are stored."""
    trained: int
    """Parameters that have a gradient."""
    peak: int
    """Most bytes beside the weights, gradients included."""
    late: int
    """The same of the end, when but one layer has all its gradients."""
    gathered: int
    updating: int


def memory_of(config: PretrainedConfig, work: Work) -> Memory:
    """Do a micro-batch of a model with this config, and see what it holds.

    Under sharding a process has its part of everything, and whole are only the layers at work. Of
    a model whose layers are all alike only a few are simulated.
    """
    layers = int(config.get_text_config(decoder=True).num_hidden_layers)
    if layers <= FEW or not _are_alike(config):
        seen = _simulated(config, work)
    else:
        less, more = (_simulated(with_layers(config, n), work) for n in (FEW - 1, FEW))
        pairs = zip(less, more, strict=True)
        seen = _Seen(*(b + (b - a) * (layers - FEW) for a, b in pairs))
    shards = work.shards or 1
    gradients = seen.trained * FLOAT32
    peak = max(seen.peak, seen.late)
    working = peak + seen.gathered if work.shards else max(0, peak - gradients)
    return Memory(
        weights=seen.weights // shards,
        gradients=gradients // shards,
        moments=seen.trained * STORED[work.settings.moments] // shards,
        working=max(working, seen.updating),
    )


def _are_alike(config: PretrainedConfig) -> bool:
    text = config.get_text_config(decoder=True)
    if len(set(getattr(text, "layer_types", None) or ())) > 1:
        return False
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    layers = [[p.shape for p in layer.parameters()] for layer in decoder_layers(model)]
    return all(layer == layers[0] for layer in layers)


def with_layers(config: PretrainedConfig, layers: int) -> PretrainedConfig:
    """The same model with the first so many of its layers."""
    changed = copy.deepcopy(config)
    text = changed.get_text_config(decoder=True)
    text.num_hidden_layers = layers
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[:layers]
    return changed


def _simulated(config: PretrainedConfig, work: Work) -> _Seen:
    with torch.device("meta"):
        model = build(config, work)
    with FakeTensorMode():
        _give_storages(model)
        trained = [p for p in model.parameters() if p.requires_grad]
        # Sharded weights are stored in float32, and cast as they are gathered.
        sizes = [p.numel() * (FLOAT32 if work.shards else p.itemsize) for p in model.parameters()]
        peak, late = _peaks(model, trained, work)
        return _Seen(
            weights=sum(sizes),
            trained=sum(p.numel() for p in trained),
            peak=peak,
            late=late,
            gathered=_gathered(model, work.dtype),
            updating=_updating(trained, work),
        )


def build(config: PretrainedConfig, work: Work) -> PreTrainedModel:
    """A model of this config as it is trained, wherever the current mode or device puts it."""
    narrow = work.lora is not None or work.shards is not None
    dtype = work.dtype if narrow else torch.float32
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)  # type: ignore[no-untyped-call]
    assert isinstance(model, PreTrainedModel)  # noqa: S101 - what from_config returns
    if work.lora is not None:
        Adapters(model, work.lora, 0)
    model.train()
    checkpoint_activations(model, work.settings.activation_checkpointing)
    return model


def micro_batch(model: PreTrainedModel, work: Work, batch: Batch) -> None:
    """Forward and backward, as in a training step."""
    compute = Compute(work.dtype, sharded=work.shards is not None)
    with attention(model, KERNELS if work.gpu else NAME):
        with compute.autocast(CPU):
            total = summed_nll(model, batch, work.settings.loss_chunk_tokens)
        total.backward()  # type: ignore[no-untyped-call]


def _give_storages(model: PreTrainedModel) -> None:
    """Let a model of torch's meta device claim to be on the processor; what is tied stays tied."""
    new: dict[int, Any] = {}
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is None:
                    continue
                if id(tensor) not in new:
                    empty = torch.empty(tensor.shape, dtype=tensor.dtype)
                    if isinstance(tensor, torch.nn.Parameter):
                        empty = torch.nn.Parameter(empty, tensor.requires_grad)
                    new[id(tensor)] = empty
                tensors[name] = new[id(tensor)]


def _peaks(
    model: PreTrainedModel, trained: list[torch.nn.Parameter], work: Work
) -> tuple[int, int]:
    """Most bytes beside weights, of all and of the end."""
    batch = _row(work)
    inputs = [batch.input_ids, batch.position_ids, batch.targets]
    storages = Storages([*model.parameters(), *model.buffers(), *inputs])
    for layer in list(decoder_layers(model))[1:2]:
        for parameter in layer.parameters():
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(storages.mark)  # type: ignore[no-untyped-call]
    if work.shards:
        # A layer's gradients are summed over the processes, and gone, when it is done.
        for parameter in trained:
            parameter.register_post_accumulate_grad_hook(_drop)  # type: ignore[no-untyped-call]
    with storages:
        if work.accumulated and not work.shards:
            for parameter in trained:
                parameter.grad = torch.zeros_like(parameter)
        micro_batch(model, work, batch)
    return storages.peak, storages.late


def _gathered(model: PreTrainedModel, dtype: torch.dtype) -> int:
    """Bytes of whole weights and their gradients under `fully_shard`."""
    layers = [sum(p.numel() for p in layer.parameters()) for layer in decoder_layers(model)]
    layer = max(layers, default=0)
    rest = sum(p.numel() for p in model.parameters()) - sum(layers)
    # What is outside the layers stays whole from the forward pass to the end of the backward pass.
    # A gradient is cast to float32 to be summed.
    whole = (GATHERED * layer + rest) * dtype.itemsize
    return whole + max(layer, rest) * (dtype.itemsize + FLOAT32)


def _updating(trained: list[torch.nn.Parameter], work: Work) -> int:
    """The most bytes that an update takes beside them: torch's fused AdamW takes none."""
    if work.settings.moments == "float32":
        return 0
    largest = max(trained, key=torch.numel)
    rows = -(-largest.shape[0] // (work.shards or 1))
    weight = torch.empty(rows, *largest.shape[1:])
    optimizer = SmallAdamW([weight], lr=1.0, betas=(0.9, 0.95), moments=work.settings.moments)
    gradient = torch.empty_like(weight)
    state = optimizer.empty(weight)
    with Storages([weight, gradient, *state.values()]) as storages:
        optimizer.update(weight, gradient, state, count=1, group=optimizer.param_groups[0])
    return int(storages.peak)


def _row(work: Work) -> Batch:
    """A row that is one document."""
    tokens = work.tokens
    edges: Any = torch.zeros(2, dtype=torch.int32)
    edges.tolist = lambda: [0, tokens]  # known, though nothing is computed
    return Batch(
        input_ids=torch.zeros(1, tokens, dtype=torch.long),
        position_ids=torch.zeros(1, tokens, dtype=torch.long),
        targets=torch.zeros(tokens, dtype=torch.long),
        boundaries=edges,
        longest=tokens,
    )


class Storages(TorchDispatchMode):
    """Counts the bytes of living storages that operations in this block made."""

    def __init__(self, known: Iterable[Tensor]) -> None:
        """Begin at nothing; those of `known` tensors are not counted."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = self.late = 0
        self._known = list(known)  # so that no other storage takes the place of one
        self._living = {id(tensor.untyped_storage()) for tensor in self._known}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._see(tensor.untyped_storage())
        return out

    def mark(self, _: object) -> None:
        """Let `late` begin anew."""
        self.late = self.now

    def _see(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self._living:
            return
        self._living.add(key)
        self.now += size
        self.peak, self.late = max(self.peak, self.now), max(self.late, self.now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._living.discard(key)
        self.now -= size


def _drop(parameter: Tensor) -> None:
    parameter.grad = None
