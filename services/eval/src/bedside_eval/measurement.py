"""Measuring, apart from judging: three models sit one paper, or did so in evidence of this run.

A changed policy, seed or number of resamples does not change an answer, so nobody sits the exams
again for it. But a policy that was chosen when the answers were known is no plan: what is judged
anew is `exploratory`, and cannot promote.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from bedside_core.artifacts import Artifact, Recipe
from bedside_core.console import say
from bedside_core.errors import ArtifactError
from bedside_core.files import write_atomic
from bedside_core.kinds.evidence import read_evidence
from bedside_core.kinds.exam import PROMPT
from bedside_core.progress import Progress
from bedside_core.run import Run
from bedside_eval.config import EvalConfig
from bedside_eval.evidence import Evidence, load_evidence
from bedside_eval.exam import Paper
from bedside_eval.records import LABELS, ROLES, ModelScores, Role
from bedside_models.scores import Estimand
from bedside_models.settle import settle

EARLIER = "measured"
"""The role of the evidence whose answers are judged anew, among the parents of the new one."""
_POLICY = "policy"
_JUDGING = {_POLICY, "seed", "bootstrap_samples"}
"""Settings that change what follows from the answers, and no answer."""


class Measurement(NamedTuple):
    """What the three models did, and what was asked of them."""

    estimand: Estimand
    task: dict[str, Any]
    results: dict[Role, ModelScores]


class Earlier(NamedTuple):
    """Evidence of this run with the answers to the same paper, judged by something else."""

    artifact: Artifact
    evidence: Evidence


def measured_before(config: EvalConfig, run: Run, recipe: Recipe) -> Earlier | None:
    """This run's signed evidence, if it holds what `recipe` would measure.

    What counts is what was signed; the manifest alone could have been written by anybody.
    """
    digest = run.registry.slot(run.name, "evidence")
    if digest is None or run.registry.withdrawals().of(digest) is not None:
        return None
    try:
        artifact = run.registry.get(digest)
        read_evidence(artifact, run.registry.keyring())
        evidence = load_evidence(artifact)
    except ArtifactError as error:
        say(f"{error}")
        return None
    same = _measuring(artifact.manifest.recipe) == _measuring(recipe) and _signed(
        evidence
    ) == _asked(config, recipe)
    return Earlier(artifact, evidence) if same else None


def _measuring(recipe: Recipe) -> Recipe:
    """What the answers depend on."""
    return recipe.model_copy(
        update={
            "config": {k: v for k, v in recipe.config.items() if k not in _JUDGING},
            "parents": {k: v for k, v in recipe.parents.items() if k != EARLIER},
            "inputs": _paper(recipe.inputs),
        }
    )


def _paper(inputs: Mapping[str, str]) -> dict[str, str]:
    return {name: sha256 for name, sha256 in inputs.items() if name != _POLICY}


def _signed(evidence: Evidence) -> tuple[Any, ...]:
    digests = {role: evidence.models[role].digest for role in ROLES}
    task = evidence.setting.task
    return digests, _paper(evidence.setting.inputs), task["max_length"], task["batch_size"]


def _asked(config: EvalConfig, recipe: Recipe) -> tuple[Any, ...]:
    digests = {role: recipe.parents[role] for role in ROLES}
    return digests, _paper(recipe.inputs), config.max_length, config.batch_size


def measure(
    config: EvalConfig, models: Mapping[Role, Artifact], paper: Paper, work: Path
) -> Measurement:
    """Let each model sit the paper; an interrupted measurement goes on with the next model.

    Raises:
        InputError: a text, an item or a model is unusable, or there is too little memory.
    """
    results = _finished(work)
    if results:
        say(f"resumed: {', '.join(LABELS[role] for role in results)} done before")
    with tempfile.TemporaryDirectory(prefix="bedside-eval-") as cache:
        # Before the first import of a library that would keep a cache elsewhere.
        os.environ["HF_HOME"] = cache
        settle()
        from bedside_eval.harness import (
            check_lengths,
            encode_all,
            examine,
            longest_sequence,
            num_sequences,
            task_description,
        )
        from bedside_models import footprint
        from bedside_models.likelihood import first_token
        from bedside_models.load import check_context, check_weights, load_tokenizer

        # All before the first: an examination takes hours.
        for model in models.values():
            check_context(model.path, eval__max_length=config.max_length)
            check_weights(model.path)
        tokenizer = load_tokenizer(models["base"].path)
        check_lengths(paper, tokenizer, config.max_length)
        longest = longest_sequence(paper, tokenizer)
        encoded = encode_all(paper, tokenizer)
        sequences = num_sequences(paper, encoded, config.max_length)
        demand = footprint.Demand(
            "examining",
            footprint.read_shape(models["base"].path).scoring,
            batch=("eval.batch_size", min(config.batch_size, sequences)),
            length=("eval.max_length", min(config.max_length, longest)),
        )
        total, done = (len(group) * sequences for group in (models, results))
        with (
            demand.granted(),
            Progress("examine", total=total, unit="sequence", done=done) as progress,
        ):
            for role in [role for role in models if role not in results]:
                results[role] = examine(
                    models[role].path,
                    paper,
                    encoded,
                    tokenizer,
                    max_length=config.max_length,
                    batch_size=config.batch_size,
                    progress=progress,
                )
                write_atomic(work / f"{role}.json", results[role].model_dump_json().encode())
        task = {"prompt": PROMPT, **config.model_dump(include={"batch_size", "max_length"})}
        estimand = Estimand(
            prefix_token=first_token(tokenizer)[0], max_length=config.max_length, dtype="float32"
        )
        ordered = {role: results[role] for role in models}
        return Measurement(estimand, task | task_description(), ordered)


def _finished(work: Path) -> dict[Role, ModelScores]:
    """The models that an interrupted run of the same recipe has examined."""
    found: dict[Role, ModelScores] = {}
    for role in ROLES:
        with suppress(OSError, ValidationError):
            found[role] = ModelScores.model_validate_json((work / f"{role}.json").read_bytes())
    return found
