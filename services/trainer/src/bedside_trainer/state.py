"""Resumable state: what a killed training goes on from, as safetensors and JSON, never pickle.

    WORK/step-<step>-<hash of record.json>/
      model.safetensors       float32 master weights
      optimizer.safetensors   AdamW's step and moments, named `<parameter index>.<key>`
      record.json             everything else, with the hashes of the two files above

A state is written aside and renamed, and the previous one is removed only then, so one whole state
is on disk at any moment. Order of rows, learning rate and dropout are functions of config and step
(`loop.py`), so there is no generator or scheduler to save.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import load_file, load_model, save_file, save_model

from bedside_core.console import say
from bedside_core.files import sha256_file, sync, write_synced
from bedside_models.scores import Scores

MODEL = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
RECORD = "record.json"


class Point(BaseModel):
    """One optimizer step of the loss curve."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: int
    """From 1."""
    loss: float
    """Mean negative log-likelihood per predicted token, in nats, before the step."""
    learning_rate: float
    grad_norm: float
    """L2 norm before clipping."""
    tokens: int
    """Tokens seen up to and with this step."""


class StateRecord(BaseModel):
    """What a state holds besides tensors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: int
    """Finished optimizer steps."""
    seconds: float
    """Time spent in them."""
    curve: tuple[Point, ...]
    before: Scores
    """The base model on the held-out texts."""
    files: dict[str, str] = {}
    """SHA-256 of the tensor files; filled when the state is written."""


def save_state(
    work: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, record: StateRecord
) -> None:
    """Write a state, then remove older ones; if writing fails, the previous one is still there."""
    aside = work / "writing"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    moments = {
        f"{index}.{key}": value
        for index, values in optimizer.state_dict()["state"].items()
        for key, value in values.items()
    }
    save_model(model, str(aside / MODEL))
    save_file(moments, aside / OPTIMIZER)
    files = {name: sha256_file(aside / name) for name in (MODEL, OPTIMIZER)}
    raw = json.dumps(record.model_copy(update={"files": files}).model_dump()).encode()
    write_synced(aside / RECORD, raw)
    for path in (aside / MODEL, aside / OPTIMIZER, aside):
        sync(path)
    target = work / _name(record.step, raw)
    shutil.rmtree(target, ignore_errors=True)
    aside.rename(target)
    sync(work)
    for older in _states(work):
        if older != target:
            shutil.rmtree(older)


def find_state(work: Path) -> tuple[Path, StateRecord] | None:
    """The newest whole state; damaged ones are removed, with a line that says so."""
    for path in _states(work):
        try:
            record = _read(path)
        except (OSError, ValueError) as error:
            say(f"state {path.name} is damaged ({type(error).__name__}), not used")
            shutil.rmtree(path)
        else:
            return path, record
    return None


def load_tensors(
    path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, device: torch.device
) -> None:
    """Put a state's weights and moments into a model and an optimizer that were just made."""
    load_model(model, path / MODEL, device=str(device))
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in load_file(path / OPTIMIZER).items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _states(work: Path) -> list[Path]:
    """Newest first."""
    return sorted(work.glob("step-*"), reverse=True)


def _name(step: int, raw: bytes) -> str:
    return f"step-{step:012d}-{hashlib.sha256(raw).hexdigest()[:16]}"


def _read(path: Path) -> StateRecord:
    raw = (path / RECORD).read_bytes()
    try:
        record = StateRecord.model_validate(json.loads(raw))
    except ValidationError:
        raise ValueError("unknown schema") from None
    if _name(record.step, raw) != path.name:
        raise ValueError("changed after it was written")
    for name, digest in record.files.items():
        if sha256_file(path / name) != digest:
            raise ValueError(f"{name} was changed after it was written")
    return record
