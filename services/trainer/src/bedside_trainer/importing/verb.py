"""`bedside trainer import-base`: register a base model in the form that all later steps know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from bedside_core import memory
from bedside_core.artifacts import Artifact
from bedside_core.console import say
from bedside_core.files import disk_errors, new_directory, sha256_file
from bedside_core.kinds.model import CONFIG, RANDOM_WEIGHTS
from bedside_core.licences import licence
from bedside_core.run import Run
from bedside_models.settle import settle
from bedside_trainer.config import BaseConfig
from bedside_trainer.importing import conditions, directory, gguf_package
from bedside_trainer.importing.directory import Source
from bedside_trainer.importing.headers import Header, read_headers, width

LIBRARIES = ("gguf", "safetensors", "tokenizers", "torch", "transformers")
IMPORTING, MORE = "importing the base", "use a machine with more memory, or a smaller model"


def import_base(config: BaseConfig, run: Run) -> None:
    """Judge the source, make its canonical form, and prove that this computes the same.

    Raises:
        InputError: the source cannot be used, or a later step could not use it; says which.
        ArtifactError: the disk is full or must not be written.
    """
    files = source_files(config)
    recipe = run.recipe(config, inputs=files, libraries=LIBRARIES)
    known = run.registry.find(recipe.sha256)
    if known is not None and _is_import(config, run, known) and run.reuse("base", recipe):
        return
    with run.write("base", recipe, licences=(licence(config.licence),)) as artifact:
        artifact.facts.update(make(config, artifact.path))
    _tell(artifact.facts)


def make(config: BaseConfig, target: Path) -> dict[str, Any]:
    """Write a base model into an empty directory.

    Returns:
        The facts for its manifest.

    Raises:
        InputError: see `import_base`.
    """
    # torch and transformers take seconds to import: only now that there is work to do.
    settle()
    from bedside_models.describe import describe
    from bedside_models.load import load_tokenizer
    from bedside_trainer.importing import canonical
    from bedside_trainer.importing.separators import separators

    if config.shrink:
        assert config.architecture is not None  # noqa: S101 - the config's validator saw to it
        from bedside_trainer.importing import shrunk

        source = "random weights"
        made = shrunk.make(config.architecture, config.shrink, target)
    elif config.gguf_package:
        files = gguf_package.find(config.gguf_package)
        source = f"{next(iter(files))} of the Python package {config.gguf_package}"
        made = gguf_package.convert(files, target)
    else:
        found, headers = look(config)
        source = f"directory {config.directory}"
        need = width(headers) * sum(header.elements for header in headers.values())
        memory.require(need, memory.available_bytes(), what=IMPORTING, advice=MORE)
        with memory.refusing(IMPORTING, lambda: MORE, need=need):
            made = canonical.convert(found, headers, target)
        made["left_out"] = list(found.left_out)
    ends = separators(load_tokenizer(target), target)
    random = {RANDOM_WEIGHTS: True} if config.shrink else {}
    return describe(target) | {"source": source, "import": made, "separators": ends} | random


def look(config: BaseConfig) -> tuple[Source, dict[str, Header]]:
    """The files of `base.directory`, judged by all that their names and headers show; no torch.

    Raises:
        InputError: see `import_base`.
    """
    assert config.directory is not None  # noqa: S101 - the config's validator saw to it
    source = directory.find(config.directory)
    headers = read_headers(source.weights)
    model = source.read_json(CONFIG)
    conditions.judge_config(model)
    conditions.judge_headers(headers)
    conditions.judge_complete(model, headers)
    return source, headers


def bootstrap(config: BaseConfig, run: Run) -> None:
    """Import the base model of a house that has nothing to serve yet; otherwise do nothing.

    Raises:
        InputError: the source cannot be used; the message says why.
    """
    if run.registry.current() is not None:
        say("a model is promoted; no base model is needed to start")
    elif run.registry.slot(run.name, "base") is not None:
        say(f"run {run.name!r} has its base model")
    else:
        # Under the verb's own name, so that a later `import-base` finds its recipe and reuses it.
        import_base(config, replace(run, verb="import-base"))


def source_files(config: BaseConfig) -> dict[str, Path]:
    """What a base is made of, by name."""
    if config.shrink:
        return {}
    if config.gguf_package:
        return gguf_package.find(config.gguf_package)
    return look(config)[0].files


def _is_import(config: BaseConfig, run: Run, known: Artifact) -> bool:
    """Whether an artifact is what importing gives: the base is made again, and every file compared.

    Everything is compared with the base, and whoever can write the registry can write a manifest
    with a recipe's hash.
    """
    say(f"base {known.digest[:12]} has the same recipe: it is made again, to compare every file")
    with disk_errors("base"), new_directory(run.registry.home / "tmp", "base") as again:
        facts = make(config, again)
        files = {
            path.relative_to(again).as_posix(): sha256_file(path)
            for path in again.rglob("*")
            if path.is_file()
        }
    held = known.manifest
    # How far rounding went in the proof is no part of what the base is.
    same = (
        {entry.path: entry.sha256 for entry in held.files} == files
        and held.facts | {"import": None} == facts | {"import": None}
        and held.licences == (licence(config.licence),)
    )
    if not same:
        say(f"base {known.digest[:12]} is not what importing gives, so it is imported again")
    return same


def _tell(facts: dict[str, Any]) -> None:
    made = facts["import"]
    say(f"{facts['architecture']}, {facts['num_parameters'] / 1e6:.1f}M parameters")
    if "text_stack_of" in made:
        say(f"the text model of {made['text_stack_of']}; what sees images is left behind")
    say(f"weights: {made['cast']}")
    for repair in made["repairs"]:
        say(repair)
    found = ", ".join(f"{s['token']} ({s['from']})" for s in facts["separators"])
    say(f"a document can be ended with: {found}")
