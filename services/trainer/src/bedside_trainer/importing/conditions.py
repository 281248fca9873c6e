"""What later steps ask of a base, judged before any of them has cost anything; without torch.

The trainer's and the evaluation's conditions are ours. What mergekit can merge and vLLM can serve
stands in tables that `scripts/later_steps.py` makes of the installed libraries. Each refusal names
the step that could not do it.

Tested in tests/trainer/importing/test_shapes.py, tests/trainer/importing/test_tables.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from bedside_core.errors import InputError
from bedside_trainer.importing.headers import Header

MERGER, ENGINE, TRAINER = "merger run", "inference engine", "trainer run"
FLOATS = frozenset({"F32", "BF16", "F16"})
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
"""Where a config.json says how many experts a layer has."""
QUANTISED = ("quantization_config", "compression_config")
_BUFFERS = re.compile(r"\.(inv_freq|masked_bias|attn\.bias|position_ids|cos_cached|sin_cached)$")
"""What old versions of transformers saved beside the weights; nobody reads it."""
_PREFIX = re.compile(r"^((model|language_model|transformer)\.)+")
"""What some writers leave out before a tensor's name, or put there."""


def judge_config(config: Mapping[str, Any]) -> None:
    """Refuse what config.json alone shows that a later step cannot do.

    Raises:
        InputError: a quantised model, one with experts, or an architecture that is not served.
    """
    text = config.get("text_config")
    parts = [config, text] if isinstance(text, dict) else [config]
    for part in parts:
        for name in QUANTISED:
            if part.get(name) is not None:
                method = part[name].get("quant_method") if isinstance(part[name], dict) else None
                raise refusal(
                    TRAINER,
                    f"config.json names a quantisation ({method or name}), and quantised weights "
                    "cannot be trained",
                    "take the model in bfloat16, float16 or float32",
                )
        for name in EXPERTS:
            if isinstance(part.get(name), int) and part[name] > 1:
                raise refusal(
                    MERGER,
                    f"config.json says {name} = {part[name]}: mergekit "
                    f"{table('mergekit')['version']} writes a mixture of experts under other names "
                    "than it reads",
                    "take a dense model",
                )
    architectures = config.get("architectures")
    if isinstance(architectures, list) and architectures and not isinstance(text, dict):
        judge_architecture(str(architectures[0]))


def judge_architecture(name: str) -> None:
    """Refuse an architecture that the engine does not serve, encoders among them.

    Raises:
        InputError: it is not in vLLM's tables of models that answer in text.
    """
    served = table("vllm")
    if name not in served["architectures"]:
        raise refusal(
            ENGINE,
            f"vLLM {served['version']} has no text-generating model {name!r}",
            "take a decoder that it serves",
        )


def judge_headers(headers: Mapping[str, Header]) -> None:
    """Refuse weights that are stored as no ordinary numbers.

    Raises:
        InputError: a tensor that is no old buffer is neither float32, bfloat16 nor float16.
    """
    for name, header in headers.items():
        if header.dtype not in FLOATS and not _BUFFERS.search(name):
            raise refusal(
                TRAINER,
                f"{name} is stored as {header.dtype}, and quantised weights cannot be trained",
                "take the model in bfloat16, float16 or float32",
            )


def judge_complete(config: Mapping[str, Any], names: Collection[str]) -> None:
    """Refuse source weights that lack what their architecture has, where that is known here.

    Raises:
        InputError: names the first tensor that is missing.
    """
    known = _templates(config)
    if known is None or isinstance(config.get("text_config"), dict):
        return
    present = set(map(bare, names))
    for forms in _expected(config, known):
        if None not in forms and not {bare(form) for form in forms if form} & present:
            raise refusal(
                TRAINER, f"the weights lack {forms[0]}", "download the model again, whole"
            )


def judge_mergeable(config: Mapping[str, Any], names: Collection[str]) -> None:
    """Refuse canonical weights of which mergekit would lose a tensor, or miss one.

    An architecture that its tables do not have, mergekit infers from the models themselves.

    Args:
        config: of the canonical model.
        names: of all its tensors.

    Raises:
        InputError: names the first tensor that is lost or missed.
    """
    known = _templates(config)
    if known is None:
        return
    expected = list(_expected(config, known))
    missed = [forms[0] for forms in expected if None not in forms and not set(forms) & set(names)]
    merged = {form for forms in expected for form in forms}
    lost = sorted(set(names) - merged)
    for problem, tensors in (("misses", missed), ("loses", lost)):
        if tensors:
            raise refusal(
                MERGER,
                f"mergekit {table('mergekit')['version']} {problem} {tensors[0]} of this variant "
                f"of {config['architectures'][0]}",
                "take a model without it",
            )


def bare(name: str) -> str:
    """A tensor's name without what stands before its place in the decoder."""
    return _PREFIX.sub("", name)


def refusal(step: str, problem: str, advice: str) -> InputError:
    """An error that says which later step cannot do it."""
    return InputError(f"{problem} - `bedside {step}` could not use this base: {advice}")


@cache
def table(name: str) -> dict[str, Any]:
    """A table of `tables/`: `version` and `architectures`."""
    text = files("bedside_trainer.importing").joinpath("tables", f"{name}.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _templates(config: Mapping[str, Any]) -> list[Any] | None:
    """What mergekit's tables say of an architecture and its type."""
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or not architectures:
        return None
    known: dict[str, list[Any]] = table("mergekit")["architectures"].get(str(architectures[0]), {})
    if len(known) == 1:
        return next(iter(known.values()))
    return known.get(str(config.get("model_type")))


def _expected(config: Mapping[str, Any], templates: list[Any]) -> Iterator[list[str | None]]:
    """Each tensor, as the names that it may have; None among them if it may be absent."""
    layers = config.get("num_hidden_layers") or config.get("n_layer") or 0
    for template in templates:
        forms = [template] if isinstance(template, str) else template
        per_layer = any(form and "${layer_index}" in form for form in forms)
        for number in range(layers) if per_layer else (0,):
            yield [form and form.replace("${layer_index}", str(number)) for form in forms]
