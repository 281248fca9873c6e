"""Measuring, apart from judging: models sit one paper."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from bedside_core.artifacts import Artifact, Recipe
from bedside_core.errors import InputError
from bedside_core.kinds.exam import WORDING_SHA256
from bedside_core.kinds.serving import served_identity
from bedside_core.run import Run
from bedside_eval.answering.examined import Engine, answer_exams
from bedside_eval.config import EvalConfig
from bedside_eval.exam import Paper
from bedside_eval.judging.judged import Bench, judge_answers
from bedside_eval.judging.kept import keep
from bedside_eval.judging.records import Judged
from bedside_eval.records import LABELS, ModelScores
from bedside_eval.state import State
from bedside_models.device import device_kind
from bedside_models.scores import Estimand
from bedside_models.settle import settle

Name = TypeVar("Name", bound=str)


class Measurement(NamedTuple, Generic[Name]):
    """What the models did, and what was asked of them."""

    estimand: Estimand
    """Of the first model; where tokenizers differ, `task` has each model's prefix token."""
    task: dict[str, Any]
    results: dict[Name, ModelScores]
    judged: Judged | None = None
    """What judges said of the models' answers."""


def measure(
    config: EvalConfig,
    run: Run,
    recipe: Recipe,
    models: Mapping[Name, Artifact],
    paper: Paper,
    engine: Engine | None = None,
    bench: Bench | None = None,
) -> Measurement[Name]:
    """Let each model sit the paper; an interrupted measurement goes on with the next part.

    Args:
        config: window and batch.
        run: says where finished parts are kept, and how models are served.
        recipe: of the evidence.
        models: by role; one model in two roles sits once.
        paper: what is asked.
        engine: answers the exams as well, where `eval.generation` says how; None to choose by
            likelihood alone.
        bench: the judges of those answers.

    Raises:
        InputError: a text, an item or a model is unusable, or there is too little memory.
        PolicyError: lm-eval and our own computation disagree.
        EngineError: the engine ended, or did not start.
    """
    by_name: dict[str, Artifact] = {str(name): model for name, model in models.items()}
    judged = by_name.get("candidate", next(iter(by_name.values())))
    served = served_identity(judged, run.serving).dtype
    with (
        run.registry.work(recipe.sha256, private=True) as work,
        tempfile.TemporaryDirectory(prefix="bedside-eval-") as cache,
    ):
        # Before the first import of a library that would keep a cache elsewhere.
        os.environ["HF_HOME"] = cache
        settle()
        from bedside_eval.harness import task_description
        from bedside_eval.sittings import examine

        once = {model.digest: model for model in models.values()}
        state = State(work, run.registry.evidence_keys, recipe)
        found = examine(config, once, paper, state, served)
        prefixes = {name: found.prefix_tokens[model.digest] for name, model in by_name.items()}
        task = {
            "wording": WORDING_SHA256,
            **config.model_dump(include={"batch_size", "max_length"}),
            "dtype": found.dtype,
            "device": device_kind(),
            "prefix_tokens": prefixes,
        }
        estimand = Estimand(
            prefix_token=next(iter(prefixes.values())),
            max_length=config.max_length,
            dtype=found.dtype,
        )
        scores, verdicts = dict(found.scores), None
        if config.generation is not None and engine is not None and paper.exams:
            identity = served_identity(judged, run.serving)
            answered = answer_exams(config.generation, paper.exams, once, state, identity, engine)
            scores = {
                digest: scores[digest].model_copy(
                    update={"values": one.values, "answered": one.counts}
                )
                for digest, one in answered.items()
            }
            task["generation"] = config.generation.model_dump(mode="json")
            roles = {role: by_name[role].digest for role in LABELS if role in by_name}
            written = {digest: one.answers for digest, one in answered.items()}
            if config.keep_answers:
                keep(run.registry, recipe, written)
            if bench is not None:
                by_role = {role: written[digest] for role, digest in roles.items()}
                verdicts = judge_answers(bench, by_role)
        results = {name: scores[model.digest] for name, model in models.items()}
        return Measurement(estimand, task | task_description(), results, verdicts)


def refuse_unusable(results: Mapping[Name, ModelScores]) -> None:
    """Judge no model that gives no number where it was asked, or in the dtype that is served.

    Raises:
        InputError: names the model, the set and the counts.
    """
    for name, scores in results.items():
        missing = [(part, found) for part, found in scores.unusable.items()]
        if scores.as_served is not None and scores.as_served.without:
            missing.append((f"a sample in {scores.as_served.dtype}, as served,", scores.as_served))
        for part, found in missing:
            raise InputError(
                f"the {name} model gives no number on {found.without} of {found.of} of {part} - "
                "its weights are broken, or need another inference.engine.dtype"
            )
