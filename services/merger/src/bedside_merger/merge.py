"""What is merged and how: a method, its parameters and its models, in mergekit's words.

A model is named, not found: `base`, `checkpoint`, a milestone of the checkpoint's training as
`checkpoint/milestones/step-1440`, or all of them as `checkpoint/milestones/*`. The same merge is a
document for mergekit with the directories of this machine, and one with the names, which goes into
the artifact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from bedside_core.config import Config
from bedside_core.errors import InputError
from bedside_core.kinds.milestones import folder_of, milestones
from bedside_core.messages import did_you_mean
from bedside_merger.methods import METHODS, MethodName

BASE, CHECKPOINT = "base", "checkpoint"
EVERY_MILESTONE = f"{CHECKPOINT}/milestones/*"
SHARES = ("density", "t")
"""Parameters that are shares in every method that has them."""

_NUMBER = {"type": ["number", "boolean"]}
_NUMBERS = {"type": "array", "items": _NUMBER, "minItems": 1}
_SCHEMA = {
    "anyOf": [
        _NUMBER,
        _NUMBERS,
        {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "filter": {"type": "string"},
                    "value": {"anyOf": [_NUMBER, _NUMBERS]},
                },
                "required": ["value"],
                "additionalProperties": False,
            },
        },
    ]
}


def _setting(value: Any) -> Any:
    if not (_is_value(value) or (_is_list(value) and all(map(_is_condition, value)))):
        raise ValueError(
            "must be a number, a list of numbers from the first layer to the last, or a list of "
            "{filter: part of a tensor's name, value: one of these}"
        )
    return value


def _is_value(value: Any) -> bool:
    return isinstance(value, int | float) or (
        _is_list(value) and all(isinstance(item, int | float) for item in value)
    )


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0


def _is_condition(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and "value" in value
        and value.keys() <= {"filter", "value"}
        and isinstance(value.get("filter", ""), str)
        and _is_value(value["value"])
    )


Settings = dict[str, Annotated[Any, AfterValidator(_setting), WithJsonSchema(_SCHEMA)]]
"""Values by parameter. Numbers in a list stand at equal distances over the layers and are
interpolated linearly; of filters, the first that is a part of the tensor's name counts."""
ModelName = Annotated[str, Field(pattern=r"^(base|checkpoint(/milestones/(\*|step-[0-9]+))?)$")]


class Source(Config):
    """A model of a merge."""

    model: ModelName
    """`base`, `checkpoint`, `checkpoint/milestones/step-1440` or, for all, `.../milestones/*`."""
    parameters: Settings = Field(default_factory=dict)
    """Of this model alone; they come before those of the merge."""


class Merge(Config):
    """A method, its parameters and its models."""

    method: MethodName
    parameters: Settings = Field(default_factory=dict)
    models: tuple[Source, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        check(self.method, self.parameters, self.models)
        return self


class Model(NamedTuple):
    """A model that is there."""

    name: str
    path: Path
    parameters: Settings


class Models(NamedTuple):
    """The models of a merge."""

    inputs: tuple[Model, ...]
    """In order, the origin first where there is one."""
    origin: Model | None
    """From which the method looks at the others."""


def check(method: MethodName, parameters: Settings, models: Sequence[Source]) -> None:
    """Refuse what mergekit would ignore (an unknown parameter) or find out late.

    Raises:
        ValueError: names the parameter, or says how many models the method takes.
    """
    known = METHODS[method]
    for allowed, given in (
        (known.whole + known.each, parameters),
        *((known.each, source.parameters) for source in models),
    ):
        for name, value in given.items():
            if name not in allowed:
                raise ValueError(
                    f"{name} is no parameter of {method} here - {did_you_mean(name, allowed)}"
                )
            if name in SHARES and not all(0 <= number <= 1 for number in _numbers(value)):
                raise ValueError(f"{name} must be from 0 to 1")
    others = [source for source in models if source.model != BASE or known.base != "required"]
    for name in known.needed:
        lacks = name not in parameters and (
            name not in known.each or any(name not in source.parameters for source in others)
        )
        if lacks or (name not in parameters and not others):
            raise ValueError(f"{method} needs a value of {name}")
    if known.most is not None and len(others) > known.most:
        raise ValueError(f"{method} takes at most {known.most} model(s), {len(others)} are named")


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, Mapping):
        yield from _numbers(value["value"])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item)
    else:
        yield value


def models_of(merge: Merge, base: Path, checkpoint: Path) -> Models:
    """The models of a merge.

    Args:
        merge: what is merged and how.
        base: its directory.
        checkpoint: the artifact's directory.

    Raises:
        InputError: a milestone is not there, or the method takes another number of models.
    """
    known = METHODS[merge.method]
    found = [
        Model(name, path, source.parameters)
        for source in merge.models or _default(known.base)
        for name, path in _found(source.model, base, checkpoint)
    ]
    names = [model.name for model in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"merger.models names {min(twice)} twice - name each model once")
    origin = None
    if known.base == "required" or (known.base == "optional" and BASE not in names):
        origin = next((m for m in found if m.name == BASE), Model(BASE, base, {}))
        found = [m for m in found if m.name != BASE]
    if len(found) < known.fewest or len(found) > (known.most or len(found)):
        most = "" if known.most is None else f" and at most {known.most}"
        raise InputError(
            f"{merge.method} takes at least {known.fewest}{most} model(s)"
            f"{' beside the base' if origin else ''}, merger.models gives {len(found)} - name "
            "others, or publish milestones (trainer.milestones.publish)"
        )
    return Models(((origin,) if origin else ()) + tuple(found), origin)


def document(
    merge: Merge, models: Models, dtype: str, reference: Callable[[Model], object]
) -> dict[str, Any]:
    """The merge as mergekit's configuration, computed in float32.

    Args:
        merge: what is merged and how.
        models: by `models_of`.
        dtype: of the result.
        reference: how a model is written.
    """
    return {
        "merge_method": merge.method,
        **({"base_model": reference(models.origin)} if models.origin else {}),
        "models": [
            {"model": reference(model)}
            | ({"parameters": model.parameters} if model.parameters else {})
            for model in models.inputs
        ],
        **({"parameters": merge.parameters} if merge.parameters else {}),
        "dtype": "float32",
        "out_dtype": dtype,
    }


def by_path(model: Model) -> object:
    """An object, because in a string mergekit would read '@' and '+' of a path as its own signs."""
    return {"model": {"path": str(model.path)}}


def by_name(model: Model) -> object:
    """As the run config has it."""
    return model.name


def _default(base: str) -> tuple[Source, ...]:
    names = (CHECKPOINT,) if base == "required" else (BASE, CHECKPOINT)
    return tuple(Source(model=name) for name in names)


def _found(name: str, base: Path, checkpoint: Path) -> list[tuple[str, Path]]:
    if name in (BASE, CHECKPOINT):
        return [(name, base if name == BASE else checkpoint)]
    every = {
        f"{CHECKPOINT}/{folder_of(step)}": path for step, path in milestones(checkpoint).items()
    }
    found = [(one, path) for one, path in every.items() if name in (one, EVERY_MILESTONE)]
    if not found:
        there = ", ".join(every) or "none"
        raise InputError(
            f"merger.models: {name} is not in the checkpoint artifact {checkpoint.name[:12]} "
            f"(milestones: {there}) - set trainer.milestones.publish and train, or name one that "
            "is there"
        )
    return found
