"""What is served is what was examined: one record of all that makes a model's answers.

The evaluation writes the record of its candidate into the evidence (`served`), the engine makes it
again from what it is about to serve, with the same function, and compares (`differences`).

Covered: every file that vLLM reads from the model's directory, the type of its numbers, its window,
and vLLM's version. A directory that the evaluation and vLLM could read differently is refused: two
sets of weights (transformers takes `model.safetensors`, vLLM what an index names, or every file),
a file that is none of a model's, weights in a quantised form.
Not covered, because it does not change an answer's words, or a request asks for it by name: the
parser of tool calls, the rules of structured output, order, capacity and network settings. Not
covered, because the evaluation cannot know it: whether vLLM's CPU or GPU build computes, which
rounds differently.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bedside_core.artifacts import Artifact
from bedside_core.config import Config, sha256_of, validate
from bedside_core.errors import InputError
from bedside_core.kinds.milestones import is_of_milestone
from bedside_core.kinds.model import (
    CONFIG,
    GENERATION,
    INDEX,
    WEIGHTS,
    chat_template_sha256,
    is_licence,
    is_of_tokenizer,
    tensor_shapes,
)

ENGINE_VERSION = "0.32.0"
"""Of the vLLM that this release serves with, on CPUs and on GPUs."""
REPORTS = frozenset(
    {
        *("export.json", "heldout.json", "loss.jsonl", "loss.png"),
        *("milestones.json", "spikes.json"),
        *("packing.json", "packing.png"),
        *("lineage/pieces.npy", "lineage/record.json", "lineage/steps.npy"),
        *("metrics.jsonl", "tensorboard/events.out.tfevents.0.bedside"),
    }
)
"""What merger and trainer say of a model, beside it."""
SAMPLING = (
    *("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "max_new_tokens"),
    "eos_token_id",
)
"""What vLLM takes from a model's generation defaults (its `get_diff_sampling_param`, and where an
answer ends)."""
_QUANTISED = ("quantization_config", "compression_config")
SHOWN = 12

Dtype = Literal["float32", "float16", "bfloat16"]


class Serving(Config):
    """The settings of `inference.engine` that are a part of what is examined."""

    dtype: Literal["auto", Dtype] = "auto"
    """Weights and activations; `auto` takes the model's own. Part of what evidence is about."""
    max_model_len: Annotated[int, Field(ge=16)] = 4096
    """Longest prompt plus answer, in tokens. Part of what evidence is about."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Serving:
        """These settings of a run config, whoever reads the rest of the section.

        Raises:
            ConfigError: names the setting that is wrong.
        """
        section = document.get("inference")
        engine = section.get("engine") if isinstance(section, dict) else section
        if isinstance(engine, dict):
            engine = {name: engine[name] for name in cls.model_fields if name in engine}
        return validate(cls, {} if engine is None else engine, "inference.engine")


class ServedIdentity(BaseModel):
    """All that makes the answers of a model behind our engine."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    weights: str
    """SHA-256 (hex) of the canonical JSON of names and SHA-256s of the weight files."""
    files: dict[str, str]
    """SHA-256 (hex) of every other file that vLLM reads: config, tokenizer, generation defaults."""
    chat_template: str | None
    """SHA-256 (hex) of the template of a conversation, in whichever file it stands; None without
    one."""
    dtype: Dtype
    """Of weights and activations, never `auto`."""
    quantisation: None = None
    """No quantised model is served yet."""
    max_model_len: int
    """Longest prompt plus answer, in tokens."""
    engine: str
    """Program and version, such as `vllm 0.32.0`."""


def served_identity(
    model: Artifact, serving: Serving, *, engine_version: str = ENGINE_VERSION
) -> ServedIdentity:
    """What would be served of this model under these settings.

    Args:
        model: verified; its manifest's hashes are taken.
        serving: the settings of `inference.engine`.
        engine_version: of vLLM; a local part such as `+cu130` names a build, not a version.

    Raises:
        InputError: it could not be served, or not as the evaluation would read it.
    """
    hashes = {
        entry.path: entry.sha256
        for entry in model.manifest.files
        if not is_of_milestone(entry.path)
    }
    weights = _weight_files(model, hashes)
    others = {
        name: digest
        for name, digest in hashes.items()
        if name not in weights and name not in REPORTS and not is_licence(name)
    }
    unknown = [name for name in others if name != CONFIG and not is_of_tokenizer(name)]
    if unknown:
        raise _refusal(model, f"{unknown[0]} is no file of a model's that both sides read alike")
    config = _read(model, CONFIG)
    _refuse_quantised(model, config)
    context = model.manifest.facts.get("context_length")
    if isinstance(context, int) and serving.max_model_len > context:
        raise InputError(
            f"inference.engine.max_model_len {serving.max_model_len} is longer than the {context} "
            f"tokens that model {model.digest[:SHOWN]} sees - set it to {context} or less"
        )
    return ServedIdentity(
        weights=sha256_of({name: hashes[name] for name in weights}),
        files=others,
        chat_template=chat_template_sha256(model.path),
        dtype=_dtype(model, serving, config),
        max_model_len=serving.max_model_len,
        engine=f"vllm {engine_version.partition('+')[0]}",
    )


