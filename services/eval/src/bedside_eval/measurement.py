"""Measuring, apart from judging: models sit one paper."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import ValidationError

from bedside_core.artifacts import Artifact, Recipe
from bedside_core.console import say
from bedside_core.files import write_atomic
from bedside_core.kinds.exam import PROMPT
from bedside_core.progress import Progress
from bedside_core.run import Run
from bedside_eval.config import EvalConfig
from bedside_eval.exam import Paper
from bedside_eval.records import ModelScores
from bedside_models.scores import Estimand
from bedside_models.settle import settle

Name = TypeVar("Name", bound=str)


class Measurement(NamedTuple, Generic[Name]):
    """What the models did, and what was asked of them."""

    estimand: Estimand
    task: dict[str, Any]
    results: dict[Name, ModelScores]


def measure(
    config: EvalConfig, run: Run, recipe: Recipe, models: Mapping[Name, Artifact], paper: Paper
) -> Measurement[Name]:
    """Let each model sit the paper; an interrupted measurement goes on with the next model.

    Raises:
        InputError: a text, an item or a model is unusable, or there is too little memory.
    """
    with (
        run.registry.work(recipe.sha256) as work,
        tempfile.TemporaryDirectory(prefix="bedside-eval-") as cache,
    ):
        # Before the first import of a library that would keep a cache elsewhere.
        os.environ["HF_HOME"] = cache
        settle()
        return _measure(config, models, paper, work)


def _measure(
    config: EvalConfig, models: Mapping[Name, Artifact], paper: Paper, work: Path
) -> Measurement[Name]:
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

    results = _finished(work, models)
    if results:
        say(f"resumed: {', '.join(results)} done before")
    # All before the first: an examination takes hours.
    for model in models.values():
        check_context(model.path, eval__max_length=config.max_length)
        check_weights(model.path)
    first = next(iter(models.values()))
    tokenizer = load_tokenizer(first.path)
    check_lengths(paper, tokenizer, config.max_length)
    longest = longest_sequence(paper, tokenizer)
    encoded = encode_all(paper, tokenizer)
    sequences = num_sequences(paper, encoded, config.max_length)
    demand = footprint.Demand(
        "examining",
        footprint.read_shape(first.path).scoring,
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


def _finished(work: Path, models: Mapping[Name, Artifact]) -> dict[Name, ModelScores]:
    """The models that an interrupted run of the same recipe has examined."""
    found: dict[Name, ModelScores] = {}
    for role in models:
        with suppress(OSError, ValidationError):
            found[role] = ModelScores.model_validate_json((work / f"{role}.json").read_bytes())
    return found
