"""`bedside merger run`: base + checkpoint -> merged model, in one artifact."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedside_core import memory
from bedside_core.console import say, table
from bedside_core.kinds.heldout import read_set
from bedside_core.run import Run
from bedside_merger.config import MergerConfig, Probe
from bedside_models.device import device_kind
from bedside_models.settle import settle

if TYPE_CHECKING:
    from bedside_merger.probe import Likelihood
    from bedside_merger.rounding import Rounding

EXPORT_REPORT = "export.json"
LIBRARIES = ("mergekit", "numpy", "safetensors", "tokenizers", "torch", "transformers")
SCHEMA_VERSION = 4
"""Of the report. 3 did not say how was merged; 2 had the prefix token before a text's first window
alone; 1 scored the first 512 tokens of each text, without its first token."""
EXACT = "float32"
"""The unrounded merge, for the probe alone: a folder inside the artifact being written, gone before
it is complete."""


def merge(config: MergerConfig, run: Run) -> None:
    """Merge in float32, store in 16 bits, and measure what the rounding took away.

    Raises:
        InputError: an earlier step has not run, the models cannot be merged, or there is too little
            memory.
        ArtifactError: an input was tampered with, or the disk is full.
    """
    base, checkpoint = run.input("base"), run.input("checkpoint")
    parents, probe = {"base": base, "checkpoint": checkpoint}, config.probe
    if probe:
        parents["heldout"] = run.development()
    recipe = run.recipe(config, parents=parents, libraries=LIBRARIES, device=device_kind())
    if run.reuse("merged", recipe):
        return
    texts = read_set(parents["heldout"], probe.heldout)[: probe.num_texts] if probe else []

    # torch and transformers take seconds to import: only now that there is work to do.
    settle()
    from bedside_merger.export import export, refuse_float16, rounder
    from bedside_merger.merge import by_name, by_path, document, models_of
    from bedside_merger.models import check_mergeable, copy_tokenizer, read_config
    from bedside_merger.probe import compare
    from bedside_merger.stream import merged_tensors
    from bedside_models.describe import describe
    from bedside_models.load import check_context

    if probe:
        check_context(base.path, merger__probe__max_length=probe.max_length)
    models = models_of(config.merge, base.path, checkpoint.path)
    for model in models.inputs:
        layers = check_mergeable(base.path, model.path)
    refuse_float16(read_config(base.path)["model_type"], config.dtype)
    left_out = _left_out(base.path, probe)
    if left_out:
        say(left_out)
    probe = None if left_out else probe
    with _granted(base.path, probe), run.write("merged", recipe) as artifact:
        exact = artifact.path / EXACT if probe and config.dtype != "float32" else None
        if exact:
            exact.mkdir()
        say(f"merging {len(models.inputs)} models of {layers} layers by {config.merge.method}")
        rounding = export(
            merged_tensors(document(config.merge, models, config.dtype, by_path), config.seed),
            base.path,
            artifact.path,
            rounder(config.dtype, config.rounding, config.seed),
            dtype=config.dtype,
            exact=exact,
        )
        copy_tokenizer(base, artifact.path)
        likelihood = None
        if probe:
            paths = {"base": base.path} | ({"merged_float32": exact} if exact else {})
            paths[f"merged_{config.dtype}"] = artifact.path
            likelihood = compare(paths, base.path, texts, probe.max_length)
        if exact:
            shutil.rmtree(exact)
        report = {
            "schema_version": SCHEMA_VERSION,
            "merge": document(config.merge, models, config.dtype, by_name),
            "seed": config.seed,
            "rounding": config.rounding,
            "cost": rounding.report(),
            "likelihood": likelihood.report() if likelihood else None,
            "likelihood_left_out": left_out,
        }
        _write(report, artifact.path / EXPORT_REPORT)
        artifact.facts |= describe(artifact.path) | {
            "method": config.merge.method,
            "rounding": rounding.overall.report(),
        }
    _show(config.dtype, rounding, likelihood)


def _left_out(base: Path, probe: Probe | None) -> str | None:
    """Why there is no probe although one is asked for."""
    from bedside_models.footprint import read_shape

    if probe is None or (size := read_shape(base).parameters) <= probe.max_parameters:
        return None
    return (
        f"the probe is left out: {size} parameters are more than merger.probe.max_parameters "
        f"{probe.max_parameters}"
    )


@contextmanager
def _granted(base: Path, probe: Probe | None) -> Iterator[None]:
    """Merge in this block only if it can fit into memory; what needs most is the probe."""
    from bedside_models.footprint import read_shape

    shape = read_shape(base)
    if probe:
        what, need = "merging with merger.probe", shape.scoring(probe.max_length)
        advice = "leave merger.probe out, or use a machine with more memory"
    else:
        what, need = "merging", 3 * memory.WEIGHTS * shape.vocabulary * shape.hidden
        advice = "use a machine with more memory"
    memory.require(need, memory.available_bytes(), what=what, advice=advice)
    with memory.refusing(what, lambda: advice, need=need):
        yield


def _write(report: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _show(dtype: str, rounding: Rounding, likelihood: Likelihood | None) -> None:
    rows = [["tensors", "update / base", "energy lost", "updates vanished"]]
    for name, tally in {**rounding.groups, "all": rounding.overall}.items():
        shares = tally.report()
        keys = ("relative_update", "lost_energy_share", "vanished_share")
        rows.append([name, *("-" if shares[k] is None else f"{shares[k]:.2%}" for k in keys)])
    say(f"what storing as {dtype} cost:")
    say(table(rows))
    if likelihood:
        say(likelihood.perplexities())
