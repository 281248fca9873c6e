"""`bedside trainer import-base`: register a base model as an artifact of plain safetensors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bedside_core.artifacts import Artifact, Recipe
from bedside_core.console import say
from bedside_core.licences import licence
from bedside_core.run import Run
from bedside_models.settle import settle
from bedside_trainer import gguf_package, model_directory
from bedside_trainer.config import BaseConfig

LIBRARIES = ("gguf", "safetensors", "tokenizers", "torch", "transformers")


def import_base(config: BaseConfig, run: Run) -> None:
    """Check the source, copy or convert it, and read the result back.

    Raises:
        InputError: the source cannot be used; the message says why.
    """
    files = _source_files(config)
    recipe = run.recipe(config, inputs=files, libraries=LIBRARIES)
    known = run.registry.find(recipe.sha256)
    if known is not None and _is_import(config, recipe, known) and run.reuse("base", recipe):
        return

    # torch and transformers take seconds to import: only now that there is work to do.
    settle()
    from bedside_models.describe import describe

    with run.write("base", recipe, licences=(licence(config.licence),)) as artifact:
        if config.gguf_package:
            gguf_package.convert(files, artifact.path)
        else:
            model_directory.copy(files, artifact.path)
        artifact.facts.update(describe(artifact.path), source=_source_name(config, files))
    facts = artifact.facts
    say(f"{facts['architecture']}, {facts['num_parameters'] / 1e6:.1f}M parameters")


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


def _source_files(config: BaseConfig) -> dict[str, Path]:
    if config.gguf_package:
        return gguf_package.find(config.gguf_package)
    assert config.directory is not None  # noqa: S101 - the config's validator saw to it
    return model_directory.check(config.directory)


def _is_import(config: BaseConfig, recipe: Recipe, known: Artifact) -> bool:
    """Whether an artifact is what it says, where that can be seen: a directory is copied as it is.

    Everything is compared with the base, and whoever can write the registry can write a manifest.
    """
    if not config.directory:
        return True
    held = {entry.path: entry.sha256 for entry in known.manifest.files}
    if held == recipe.inputs:
        return True
    say(f"base {known.digest[:12]} is not a copy of {config.directory}, so it is imported again")
    return False


def _source_name(config: BaseConfig, files: dict[str, Path]) -> str:
    if config.gguf_package:
        return f"{next(iter(files))} of the Python package {config.gguf_package}"
    return f"directory {config.directory}"
