"""`bedside merger run`: base + checkpoint -> merged model, in one artifact."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

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
SCHEMA_VERSION = 3
"""Of the report. 2 had the prefix token before a text's first window alone; 1 scored the first 512
tokens of each text, without its first token."""
EXACT = "float32"
"""The unrounded merge: a folder inside the artifact being written, gone before it is complete."""


def merge(config: MergerConfig, run: Run) -> None:
    """Merge in float32, export in bfloat16, and measure what the rounding took away.

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
    from bedside_merger.export import export
    from bedside_merger.models import check_mergeable, copy_tokenizer
    from bedside_merger.probe import compare
    from bedside_merger.slerp import merge_exactly
    from bedside_models.describe import describe
    from bedside_models.load import check_context

    if probe:
        check_context(base.path, merger__probe__max_length=probe.max_length)
    layers = check_mergeable(base.path, checkpoint.path)
    with _granted(base.path, probe), run.write("merged", recipe) as artifact:
        exact = artifact.path / EXACT
        say(f"merging {layers} layers with {config.method} in float32")
        merge_exactly(config, layers, base.path, checkpoint.path, exact)
        rounding = export(exact, base.path, artifact.path)
        copy_tokenizer(base, artifact.path)
        models = {"base": base.path, "merged_float32": exact, "merged_bfloat16": artifact.path}
        likelihood = compare(models, base.path, texts, probe.max_length) if probe else None
        shutil.rmtree(exact)
        _write_report(rounding, likelihood, artifact.path / EXPORT_REPORT)
        artifact.facts |= describe(artifact.path) | {
            "method": config.method,
            "rounding": rounding.overall.report(),
        }
    _show(rounding, likelihood)


@contextmanager
def _granted(base: Path, probe: Probe | None) -> Iterator[None]:
    """Merge in this block only if it can fit into memory; what needs most is the probe."""
    from bedside_merger.export import MAX_SHARD_BYTES
    from bedside_models.footprint import read_shape

    shape = read_shape(base)
    if probe:
        what, need = "merging with merger.probe", shape.scoring(probe.max_length)
        advice = "leave merger.probe out, or use a machine with more memory"
    else:
        what, need = "merging", min(MAX_SHARD_BYTES, 2 * shape.parameters)
        advice = "use a machine with more memory"
    memory.require(need, memory.available_bytes(), what=what, advice=advice)
    with memory.refusing(what, lambda: advice, need=need):
        yield


def _write_report(rounding: Rounding, likelihood: Likelihood | None, path: Path) -> None:
    report = {
        "schema_version": SCHEMA_VERSION,
        "dtype": "bfloat16",
        "rounding": rounding.report(),
        "likelihood": likelihood.report() if likelihood else None,
    }
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _show(rounding: Rounding, likelihood: Likelihood | None) -> None:
    rows = [["tensors", "update / base", "energy lost", "updates vanished"]]
    for name, tally in {**rounding.groups, "all": rounding.overall}.items():
        shares = tally.report()
        keys = ("relative_update", "lost_energy_share", "vanished_share")
        rows.append([name, *("-" if shares[k] is None else f"{shares[k]:.2%}" for k in keys)])
    say("what the rounding to bfloat16 cost:")
    say(table(rows))
    if likelihood:
        say(likelihood.perplexities())