def differences(served: ServedIdentity, examined: ServedIdentity) -> list[str]:
    """What differs, each with both values; empty if what is served is what was examined."""
    named = {
        "weights": "the weights",
        "chat_template": "the chat template",
        "dtype": "inference.engine.dtype",
        "quantisation": "the quantisation",
        "max_model_len": "inference.engine.max_model_len",
        "engine": "the engine",
    }
    found = [
        _difference(name, getattr(served, field), getattr(examined, field))
        for field, name in named.items()
        if getattr(served, field) != getattr(examined, field)
    ]
    names = sorted(served.files.keys() | examined.files.keys())
    pairs = ((name, served.files.get(name), examined.files.get(name)) for name in names)
    return found + [_difference(*pair) for pair in pairs if pair[1] != pair[2]]


def behaviour_differs(model: Artifact, base: Artifact) -> list[str]:
    """What of a model, beside its weights, lets it answer otherwise than its base; names of files.

    Likelihood of texts does not see any of it. Generation defaults are compared by what vLLM takes
    from them, where either model has a file for them or not; everything else byte for byte.

    Raises:
        InputError: a file is no JSON.
    """
    ours, theirs = (
        {entry.path: entry.sha256 for entry in artifact.manifest.files}
        for artifact in (model, base)
    )
    found = []
    if chat_template_sha256(model.path) != chat_template_sha256(base.path):
        found.append("chat template")
    if _sampling(model) != _sampling(base):
        found.append(GENERATION)
    return found + [
        name
        for name in sorted(filter(is_of_tokenizer, ours.keys() | theirs.keys()))
        if name != GENERATION and ours.get(name) != theirs.get(name)
    ]


def _difference(name: str, served: object, examined: object) -> str:
    def shown(value: object) -> str:
        # A hash by its beginning; everything else as it is.
        text = "none" if value is None else str(value)
        return text[:SHOWN] if len(text) == 64 else text

    return f"{name}: {shown(served)}, examined was {shown(examined)}"


def _weight_files(model: Artifact, hashes: Mapping[str, str]) -> list[str]:
    """The weight files, index included: one set, whoever loads them."""
    present = {name for name in hashes if ".safetensors" in name}
    if INDEX in present:
        named = _read(model, INDEX).get("weight_map")
        wanted = {INDEX, *map(str, named.values())} if isinstance(named, dict) else set()
        wanted.discard(WEIGHTS)
    else:
        wanted = {WEIGHTS}
    if present != wanted:
        raise _refusal(
            model, f"its weight files are not {WEIGHTS} alone, nor {INDEX} and what that names"
        )
    tensor_shapes(model.path)  # refuses a tensor that two files have
    return sorted(present)


def _refuse_quantised(model: Artifact, config: Mapping[str, Any]) -> None:
    if any(part.get(name) is not None for part in _parts(config) for name in _QUANTISED):
        raise InputError(
            f"model {model.digest[:SHOWN]}: {CONFIG} names a quantisation, and quantised models "
            "are neither examined nor served yet - use it in bfloat16 or float32"
        )


def _parts(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The config, and what one of text and images says of its text alone."""
    text = config.get("text_config")
    return [config, text] if isinstance(text, dict) else [config]


def _dtype(model: Artifact, serving: Serving, config: Mapping[str, Any]) -> Dtype:
    """The setting, or for `auto` what the config says, or what most weights are stored in."""
    chosen: object = serving.dtype
    if chosen == "auto":
        said = [part.get(name) for part in _parts(config) for name in ("dtype", "torch_dtype")]
        chosen = next((x for x in said if x is not None), model.manifest.facts.get("dtype"))
    match chosen:
        case "float32" | "float16" | "bfloat16":
            return chosen
    raise InputError(
        f"model {model.digest[:SHOWN]}: {CONFIG} names no type of numbers that is served (float32, "
        "float16, bfloat16) - set inference.engine.dtype to one"
    )


def _sampling(artifact: Artifact) -> dict[str, Any]:
    present = any(entry.path == GENERATION for entry in artifact.manifest.files)
    # vLLM and transformers: what a model has no file for stands in its config.
    content = _read(artifact, GENERATION if present else CONFIG)
    return {name: content[name] for name in SAMPLING if content.get(name) is not None}


def _read(model: Artifact, name: str) -> dict[str, Any]:
    try:
        content = json.loads(model.file(name).read_bytes())
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise _refusal(model, f"{name} is not a JSON object")
    return content


def _refusal(model: Artifact, problem: str) -> InputError:
    return InputError(
        f"model {model.digest[:SHOWN]}: {problem}, so what is examined need not be what is served "
        "- import or make it again"
    )
